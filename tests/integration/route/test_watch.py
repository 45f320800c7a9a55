"""WatchAgent as a caller sees it: the whole first, then what changes, through whatever happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_client.decide import NothingEligible, decide
from imrs_client.snapshot import Snapshot, apply
from imrs_server.domain.principal import Role
from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.route import RouteServicer
from imrs_server.transport.tokens import Trust, Verifier, issue
from imrs_server.transport.watch.hub import Hub, Pace
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.replay import Replays
from imrs_server.use_cases.reports import DecisionReports
from imrs_server.use_cases.watched import WatchedAgents
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.index.warm import Index
    from imrs_server.jobs.decision_log import DecisionLog
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.route import Router
    from tests.support.world import World

TRUST = Trust(secrets=(b"s" * 32,))
FULL, DELTA, HEARTBEAT = pb.AgentSnapshot.FULL, pb.AgentSnapshot.DELTA, pb.AgentSnapshot.HEARTBEAT
QUICK = Pace(evidence=0.05, beat=30.0)
NEVER_SECONDS = 600.0


class Watched:
    """A server, and callers who watch the agent ``a``."""

    def __init__(self, parts: Callable[[Hub], dict[str, Any]], index: Index) -> None:
        self._parts, self._index = parts, index
        self._undo: list[Callable[[], object]] = []

    def serve(self, pace: Pace = QUICK) -> Served:
        verifier = Verifier(TRUST, revoked=self._index.revoked)
        hub = Hub(self._index, verifier.bearer, pace)
        servicers: dict[str, object] = {name: base() for name, (base, _) in SERVICES.items()}
        servicers["imrs.v1.RouteService"] = RouteServicer(**self._parts(hub))
        server = Server("127.0.0.1:0", verifier=verifier, servicers=servicers, with_reflection=False)
        hub.start()
        server.start()
        channel = grpc.insecure_channel(f"127.0.0.1:{server.port}")
        self._undo += [lambda: server.stop(5, hub.stop), channel.close]
        return Served(hub, server, channel)

    def close(self) -> None:
        while self._undo:
            self._undo.pop()()


class Served:
    """One server and a channel to it."""

    def __init__(self, hub: Hub, server: Server, channel: grpc.Channel) -> None:
        self.hub, self.server = hub, server
        self.stub = pb.RouteServiceStub(channel)

    def watch(self, metadata: Any = None, **fields: Any) -> Stream:
        return Stream(self.stub.WatchAgent(pb.WatchAgentRequest(**fields), metadata=metadata or AGENT))

    @property
    def room(self) -> Any:
        [visit] = self.hub._visits.values()
        return visit.room


class Stream:
    """A client's end. ``next`` applies the next message; it must be of one chunk."""

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

    def best(self, task_type: str = "code") -> str:
        assert self.snapshot is not None
        return self.snapshot.table(task_type).ranked.candidates[0].model_id

    def refusal(self) -> tuple[grpc.StatusCode, str]:
        """How it ends, whatever comes before."""
        with pytest.raises(grpc.RpcError) as raised:
            for _ in self.call:
                pass
        status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call too
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info)
        return raised.value.code(), info.reason


def bearer(role: Role, agent_id: str | None = None, **claims: Any) -> tuple[tuple[str, str], ...]:
    claims = {"tenant_id": HERE} | claims
    token = issue(TRUST, roles=[role], subject=f"a {role}", agent_id=agent_id, **claims)
    return (("authorization", f"Bearer {token}"),)


AGENT = bearer(Role.AGENT, "a")


@pytest.fixture
def watched(db: Database, index: Index, router: Router, decision_log: DecisionLog) -> Iterator[Watched]:
    def parts(hub: Hub) -> dict[str, Any]:
        return {
            "router": router,
            "decisions": Decisions(db, decision_log.flush),
            "replays": Replays(db, index, decision_log.flush),
            "watched": WatchedAgents(index),
            "hub": hub,
            "reports": DecisionReports(db),
            "pager": Pager(b"p" * 32),
        }

    found = Watched(parts, index)
    yield found
    found.close()


def test_the_whole_comes_first_and_then_what_a_change_of_configuration_makes(
    watched: Watched, world: World
) -> None:
    stream = watched.serve().watch()
    first = stream.next()
    assert (first.kind, first.agent.tenant_id, first.agent.agent_id) == (FULL, str(HERE), "a")
    assert {each.model.model_id for each in first.models} == {"p/low", "p/mid", "p/high"}
    assert stream.best() == "p/high"
    revision = world.update_model("low", priority=90)
    *_, change = stream.until(revision)
    assert (change.kind, change.revision, change.base_revision) == (DELTA, revision, first.revision)
    assert [each.model.model_id for each in change.models] == ["p/low"]
    assert not change.HasField("agent")
    assert stream.best() == "p/low"
    revision = world.update_provider(state="DISABLED")
    stream.until(revision)
    with pytest.raises(NothingEligible):
        decide_on(stream)


def decide_on(stream: Stream) -> str:
    from imrs_client.query import Query  # noqa: PLC0415

    assert stream.snapshot is not None
    ranked = stream.snapshot.table("code").ranked
    return ranked.candidates[decide(ranked, Query()).selected].model_id
