"""The gRPC server: our services behind the guard, health, and reflection where it is wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from imrs_client import v1
from imrs_server.transport import reflection
from imrs_server.transport.guard import Guard
from imrs_server.transport.pools import Pools
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.transport.tokens import Verifier

SERVICES: Mapping[str, tuple[Any, Any]] = {
    "imrs.v1.AdminService": (v1.AdminServiceServicer, v1.add_AdminServiceServicer_to_server),
    "imrs.v1.CatalogService": (v1.CatalogServiceServicer, v1.add_CatalogServiceServicer_to_server),
    "imrs.v1.RouteService": (v1.RouteServiceServicer, v1.add_RouteServiceServicer_to_server),
    "imrs.v1.FeedbackService": (v1.FeedbackServiceServicer, v1.add_FeedbackServiceServicer_to_server),
}

MAX_REQUEST_BYTES = 8 << 20

_OPTIONS = (
    # A second server on the same port would silently take half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", MAX_REQUEST_BYTES),
    ("grpc.max_metadata_size", 16 << 10),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
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


class Server:
    """Serves one servicer a service on ``address`` (host:port; port 0 takes a free one)."""

    def __init__(
        self, address: str, *, verifier: Verifier, servicers: Mapping[str, object], with_reflection: bool
    ) -> None:
        self._pools = Pools()
        guard = Guard(verifier, validate, self._pools.of, unbuilt(servicers))
        self._server = grpc.server(self._pools.route, interceptors=[guard], options=_OPTIONS)
        for service, (_, add) in SERVICES.items():
            add(servicers[service], self._server)
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        self.ready(serving=False)
        if with_reflection:
            reflection.add((*SERVICES, health.SERVICE_NAME), self._server)
        self.port = self._server.add_insecure_port(address)

    def start(self) -> None:
        self._server.start()

    def ready(self, *, serving: bool) -> None:
        """Say so to the health service, for the whole and for each service."""
        status = (
            health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        )
        for name in ("", *SERVICES):
            self._health.set(name, status)

    def stop(self, grace_seconds: float) -> None:
        """Tell health first, then let calls in flight end."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_seconds).wait()
        self._pools.close()
