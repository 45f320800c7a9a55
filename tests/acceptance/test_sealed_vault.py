"""A sealed Vault: no call leaves the process; with keys in memory, none after their time is over."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imrs_client import FailedPrecondition, ImrsClient
from imrs_client import v1 as pb
from tests.support.chatting import refuses, says
from tests.support.door import employ, furnish
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault

# A provider would be waited for much longer.
BOUND_SECONDS = 20
CACHE_SECONDS = 600.0


@pytest.fixture
def upstream() -> Iterator[FakeProvider]:
    with FakeProvider(b"") as started:
        yield started


def staffed(service: Service, upstream: FakeProvider) -> ImrsClient:
    furnish(service, "first", f"{upstream.url}/v1", "m", key="sk-first")
    employ(service, "bot", "first/m")
    return service.agent("bot")


def refused_seconds(bot: ImrsClient) -> float:
    start = time.monotonic()
    with pytest.raises(FailedPrecondition) as caught:
        bot.complete("Hello")
    assert caught.value.reason == "VAULT_SEALED"
    return time.monotonic() - start


def test_no_call_leaves_the_process_and_the_caller_hears_soon(
    service: Service, vault: Vault, upstream: FakeProvider
) -> None:
    bot = staffed(service, upstream)
    upstream.script(says("Yes"))
    assert bot.complete("Hello").content == "Yes"
    vault.server.seal()

    # The first may have to find out; the later ones find what the watch of Vault has seen.
    for _ in range(5):
        assert refused_seconds(bot) < BOUND_SECONDS
    assert len(upstream.requests) == 1

    vault.server.unseal()
    upstream.script(says("Yes"))
    assert bot.complete("Hello").content == "Yes"


def test_a_key_in_memory_serves_until_its_time_is_over(
    database: str, vault: Vault, upstream: FakeProvider
) -> None:
    with serving(database, vault, key_cache_seconds=CACHE_SECONDS) as service:
        bot = staffed(service, upstream)
        upstream.script(*[says("Yes")] * 3)
        bot.complete("Hello")
        vault.server.seal()
        bot.complete("Hello")

        service.app.completions._keys._clock = lambda: time.monotonic() + CACHE_SECONDS
        for _ in range(2):
            assert refused_seconds(bot) < BOUND_SECONDS
        assert len(upstream.requests) == 2


def test_a_key_that_is_set_counts_at_once_whatever_is_in_memory(
    database: str, vault: Vault, upstream: FakeProvider
) -> None:
    with serving(database, vault, key_cache_seconds=CACHE_SECONDS) as service:
        bot = staffed(service, upstream)
        upstream.script(*[says("Yes")] * 3)
        bot.complete("Hello")
        platform = service.platform
        rotated = pb.RotateProviderKeyRequest(provider_id="first", api_key="sk-second")
        platform.admin.RotateProviderKey(rotated)
        service.settled(platform)
        bot.complete("Hello")
        tenant = service.tenant
        own = pb.SetAgentKeyRequest(agent_id="bot", provider_id="first", api_key="sk-own")
        tenant.admin.SetAgentKey(own)
        service.settled(tenant)
        bot.complete("Hello")

    keys = [each.headers["authorization"] for each in upstream.requests]
    assert keys == ["Bearer sk-first", "Bearer sk-second", "Bearer sk-own"]


def test_a_key_that_the_provider_does_not_take_is_read_anew(
    database: str, vault: Vault, upstream: FakeProvider
) -> None:
    with serving(database, vault, key_cache_seconds=CACHE_SECONDS) as service:
        bot = staffed(service, upstream)
        upstream.script(says("Yes"), refuses(401), says("Yes"))
        bot.complete("Hello")
        by_hand = {"data": {"api_key": "sk-by-hand"}}
        vault.server.call("POST", "secret/data/llm/first", by_hand, token=vault.server.root_token)
        with pytest.raises(FailedPrecondition):
            bot.complete("Hello")
        assert upstream.requests[-1].headers["authorization"] == "Bearer sk-first"
        eventually(lambda: answers(bot))

    assert upstream.requests[-1].headers["authorization"] == "Bearer sk-by-hand"


def answers(bot: ImrsClient) -> bool:
    try:
        bot.complete("Hello")
    except FailedPrecondition:
        return False
    return True
