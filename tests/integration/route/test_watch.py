"""WatchAgent as a caller sees it: the whole first, then what changes, through whatever happens."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any
from uuid import UUID

import grpc
import psycopg
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from psycopg.types.json import Jsonb

from imrs_client import v1 as pb
from imrs_client.ranked import RemovedBy
from imrs_client.snapshot import Snapshot, apply
from imrs_server.domain.principal import Role
from imrs_server.domain.vault_view import VaultView
from imrs_server.storage.changes import Change, Kind
from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.route import RouteServicer
from imrs_server.transport.tokens import Trust, Verifier, issue
from imrs_server.transport.watch.hub import Hub, Pace
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.replay import Replays
from imrs_server.use_cases.reports import DecisionReports
from imrs_server.use_cases.watched import WatchedAgents
from tests.support.completions import without_keys
from tests.support.schema import HERE, NOW, insert
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imrs_client.ranked import Candidate
    from imrs_server.index.warm import Index
    from imrs_server.jobs.decision_log import DecisionLog
    from imrs_server.storage.database import Database
    from imrs_server.transport.watch.room import Room
    from imrs_server.use_cases.route import Router
    from tests.support.world import World

    Metadata = tuple[tuple[str, str], ...]

TRUST = Trust(secrets=(b"s" * 32,))
FULL, DELTA, HEARTBEAT = pb.AgentSnapshot.FULL, pb.AgentSnapshot.DELTA, pb.AgentSnapshot.HEARTBEAT
NEVER = 600.0
QUICK = Pace(evidence_seconds=0.05, beat_seconds=NEVER)


class Stream:
    """A client's end: applies what it takes, all of which is of one chunk here."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.snapshot: Snapshot | None = None

    def next(self) -> pb.AgentSnapshot:
        message: pb.AgentSnapshot = next(self.call)
        assert message.last_chunk
        self.snapshot = apply(self.snapshot, [message])
        return message

    def until(self, revision: int) -> list[pb.AgentSnapshot]:
        """All messages up to the one that leads to a revision."""
        found = [self.next()]
        while found[-1].revision < revision:
            found.append(self.next())
        return found

    @property
    def ranked(self) -> Sequence[Candidate]:
        """The candidates for code, the best first."""
        assert self.snapshot is not None
        return self.snapshot.table("code").ranked.candidates

    @property
    def best(self) -> str:
        return self.ranked[0].external_id

    def refusal(self) -> tuple[str, str]:
        """How it ends, whatever comes before: code and reason."""
        with pytest.raises(grpc.RpcError) as raised:
            for _ in self.call:
                pass
        status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call too
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        return raised.value.code().name, info.reason


class Serving:
    """One server, and a channel to it."""

    def __init__(self, hub: Hub, server: Server) -> None:
        self.hub, self.server = hub, server
        self._channels: list[grpc.Channel] = []
        self._channel = self.connect()

    def watch(
        self, metadata: Metadata | None = None, *, on: grpc.Channel | None = None, **fields: Any
    ) -> Stream:
        request, stub = pb.WatchAgentRequest(**fields), pb.RouteServiceStub(on or self._channel)
        return Stream(stub.WatchAgent(request, metadata=metadata or AGENT, timeout=60))

    def connect(self, *options: tuple[str, int]) -> grpc.Channel:
        """A connection of its own."""
        mine = ("grpc.use_local_subchannel_pool", 1)
        self._channels.append(grpc.insecure_channel(f"127.0.0.1:{self.server.port}", [mine, *options]))
        return self._channels[-1]

    def close(self) -> None:
        for each in self._channels:
            each.close()
        self.server.stop(5, self.hub.stop)

    @property
    def room(self) -> Room:
        """Of the one agent that is watched."""
        [visit] = self.hub._visits.values()
        return visit.room


def bearer(role: Role, agent_id: str | None = None, **claims: Any) -> Metadata:
    known: dict[str, Any] = {"subject": f"a {role}", "tenant_id": HERE} | claims
    return (("authorization", f"Bearer {issue(TRUST, roles=[role], agent_id=agent_id, **known)}"),)


AGENT = bearer(Role.AGENT, "a")


@pytest.fixture
def serve(
    db: Database, index: Index, router: Router, decision_log: DecisionLog
) -> Iterator[Callable[..., Serving]]:
    """Start a server that goes at a pace."""
    started: list[Serving] = []

    def start(pace: Pace = QUICK) -> Serving:
        verifier = Verifier(TRUST, revoked=index.revoked)
        hub = Hub(index, verifier.bearer, pace)
        servicers: dict[str, object] = {name: base() for name, (base, _) in SERVICES.items()}
        servicers["imrs.v1.RouteService"] = RouteServicer(
            router=router,
            decisions=Decisions(db, decision_log.flush),
            replays=Replays(db, index, decision_log.flush),
            watched=WatchedAgents(index),
            hub=hub,
            reports=DecisionReports(db, index),
            completions=without_keys(db, index, router),
            pager=Pager(b"p" * 32),
        )
        server = Server("127.0.0.1:0", verifier=verifier, servicers=servicers, with_reflection=False)
        hub.start()
        server.start()
        started.append(Serving(hub, server))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_the_whole_comes_first_and_then_what_a_change_of_configuration_makes(
    serve: Callable[..., Serving], world: World
) -> None:
    stream = serve().watch()
    first = stream.next()
    assert (first.kind, first.agent.tenant_id, first.agent.agent_id) == (FULL, str(HERE), "a")
    assert {each.model.model_id for each in first.models} == {"p/low", "p/mid", "p/high"}
    assert first.create_time.seconds > 0
    assert stream.best == "high"
    revision = world.update_model("low", priority=90)
    [change] = stream.until(revision)
    assert (change.kind, change.revision, change.base_revision) == (DELTA, revision, first.revision)
    assert [each.model.model_id for each in change.models] == ["p/low"]
    assert not change.HasField("agent")
    assert stream.best == "low"
    stream.until(world.update_provider(state="DISABLED"))
    assert {each.state_removal[0] for each in stream.ranked if each.state_removal} == {RemovedBy.PROVIDER}
    stream.until(world.update_agent_model("mid", priority_override=99))
    assert stream.best == "mid"


def test_ratings_come_as_tables_alone(serve: Callable[..., Serving], world: World) -> None:
    stream = serve().watch()
    stream.next()
    *_, change = stream.until(world.rate("low", 1.0))
    assert change.kind == DELTA
    # A model that does well at one task is expected to do well at others.
    assert [each.task_type for each in change.tables] == ["*", "code"]
    assert not change.models
    assert not change.HasField("agent")
    assert stream.best == "low"


def test_ratings_wait_for_their_time_and_configuration_takes_them_along(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    serving = serve(Pace(evidence_seconds=NEVER, beat_seconds=NEVER))
    stream = serving.watch()
    first = stream.next()
    rated = world.rate("low", 1.0)
    assert index.wait_for(rated, 20)
    revision = world.update_agent(default_model_id="p/mid")
    change = stream.next()
    assert (change.kind, change.base_revision, change.revision) == (DELTA, first.revision, revision)
    assert change.HasField("agent")
    assert {each.task_type for each in change.tables} == {"*", "code"}
    assert stream.best == "low"


def test_where_there_is_no_time_for_ratings_there_is_for_configuration(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    serving = serve(replace(QUICK, evidence_share=0.0))
    stream = serving.watch()
    stream.next()
    # What was saved up is used up.
    serving.hub._leisure.spend(1.0)
    assert index.wait_for(world.rate("low", 1.0), 20)
    revision = world.update_model("mid", priority=51)
    change = stream.next()
    assert (change.revision, stream.best) == (revision, "low")


def test_ratings_make_one_difference_in_their_time(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    stream = serve(Pace(evidence_seconds=0.4, beat_seconds=NEVER)).watch()
    stream.next()
    start, revision = monotonic(), 0
    for number in range(30):
        revision = world.rate("low", 0.5 + number / 100)
    changes = stream.until(revision)
    assert {each.kind for each in changes} == {DELTA}
    assert len(changes) <= 1 + (monotonic() - start) / 0.4


def test_what_is_not_the_agents_moves_its_revision_alone(serve: Callable[..., Serving], world: World) -> None:
    stream = serve().watch()
    first = stream.next()
    revision = world.update_agent("b", display_name="B")
    told = stream.next()
    assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, first.revision, revision)
    assert told.fingerprint == first.fingerprint
    assert stream.snapshot is not None
    assert stream.snapshot.revision == revision


def test_two_watchers_get_one_message(serve: Callable[..., Serving], world: World) -> None:
    serving = serve()
    streams = [serving.watch() for _ in range(2)]
    firsts = [each.next() for each in streams]
    made = serving.room.payloads_made
    revision = world.update_model("low", priority=90)
    told = [each.next() for each in streams]
    assert told[0] == told[1]
    assert told[0].revision == revision
    assert serving.room.payloads_made == made + 1
    assert firsts[0].fingerprint == firsts[1].fingerprint


def test_where_nothing_happens_there_is_a_heartbeat(serve: Callable[..., Serving]) -> None:
    stream = serve(replace(QUICK, beat_seconds=0.1)).watch()
    first = stream.next()
    for _ in range(3):
        told = stream.next()
        assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, first.revision, first.revision)
        assert not told.stale
        assert told.create_time.ToNanoseconds() > first.create_time.ToNanoseconds()


def test_a_server_that_hears_nothing_says_so(serve: Callable[..., Serving], index: Index) -> None:
    stream = serve().watch()
    assert not stream.next().stale
    index.poll_seconds = 0.0
    told = stream.next()
    assert (told.kind, told.stale) == (HEARTBEAT, True)
    index.poll_seconds = NEVER
    told = stream.next()
    assert (told.kind, told.stale) == (HEARTBEAT, False)


def test_what_is_seen_of_vault_comes_at_once(serve: Callable[..., Serving], index: Index) -> None:
    stream = serve().watch()
    first = stream.next()
    assert all(each.credentials_ok for each in stream.ranked)
    index.see(VaultView(answers=False))
    told = stream.next()
    assert (told.kind, told.base_revision, told.revision) == (DELTA, first.revision, first.revision)
    assert not any(each.credentials_ok for each in stream.ranked)


class TestResume:
    def test_from_what_is_there_nothing_is_sent_again(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        serving = serve()
        stream = serving.watch()
        stream.next()
        stream.until(world.update_agent("b", display_name="B"))
        assert stream.snapshot is not None
        revision = stream.snapshot.revision
        for fingerprint in (stream.snapshot.fingerprint, b""):
            again = serving.watch(from_revision=revision, from_fingerprint=fingerprint)
            again.snapshot = stream.snapshot
            told = again.next()
            assert (told.kind, told.base_revision) == (HEARTBEAT, revision)

    def test_from_an_earlier_revision_the_difference_is_sent(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        serving = serve()
        stream = serving.watch()
        first = stream.next()
        stream.until(world.update_agent("b", display_name="B"))
        between = stream.snapshot
        stream.until(world.update_model("low", priority=90))
        stream.until(world.update_model("mid", priority=95))
        for snapshot in (apply(None, [first]), between):
            assert snapshot is not None
            fingerprint = snapshot.fingerprint if snapshot is not between else b""
            again = serving.watch(from_revision=snapshot.revision, from_fingerprint=fingerprint)
            again.snapshot = snapshot
            told = again.next()
            assert (told.kind, told.base_revision) == (DELTA, snapshot.revision)
            assert {each.model.model_id for each in told.models} == {"p/low", "p/mid"}
            assert again.best == "mid"

    def test_at_another_server_equal_content_is_not_sent_again(self, serve: Callable[..., Serving]) -> None:
        first = serve().watch().next()
        other = serve()
        again = other.watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        again.snapshot = apply(None, [first])
        assert again.next().kind == HEARTBEAT

    def test_what_is_not_known_is_answered_with_the_whole(
        self, serve: Callable[..., Serving], world: World, index: Index
    ) -> None:
        first = serve().watch().next()
        other = serve()
        assert other.watch(from_revision=first.revision - 1).next().kind == FULL
        wrong = other.watch(from_revision=first.revision, from_fingerprint=b"x" * 16)
        assert wrong.next().kind == FULL
        assert index.wait_for(world.update_model("low", priority=90), 20)
        late = serve().watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        assert late.next().kind == FULL

    def test_from_a_revision_that_is_to_come_it_is_waited_for(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        """A client may come from a server that is ahead by a moment."""
        serving = serve()
        first = serving.watch().next()
        again = serving.watch(from_revision=first.revision + 1, from_fingerprint=first.fingerprint)
        again.snapshot = replace_revision(first, first.revision + 1)
        revision = world.update_agent("b", display_name="B")
        assert revision == first.revision + 1
        told = again.next()
        assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, revision, revision)

    def test_where_vault_changed_a_revision_alone_does_not_tell_what_somebody_has(
        self, serve: Callable[..., Serving], index: Index
    ) -> None:
        serving = serve()
        stream = serving.watch()
        first = stream.next()
        index.see(VaultView(answers=False))
        assert stream.next().revision == first.revision
        assert serving.watch(from_revision=first.revision).next().kind == FULL
        told = serving.watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        told.snapshot = apply(None, [first])
        assert told.next().kind == DELTA

    def test_after_a_restored_database_a_change_is_told_with_the_whole(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        stream = serve().watch()
        first = stream.next()
        with world.silently() as tx:
            tx.execute("update index_revision set epoch = gen_random_uuid()")
            tx.execute("update models set priority = 90 where model_id = 'p/low'")
        revision = world.update_agent("b", display_name="B")
        told = stream.next()
        assert (told.kind, told.revision) == (FULL, revision)
        assert told.fingerprint != first.fingerprint


def replace_revision(message: pb.AgentSnapshot, revision: int) -> Snapshot:
    other = pb.AgentSnapshot()
    other.CopyFrom(message)
    other.revision = revision
    return apply(None, [other])


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

    def test_he_is_cut_in_the_end(self, serve: Callable[..., Serving], world: World) -> None:
        serving = serve(replace(QUICK, patience_seconds=0.5))
        slow, quick = self.slow(serving), serving.watch()
        slow.next()
        quick.next()
        for number in range(10):
            quick.until(self.fill(world, number))
        eventually(lambda: serving.hub.streams == 1)
        with pytest.raises(grpc.RpcError) as raised:
            slow.until(sys.maxsize)
        assert raised.value.code() is grpc.StatusCode.CANCELLED
        quick.until(self.fill(world, 11))

    def test_many_of_them_do_not_take_all_senders(self, serve: Callable[..., Serving], world: World) -> None:
        serving = serve(replace(QUICK, patience_seconds=NEVER, scarce_seconds=0.2, senders=3))
        slow = [self.slow(serving) for _ in range(6)]
        quick = serving.watch()
        for each in (*slow, quick):
            each.next()
        for number in range(20):
            quick.until(self.fill(world, number))
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
        # Clocks may differ by half a minute, so this one has two seconds left.
        stream = serving.watch(bearer(Role.AGENT, "a", lifetime=timedelta(seconds=-28)))
        stream.next()
        assert stream.refusal() == ("UNAUTHENTICATED", "TOKEN_EXPIRED")

    def test_when_the_server_stops(self, serve: Callable[..., Serving]) -> None:
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


def test_many_streams_take_no_threads_of_their_own(serve: Callable[..., Serving], world: World) -> None:
    serving = serve()
    before = threading.active_count()
    # The client's own consumer threads are not started: nothing iterates.
    streams = [serving.watch() for _ in range(200)]
    for each in streams:
        each.next()
    assert serving.hub.streams == 200
    assert threading.active_count() - before < 40
    revision = world.update_model("low", priority=90)
    assert {each.until(revision)[-1].kind for each in streams} == {DELTA}


def change(world: World, random: Random) -> int:
    """Something."""
    name, value = random.choice(["low", "mid", "high"]), random.random()
    match random.randrange(6):
        case 0:
            return world.rate(name, value, task_type=random.choice(["code", "chat"]))
        case 1:
            return world.update_model(name, priority=int(100 * value))
        case 2:
            return world.update_agent_model(name, enabled=value < 0.7)
        case 3:
            return world.update_agent(default_model_id=f"p/{name}")
        case 4:
            return world.update_agent("b", display_name=name)
        case _:
            return world.prefer("*", name)


def test_whoever_comes_and_goes_ends_with_what_a_newcomer_is_told(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    """Watchers of two servers, who leave at random and go on at either, through changes of every kind.

    Who goes on at the same one need not say what his revision was.
    """
    servers = [serve(replace(QUICK, evidence_seconds=0.02, memory_seconds=0.1)) for _ in range(2)]
    settled, last = threading.Event(), [0]

    def watch(seed: int) -> Snapshot:
        random = Random(seed)
        known: Snapshot | None = None
        server = servers[0]
        while known is None or not settled.is_set() or known.revision < last[0]:
            before, server = server, random.choice(servers)
            named = known is not None and (server is not before or random.random() < 0.5)
            stream = server.watch(
                from_revision=known.revision if known else 0,
                from_fingerprint=known.fingerprint if known and named else b"",
            )
            stream.snapshot = known
            for _ in range(random.randint(1, 8)):
                known = stream.next() and stream.snapshot
                if settled.is_set() and known is not None and known.revision >= last[0]:
                    break
            stream.call.cancel()
        return known

    with ThreadPoolExecutor(12) as watchers:
        found = [watchers.submit(watch, seed) for seed in range(12)]
        random = Random(99)
        for _ in range(120):
            change(world, random)
            index.see(VaultView(answers=random.random() < 0.8))
        last[0] = world.update_model("low", priority=1)
        settled.set()
        newcomer = servers[0].watch()
        newcomer.until(last[0])
        whole = newcomer.snapshot
        assert whole is not None
        for each in found:
            snapshot = each.result(60)
            assert snapshot.fingerprint == whole.fingerprint
            assert (snapshot.agent, snapshot.models, snapshot.tables) == (
                whole.agent, whole.models, whole.tables
            )  # fmt: skip
