"""The gRPC server: our services behind the guard, health, and reflection where it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from imrs_client import v1
from imrs_server.transport import reflection
from imrs_server.transport.guard import Guard, unmeasured
from imrs_server.transport.pools import Limits, Pools
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from imrs_server.transport.guard import Meter
    from imrs_server.transport.line import Line
    from imrs_server.transport.tokens import Verifier

SERVICES: Mapping[str, tuple[Any, Any]] = {
    "imrs.v1.AdminService": (v1.AdminServiceServicer, v1.add_AdminServiceServicer_to_server),
    "imrs.v1.CatalogService": (v1.CatalogServiceServicer, v1.add_CatalogServiceServicer_to_server),
    "imrs.v1.RouteService": (v1.RouteServiceServicer, v1.add_RouteServiceServicer_to_server),
    "imrs.v1.FeedbackService": (v1.FeedbackServiceServicer, v1.add_FeedbackServiceServicer_to_server),
}

MAX_REQUEST_BYTES = 8 << 20

OPTIONS = (
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    # Without it, whoever keeps a connection that has no call in hand is sent away after three pings.
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Without it a keep-alive time-out never ends a connection whose peer hangs.
    ("grpc.http2.ping_timeout_ms", 10_000),
)


def unbuilt(servicers: Mapping[str, object]) -> frozenset[str]:
    """Full names of the methods that no servicer implements yet."""
    return frozenset(
        f"/{service}/{method}"
        for service, (generated, _) in SERVICES.items()
        for method in vars(generated)
        if method[0].isupper() and getattr(type(servicers[service]), method) is getattr(generated, method)
    )


def _nothing() -> None:
    pass


def kinds() -> Mapping[str, str]:
    """Whether requests, answers, both or neither of a method are a stream, by its full name."""
    return {
        f"/{service.full_name}/{method.name}": _KINDS[method.client_streaming, method.server_streaming]
        for service in map(_POOL.FindServiceByName, SERVICES)
        for method in service.methods
    }


_POOL = descriptor_pool.Default()
_KINDS = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}


class Server:
    """Serves one servicer a service on ``address`` (host:port; port 0 takes a free one).

    With ``shared_port`` several servers may serve on one port, and the kernel spreads connections over them;
    without, a second one is refused, as it would silently take half of the calls. On its ``line`` it answers
    alone.
    """

    def __init__(
        self,
        address: str,
        *,
        verifier: Verifier,
        servicers: Mapping[str, object],
        with_reflection: bool,
        limits: Limits | None = None,
        meter_of: Callable[[str], Meter] = unmeasured,
        shared_port: bool = False,
        line: Line | None = None,
    ) -> None:
        self._pools = Pools(limits or Limits())
        guard = Guard(verifier, validate, self._pools.of, unbuilt(servicers), meter_of)
        options = (("grpc.so_reuseport", int(shared_port)), *OPTIONS)
        self._server = grpc.server(self._pools.route, interceptors=[guard], options=options)
        for service, (_, add) in SERVICES.items():
            add(servicers[service], self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.ready(serving=False)
        if with_reflection:
            reflection.add((*SERVICES, health.SERVICE_NAME), self._server)
        self._address = address
        self.port = int(address.rpartition(":")[2]) if shared_port else self._listen()
        self._listens = not shared_port
        self._line = line

    def _listen(self) -> int:
        return self._server.add_insecure_port(self._address)

    @property
    def calls_in_hand(self) -> Mapping[str, int]:
        """Calls that run or wait, by the pool that serves them."""
        return self._pools.in_hand

    def start(self) -> None:
        """Serve. A shared port is opened only now, for others answer on it already."""
        if not self._listens:
            self._listen()
        if self._line:
            self._line.open(self._server)
        self._server.start()

    def ready(self, *, serving: bool) -> None:
        """Say so to the health service, for the whole and for each service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *SERVICES):
            self._health.set(name, status)

    def await_turn(self) -> None:
        """Wait as long as a call of Route would for a thread and, where there is a line, as any call would to
        be taken; not at all from the end on.
        """
        self._pools.await_turn()
        if self._line:
            self._line.await_answer()

    def stop(self, grace_seconds: float, end_streams: Callable[[], None] = _nothing) -> None:
        """Tell health first, take nothing new, end endless streams, then let calls in flight end.

        Who has not ended in time is cut, and has a moment yet to store what it came to.
        """
        self._health.enter_graceful_shutdown()
        ended = self._server.stop(grace_seconds)
        end_streams()
        ended.wait()
        self._pools.close()
        if self._line:
            self._line.close()
