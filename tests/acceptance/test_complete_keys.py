"""Complete and the keys of providers: with Vault sealed, without a key, with the own one of an agent."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from imrs_client import (
    FailedPrecondition,
)
from imrs_client import v1 as pb
from tests.support.chatting import says
from tests.support.provider import FakeProvider
from tests.support.three_models import PROMPT, ThreeModels, furnish, three_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.service import Service


@pytest.fixture
def world(service: Service) -> Iterator[ThreeModels]:
    with three_models(service) as found:
        yield found


def test_with_vault_sealed_no_call_leaves(world: ThreeModels, vault: Vault) -> None:
    vault.server.seal()
    start = time.monotonic()
    with pytest.raises(FailedPrecondition) as caught:
        world.bot.complete(PROMPT)
    assert caught.value.reason == "VAULT_SEALED"
    assert time.monotonic() - start < 20
    assert world.asked == []
    assert world.messages == []


def test_a_provider_that_needs_no_key_answers_with_vault_sealed(world: ThreeModels, vault: Vault) -> None:
    with FakeProvider(b"") as open_to_all:
        furnish(world.service, "open", open_to_all, priority=1, dialect="vllm")
        tenant = world.service.tenant
        everything = pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter())
        tenant.admin.EnableAgentModels(everything)
        world.service.settled(tenant)
        open_to_all.script(says("Yes"))
        vault.server.seal()
        done = world.bot.complete(PROMPT)
    assert done.model_id == "open/m"
    assert [each.error_kind for each in done.failed_attempts] == ["auth"] * 3
    assert world.asked == []
    assert world.kept == [("open", "OK", "")]


def test_a_key_that_is_gone_is_passed_over(world: ThreeModels, vault: Vault) -> None:
    root = vault.server.root_token
    vault.server.call("DELETE", "secret/metadata/llm/first", token=root)
    world.play(second=says("Yes"))
    assert world.bot.complete(PROMPT).model_id == "second/m"
    assert world.asked == ["second"]


def test_an_agents_own_key_is_used(world: ThreeModels) -> None:
    request = pb.SetAgentKeyRequest(agent_id="bot", provider_id="first", api_key="sk-own")
    tenant = world.service.tenant
    tenant.admin.SetAgentKey(request)
    world.service.settled(tenant)
    world.play(first=says("Yes"))
    world.bot.complete(PROMPT)
    (asked,) = world.providers["first"].requests
    assert asked.headers["authorization"] == "Bearer sk-own"
