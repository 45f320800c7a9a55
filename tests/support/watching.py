"""Agents that are watched: a server that tells of them, and a client's end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_client.snapshot import Snapshot, apply
from imrs_server.domain.principal import Role
from imrs_server.transport.tokens import Trust, issue
from imrs_server.transport.watch.hub import Hub, Pace
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_client.ranked import Candidate
    from imrs_server.transport.server import Server
    from imrs_server.transport.watch.room import Room
    from imrs_server.transport.watch.stream import Stream as ServersEnd

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

    @property
    def streams(self) -> set[ServersEnd]:
        """Of the one agent that is watched."""
        [visit] = self.hub._visits.values()
        return set(visit.streams)


def bearer(role: Role, agent_id: str | None = None, **claims: Any) -> Metadata:
    known: dict[str, Any] = {"subject": f"a {role}", "tenant_id": HERE} | claims
    return (("authorization", f"Bearer {issue(TRUST, roles=[role], agent_id=agent_id, **known)}"),)


AGENT = bearer(Role.AGENT, "a")
