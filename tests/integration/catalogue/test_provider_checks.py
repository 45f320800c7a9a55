"""CheckProvider: whether a provider answers, and whether it takes the key."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.http import GuardedClient
from imrs_server.domain.errors import CredentialMissing, ProviderNotFound, ProviderRateLimited, RoleRequired
from imrs_server.index.warm import Index
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.call_rates import CallRates
from imrs_server.use_cases.pacing import Pacing
from imrs_server.use_cases.provider_checks import ProviderChecks
from imrs_server.use_cases.providers import Providers
from tests.integration.catalogue.conftest import LOOPBACK
from tests.support import dialects, patience
from tests.support import provider as act
from tests.support.clock import Clock
from tests.support.principals import ADMIN, PLATFORM
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from imrs_server.adapters.vault import Vault
    from imrs_server.storage.database import Database
    from tests.support.dialects import Shape
    from tests.support.provider import Behaviour, FakeProvider

Add = Callable[..., Any]


SECONDS = 60.0
# These say nothing, or nothing that ends: only the clock stops them.
SLOW = (act.hang, act.drip_headers)


def checking(db: Database, keys: Vault, clock: Callable[[], float] = monotonic) -> ProviderChecks:
    client = GuardedClient(LOOPBACK, timing=patience.TIMING, clock=clock)
    return ProviderChecks(db, keys, client, deadline_seconds=SECONDS)


@pytest.fixture
def checks(db: Database, keys: Vault) -> ProviderChecks:
    return checking(db, keys)


def played(shape: Shape, upstream: FakeProvider, add_provider: Add) -> None:
    shape.play(upstream)
    add_provider("mine", upstream.url + shape.base, dialect=shape.dialect, key=shape.dialect != "ollama")


@pytest.mark.parametrize(
    ("shape", "count"),
    [(dialects.ANTHROPIC, 2), (dialects.OLLAMA, 2), (dialects.TOGETHER, 4), (dialects.GEMINI, 2)],
    ids=lambda each: getattr(each, "dialect", None),
)
def test_one_page_tells_that_the_key_works(
    checks: ProviderChecks, upstream: FakeProvider, add_provider: Add, shape: Shape, count: int
) -> None:
    played(shape, upstream, add_provider)

    found = checks.run(PLATFORM, "mine")

    assert (found.reachable, found.authorized, found.model_count) == (True, True, count)
    assert found.detail == f"{count} models in the first page"
    assert 0 <= found.latency_ms < 20_000
    assert [request.path for request in upstream.requests] == [shape.first]


@pytest.mark.parametrize(
    ("behaviour", "authorized", "words"),
    [
        (act.answer(b'{"data": {"label": "key", "limit": null}}'), True, "first page"),
        (act.fail(401), False, "refuses the key"),
        (act.answer(b'{"error": {"code": 401, "message": "No auth"}}'), False, "refuses the key"),
        (act.fail(404), True, "does not tell"),
    ],
    ids=["good", "401", "401 in 200", "404"],
)
def test_a_public_list_says_nothing_about_the_key_so_it_is_asked_for(
    checks: ProviderChecks,
    upstream: FakeProvider,
    add_provider: Add,
    behaviour: Behaviour,
    authorized: bool,
    words: str,
) -> None:
    played(dialects.OPENROUTER, upstream, add_provider)
    upstream.script(act.answer(dialects.OPENROUTER.list([{"id": "a/b"}])), behaviour)

    found = checks.run(PLATFORM, "mine")

    assert (found.reachable, found.authorized, found.model_count) == (True, authorized, 1)
    assert words in found.detail
    assert [request.path for request in upstream.requests] == [dialects.OPENROUTER.first, "/api/v1/key"]


@pytest.mark.parametrize(
    ("behaviour", "reachable", "words"),
    [
        (act.fail(401), True, "refuses the key (HTTP 401)"),
        (act.fail(403), True, "refuses the key (HTTP 403)"),
        (act.fail(404), True, "HTTP 404"),
        (act.fail(429, retry_after="3"), True, "too many calls (HTTP 429)"),
        (act.fail(500), True, "failure of its own (HTTP 500)"),
        (act.fail(302, location="http://169.254.169.254/"), True, "redirects"),
        (act.answer(b"<html>Sign in", kind="text/html"), True, "HTML"),
        (act.answer(b'{"hello": "world"}'), True, "no list"),
        (act.answer(b'{"error": {"message": "sk-test is wrong"}}'), True, "error in place"),
        (act.hang, False, "no answer in time"),
        (act.drip_headers, False, "no answer in time"),
    ],
    ids=["401", "403", "404", "429", "500", "302", "html", "no list", "error", "hang", "drip"],
)
def test_a_failure_of_the_provider_is_an_answer(
    db: Database,
    keys: Vault,
    upstream: FakeProvider,
    add_provider: Add,
    behaviour: Behaviour,
    reachable: bool,
    words: str,
) -> None:
    clock = Clock()
    played(dialects.OPENAI, upstream, add_provider)
    too_late = act.after(lambda: clock.pass_by(SECONDS), behaviour)
    upstream.script(too_late if behaviour in SLOW else behaviour)

    found = checking(db, keys, clock).run(PLATFORM, "mine")

    assert (found.reachable, found.authorized, found.model_count) == (reachable, False, 0)
    assert words in found.detail
    assert "sk-test" not in found.detail
    assert found.latency_ms < 20_000  # who hangs does so for 30 s
    assert len(upstream.requests) == 1


def test_a_check_is_one_of_the_calls_that_a_rate_limit_allows(
    db: Database, keys: Vault, upstream: FakeProvider, add_provider: Add
) -> None:
    """And where none is left the provider is not called, and nothing is said about it."""
    played(dialects.OPENAI, upstream, add_provider)
    with db.transaction() as tx:
        tx.execute("update providers set rate_limit_rpm = 1")
    pacing = Pacing(Breakers(db, Index()), CallRates(db))
    client = GuardedClient(LOOPBACK, timing=patience.TIMING)
    checks = ProviderChecks(db, keys, client, permit=pacing.permit)

    assert checks.run(PLATFORM, "mine").authorized
    with pytest.raises(ProviderRateLimited) as caught:
        checks.run(PLATFORM, "mine")

    assert 30 < (caught.value.retry_after_seconds or 0) <= 62
    assert len(upstream.requests) == 1


def test_a_provider_that_is_not_there_is_not_reachable(checks: ProviderChecks, add_provider: Add) -> None:
    with nobody() as address:
        add_provider("gone", f"http://{address}", dialect="openai")
        found = checks.run(PLATFORM, "gone")

    assert (found.reachable, found.authorized, found.detail) == (False, False, "no connection")


def test_an_address_that_has_become_forbidden_is_told(
    db: Database, keys: Vault, upstream: FakeProvider, add_provider: Add
) -> None:
    played(dialects.OPENAI, upstream, add_provider)

    found = ProviderChecks(db, keys, GuardedClient()).run(PLATFORM, "mine")

    assert (found.reachable, found.authorized) == (False, False)
    assert "may not be called" in found.detail
    assert upstream.requests == []


def test_what_is_not_the_providers_failure_is_an_error(
    checks: ProviderChecks, upstream: FakeProvider, add_provider: Add
) -> None:
    add_provider("keyless", upstream.url, dialect="openai", key=False)

    with pytest.raises(ProviderNotFound):
        checks.run(PLATFORM, "nobody")
    with pytest.raises(CredentialMissing):
        checks.run(PLATFORM, "keyless")
    with pytest.raises(RoleRequired):
        checks.run(ADMIN, "keyless")
    assert upstream.requests == []


def test_an_endpoint_that_nobody_chose_follows_the_dialect_and_the_address(
    db: Database, keys: Vault, add_provider: Add
) -> None:
    providers = Providers(db, keys, LOOPBACK)
    add_provider("mine", "http://127.0.0.1:1/v1", dialect="openai")

    def changed(**fields: Any) -> str:
        return providers.update(PLATFORM, "mine", fields).value.models_endpoint

    assert changed(dialect="ollama") == "/api/tags"
    assert changed(dialect="azure") == "/openai/models"
    assert changed(api_base="http://127.0.0.1:1/openai/v1") == "/models"
    assert changed(models_endpoint="/ours") == "/ours"
    assert changed(dialect="openai", api_base="http://127.0.0.1:1/v1") == "/ours"
    assert changed(models_endpoint="") == "/models"
