"""Asks a server whether it serves, by grpc.health.v1, without another dependency."""

from __future__ import annotations

import grpc

_CHECK = "/grpc.health.v1.Health/Check"
# HealthCheckResponse{status: SERVING} on the wire: field 1, varint 1.
_SERVING = b"\x08\x01"
# Who asks every few seconds wants to hear soon of a server that is back.
_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class Health:
    """A connection to the health service at ``target`` (host:port or unix:path, plaintext)."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(_CHECK)

    def is_serving(self, timeout_seconds: float | None = 1.0) -> bool:
        """Whether the server as a whole answers SERVING in time; None waits for its answer for ever."""
        try:
            return self._check(b"", timeout=timeout_seconds) == _SERVING
        except grpc.RpcError:
            return False

    def close(self) -> None:
        self._channel.close()
