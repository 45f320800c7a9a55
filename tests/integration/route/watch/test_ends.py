"""Readers that are slow, streams that end, and who may watch whom."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import psycopg
import pytest
from psycopg.types.json import Jsonb

from imrs_client import v1 as pb
from imrs_client.ranked import RemovedBy
from imrs_server.domain.principal import Role
from imrs_server.storage.changes import Change, Kind
from imrs_server.transport.watch import hub
from tests.support.schema import HERE, NOW, insert
from tests.support.waiting import eventually
from tests.support.watching import (
    AGENT,
    DELTA,
    FULL,
    NEVER,
    QUICK,
    Metadata,
    Serving,
    Stream,
    bearer,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from tests.integration.route.watch.conftest import Clock
    from tests.support.world import World


class TestSlow:
    """A caller who takes nothing, on a connection that holds little for him."""

    @staticmethod
    def slow(serving: Serving) -> Stream:
        options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16))
        return serving.watch(on=serving.connect(*options))

    @staticmethod
    def fill(world: World, number: int) -> int:
        return world.update_agent(capsule=Jsonb({"body": {}, "note": f"{number} " + "x" * 60_000}))

    def test_he_gets_the_newest_when_he_comes_back_and_holds_up_nobody(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        serving = serve(replace(QUICK, patience_seconds=NEVER, senders=2))
        slow, quick = self.slow(serving), serving.watch()
        slow.next()
        quick.next()
        revision, rounds = 0, 30
        for number in range(rounds):
            revision = self.fill(world, number)
            quick.until(revision)
        eventually(lambda: len(serving.hub._sending) == 1)
        told = slow.until(revision)
        assert len(told) < rounds / 2
        # What lies between is not known any more, so it is the whole.
        assert FULL in {each.kind for each in told}
        assert slow.snapshot is not None
        assert quick.snapshot is not None
        assert slow.snapshot.agent == quick.snapshot.agent
        [change] = slow.until(world.update_model("low", priority=90))
        assert change.kind == DELTA

    def test_he_is_cut_in_the_end(self, serve: Callable[..., Serving], world: World, clock: Clock) -> None:
        serving = serve(replace(QUICK, patience_seconds=60.0))
        slow, quick = self.slow(serving), serving.watch()
        slow.next()
        quick.next()
        for number in range(10):
            quick.until(self.fill(world, number))
        eventually(lambda: len(serving.hub._sending) == 1)
        assert serving.hub.streams == 2
        clock.ahead_seconds += 61.0
        eventually(lambda: serving.hub.streams == 1)
        with pytest.raises(grpc.RpcError) as raised:
            slow.until(sys.maxsize)
        assert raised.value.code() is grpc.StatusCode.CANCELLED
        quick.until(self.fill(world, 11))

    def test_many_of_them_do_not_take_all_senders(
        self, serve: Callable[..., Serving], world: World, clock: Clock
    ) -> None:
        serving = serve(replace(QUICK, patience_seconds=NEVER, scarce_seconds=60.0, senders=3))
        quick = serving.watch()
        quick.next()
        [hers] = serving.streams
        slow = [self.slow(serving) for _ in range(6)]
        for each in slow:
            each.next()

        def told_in_time(told: Future[Any]) -> bool:
            """A minute goes by where the slow ones have had all senders for a moment."""
            sending = dict(serving.hub._sending)
            if len(sending) == 3 and hers not in sending and 0.5 < clock() - max(sending.values()) < 60:
                clock.ahead_seconds += 61.0
            return told.done()

        with ThreadPoolExecutor(1) as reader:
            for number in range(20):
                told = reader.submit(quick.until, self.fill(world, number))
                eventually(partial(told_in_time, told))
                told.result()
        assert serving.hub.streams < 7


class TestEnds:
    def test_when_the_agent_is_deleted(self, serve: Callable[..., Serving], world: World) -> None:
        stream = serve().watch()
        stream.next()
        world.update_agent(state="DELETED", delete_time=NOW)
        assert stream.refusal() == ("NOT_FOUND", "AGENT_NOT_FOUND")

    def test_not_when_it_is_disabled_for_route_answers_too(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        stream = serve().watch()
        stream.next()
        stream.until(world.update_agent(state="DISABLED"))
        assert {each.state_removal[0] for each in stream.ranked if each.state_removal} == {RemovedBy.DISABLED}
        assert stream.snapshot is not None
        assert stream.snapshot.agent.state == pb.Agent.DISABLED

    def test_when_the_token_is_revoked(self, serve: Callable[..., Serving], world: World) -> None:
        serving, token_id = serve(), UUID(int=11)
        stream, other = serving.watch(bearer(Role.AGENT, "a", token_id=token_id)), serving.watch()
        stream.next()
        other.next()
        with psycopg.connect(world.database.dsn) as connection:
            insert(
                connection,
                "issued_tokens",
                token_id=token_id,
                tenant_id=HERE,
                expire_time=NOW + timedelta(days=1),
                revoke_time=NOW,
            )
        revision = world.change("select 1", Change(Kind.TOKEN, str(token_id), HERE))
        assert stream.refusal() == ("UNAUTHENTICATED", "TOKEN_INVALID")
        other.until(revision)

    def test_when_the_token_expires(self, serve: Callable[..., Serving]) -> None:
        serving = serve(replace(QUICK, check_seconds=0.1))
        joined: list[Stream] = []

        def join() -> bool:
            # Clocks may differ by half a minute, so this one has five seconds left; on a slow machine none.
            stream = serving.watch(bearer(Role.AGENT, "a", lifetime=timedelta(seconds=-25)))
            with suppress(grpc.RpcError):
                stream.next()
                joined.append(stream)
            return bool(joined)

        eventually(join)
        assert joined[0].refusal() == ("UNAUTHENTICATED", "TOKEN_EXPIRED")

    def test_when_the_server_stops(
        self, serve: Callable[..., Serving], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(hub, "_STOP_SECONDS", 60.0)
        serving = serve()
        streams = [serving.watch() for _ in range(20)]
        for each in streams:
            each.next()
        with ThreadPoolExecutor(1) as stopping:
            stopped = stopping.submit(serving.server.stop, 100, serving.hub.stop)
            assert {each.refusal() for each in streams} == {("UNAVAILABLE", "SERVER_STOPPING")}
            stopped.result(30)
        assert serving.hub.streams == 0

    def test_when_the_caller_leaves_nothing_is_left(self, serve: Callable[..., Serving]) -> None:
        serving = serve(replace(QUICK, memory_seconds=0.0))
        streams = [serving.watch() for _ in range(20)]
        for each in streams:
            each.next()
        assert serving.hub.streams == 20
        for each in streams:
            each.call.cancel()
        eventually(lambda: not serving.hub._visits)
        assert serving.hub.streams == 0


class TestAccess:
    @pytest.mark.parametrize(
        ("caller", "fields", "refusal"),
        [
            (bearer(Role.AGENT, "b"), {"agent_id": "a"}, ("PERMISSION_DENIED", "AGENT_MISMATCH")),
            (bearer(Role.USER), {"agent_id": "a"}, ("PERMISSION_DENIED", "ROLE_REQUIRED")),
            (bearer(Role.TENANT_ADMIN), {"agent_id": "x"}, ("NOT_FOUND", "AGENT_NOT_FOUND")),
            (bearer(Role.TENANT_ADMIN), {}, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
            (AGENT, {"from_revision": -1}, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
            (AGENT, {"tenant_id": str(UUID(int=9))}, ("PERMISSION_DENIED", "TENANT_MISMATCH")),
        ],
    )
    def test_who_may_not(
        self, serve: Callable[..., Serving], caller: Metadata, fields: Any, refusal: tuple[str, str]
    ) -> None:
        assert serve().watch(caller, **fields).refusal() == refusal

    def test_an_admin_may_watch_an_agent(self, serve: Callable[..., Serving]) -> None:
        assert serve().watch(bearer(Role.TENANT_ADMIN), agent_id="b").next().agent.agent_id == "b"

    def test_more_streams_than_a_server_takes(self, serve: Callable[..., Serving]) -> None:
        serving = serve(replace(QUICK, most_streams=2))
        streams = [serving.watch() for _ in range(2)]
        for each in streams:
            each.next()
        assert serving.watch().refusal() == ("RESOURCE_EXHAUSTED", "OVERLOADED")
        streams[0].call.cancel()
        eventually(lambda: serving.hub.streams == 1)
        assert serving.watch().next().kind == FULL
