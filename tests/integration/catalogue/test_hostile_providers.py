"""Whatever a provider answers, a sync ends soon, in little memory, with a reason, and the models stay."""

from __future__ import annotations

import json
import time
import tracemalloc
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.http import GuardedClient
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import (
    DomainError,
    ProviderInvalidResponse,
    ProviderRateLimited,
    ProviderUnavailable,
    SyncSuspicious,
)
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from imrs_server.storage.database import Database
from imrs_server.use_cases.providers import Providers
from imrs_server.use_cases.sync import Sync
from tests.integration.catalogue.conftest import LOOPBACK
from tests.support import patience
from tests.support import provider as act
from tests.support.clock import Clock
from tests.support.dialects import KEY, SHAPES, Shape
from tests.support.principals import PLATFORM
from tests.support.provider import FakeProvider
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.domain.sync import SyncResult
    from imrs_server.embedded.openbao import OpenBao
    from tests.support.cluster import Cluster
    from tests.support.provider import Behaviour
    from tests.support.provider import _Handler as Handler

DEADLINE_SECONDS = 60.0
# Who hangs does so for 30 s, and who drips or goes on for ever.
MOST_SECONDS = 20.0
MOST_BYTES = 12 << 20


def later(handler: Handler) -> None:
    """Ask to come back at a time of the clock."""
    time = datetime.now(UTC) + timedelta(seconds=40)
    act.fail(429, retry_after=format_datetime(time, usegmt=True))(handler)


HOSTILE: dict[str, tuple[Behaviour, type[DomainError], str]] = {
    "hang": (act.hang, ProviderUnavailable, "no answer in time"),
    "drip_body": (act.drip_body, ProviderUnavailable, "no answer in time"),
    "500": (act.fail(500), ProviderUnavailable, "failure of its own"),
    "429_seconds": (act.fail(429, retry_after="7"), ProviderRateLimited, "limits the rate"),
    "429_date": (later, ProviderRateLimited, "limits the rate"),
    "401": (act.fail(401), ProviderInvalidResponse, "refuses the key"),
    "redirect": (
        act.fail(302, location="http://169.254.169.254/latest/meta-data"),
        ProviderInvalidResponse,
        "redirects",
    ),
    "huge": (act.endless_garbage, ProviderInvalidResponse, "larger than"),
    "gzip_bomb": (act.gzip_bomb, ProviderInvalidResponse, "compressed"),
    "html": (act.answer(b"<!doctype html>", kind="text/html"), ProviderInvalidResponse, "HTML"),
    "deep_json": (act.answer(b"[" * 200_000), ProviderInvalidResponse, "nested"),
    "nan": (act.answer(b'[{"id": NaN}]'), ProviderInvalidResponse, "not finite"),
    "error_in_200": (act.answer(b'{"error": "no"}'), ProviderInvalidResponse, "error in place"),
    "cut": (act.cut_body, ProviderInvalidResponse, "cut off|not JSON"),
}
# These say nothing, or nothing that ends: only the clock stops them. All others may take their time.
SLOW = (act.hang, act.drip_body)
PAGED = [name for name, shape in SHAPES.items() if len(shape.pages) > 1]


@dataclass(frozen=True)
class World:
    """A database with a synced provider of every dialect, each played by a server of its own."""

    db: Database
    sync: Sync
    clock: Clock
    upstreams: dict[str, FakeProvider]

    def plays(self, behaviour: Behaviour) -> Behaviour:
        """The same; the time of the sync is over when somebody slow has been asked."""
        if behaviour not in SLOW:
            return behaviour
        return act.after(lambda: self.clock.pass_by(DEADLINE_SECONDS), behaviour)

    def run(self, dialect: str) -> SyncResult:
        *_, last = self.sync.run(PLATFORM, dialect)
        assert last.result is not None
        return last.result

    def rows(self, dialect: str) -> list[dict[str, Any]]:
        """All that the catalogue knows of a provider's models, and which transaction wrote it."""
        query = "select *, xmin::text as written_by from models where provider_id = %s order by model_id"
        with self.db.system() as tx:
            return list(tx.execute(query, [dialect]).fetchall())

    def error(self, dialect: str) -> str:
        with self.db.system() as tx:
            row = tx.execute("select last_sync_error from providers where provider_id = %s", [dialect])
            return str((row.fetchone() or {})["last_sync_error"])


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, postgres_clusters: Callable[[int], Cluster], openbao: OpenBao
) -> Iterator[World]:
    with ExitStack() as stack:
        dsn = stack.enter_context(postgres_clusters(request.config.getoption("--postgres")).database())
        db = stack.enter_context(patience.database(dsn, app_connections=3, system_connections=2))
        keys = stack.enter_context(patience.vault(openbao))
        clock = Clock()
        client = GuardedClient(LOOPBACK, timing=patience.TIMING, clock=clock)
        sync = Sync(db, keys, client, deadline_seconds=DEADLINE_SECONDS)
        upstreams = {}
        for name, shape in SHAPES.items():
            upstreams[name] = stack.enter_context(FakeProvider())
            create(Providers(db, keys, LOOPBACK), shape, upstreams[name])
            stack.callback(keys.delete, CredentialPath(name))
            shape.play(upstreams[name])
        made = World(db, sync, clock, upstreams)
        for name, shape in SHAPES.items():
            assert made.run(name).models_added == len(shape.models)
        yield made


def create(providers: Providers, shape: Shape, upstream: FakeProvider) -> None:
    wanted = Provider(
        provider_id=shape.dialect,
        display_name=shape.dialect,
        provider_type=ProviderType.CUSTOM,
        dialect=shape.dialect,
        api_base=upstream.url + shape.base,
        models_endpoint="",
    )
    providers.create(PLATFORM, wanted, None if shape.dialect == "ollama" else Secret(KEY))


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("dialect", SHAPES)
def test_a_hostile_answer_ends_a_sync_soon_and_changes_nothing(world: World, dialect: str, name: str) -> None:
    behaviour, kind, words = HOSTILE[name]
    upstream = world.upstreams[dialect]
    upstream.calm()
    before = world.rows(dialect)
    upstream.script(world.plays(behaviour))
    measured = name in ("huge", "gzip_bomb")
    if measured:
        tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(kind, match=words) as caught:
            world.run(dialect)
        assert time.monotonic() - started < MOST_SECONDS
        assert not measured or tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()

    assert len(upstream.requests) == 1
    assert world.rows(dialect) == before
    assert world.error(dialect) == caught.value.reason
    assert caught.value.metadata["provider_id"] == dialect
    assert KEY not in f"{caught.value!r} {caught.value.metadata}"
    if name == "429_seconds":
        assert caught.value.retry_after_seconds == 7
    if name == "429_date":
        assert 20 < (caught.value.retry_after_seconds or 0) <= 40


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_about_one_model_changes_nothing(world: World, name: str) -> None:
    behaviour, kind, words = HOSTILE[name]
    shape, upstream = SHAPES["ollama"], world.upstreams["ollama"]
    before = world.rows("ollama")
    upstream.calm()
    upstream.script(act.answer(shape.list(shape.pages["/api/tags"]["models"])), world.plays(behaviour))
    started = time.monotonic()

    with pytest.raises(kind, match=words):
        world.run("ollama")

    assert time.monotonic() - started < MOST_SECONDS
    assert world.rows("ollama") == before


@pytest.mark.parametrize("dialect", PAGED)
@pytest.mark.parametrize(
    "behaviour", [act.fail(500), act.hang, act.answer(b"<html>")], ids=["500", "hang", "html"]
)
def test_a_list_whose_second_page_fails_changes_nothing(
    world: World, dialect: str, behaviour: Behaviour
) -> None:
    shape, upstream = SHAPES[dialect], world.upstreams[dialect]
    before = world.rows(dialect)
    upstream.calm()
    upstream.script(act.answer(json.dumps(shape.pages[shape.first]).encode()), world.plays(behaviour))

    with pytest.raises((ProviderUnavailable, ProviderInvalidResponse)):
        world.run(dialect)

    assert len(upstream.requests) == 2
    assert world.rows(dialect) == before


@pytest.mark.parametrize("dialect", SHAPES)
def test_a_provider_that_is_not_there_changes_nothing(world: World, dialect: str) -> None:
    before = world.rows(dialect)
    address = world.upstreams[dialect].url + SHAPES[dialect].base
    with nobody() as elsewhere:
        try:
            move(world, dialect, f"http://{elsewhere}")
            with pytest.raises(ProviderUnavailable, match="no connection"):
                world.run(dialect)
        finally:
            move(world, dialect, address)

    assert world.rows(dialect) == before


def move(world: World, dialect: str, api_base: str) -> None:
    with world.db.system() as tx:
        tx.execute("update providers set api_base = %s where provider_id = %s", [api_base, dialect])


@pytest.mark.parametrize("dialect", SHAPES)
def test_an_empty_list_is_held_back(world: World, dialect: str) -> None:
    before, upstream = world.rows(dialect), world.upstreams[dialect]
    upstream.calm()
    upstream.script(act.answer(SHAPES[dialect].list([])))

    with pytest.raises(SyncSuspicious):
        world.run(dialect)

    assert world.rows(dialect) == before
    assert world.error(dialect) == "SYNC_SUSPICIOUS"


@pytest.mark.parametrize("dialect", SHAPES)
def test_duplicate_and_null_ids_are_counted_and_change_nothing(world: World, dialect: str) -> None:
    shape, upstream = SHAPES[dialect], world.upstreams[dialect]
    before = world.rows(dialect)
    listed = [
        each for page in shape.pages.values() for each in (page[shape.member] if shape.member else page)
    ]
    ids = dict.fromkeys({"id", "name", "model"} & listed[0].keys())
    upstream.calm()
    upstream.script(act.answer(shape.list([*listed, listed[0], {**listed[0], **ids}, None])))

    result = world.run(dialect)

    assert (result.models_unchanged, result.models_invalid) == (len(shape.models), shape.invalid + 3)
    assert result.models_added + result.models_updated + result.models_missing == 0
    assert world.rows(dialect) == before
    assert world.error(dialect) == ""
