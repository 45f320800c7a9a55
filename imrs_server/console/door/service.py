"""The public API as the door calls it: each call with the token of whoever called the door."""

from __future__ import annotations

from contextvars import ContextVar
from itertools import cycle
from typing import TYPE_CHECKING

from imrs_client.aio import AsyncImrsClient

if TYPE_CHECKING:
    from collections.abc import Iterator

_token: ContextVar[str] = ContextVar("token")


class Service:
    """Connections to the server at ``target`` (host:port, plaintext), taken in turn; made in the event loop.

    One connection stays with one of the workers that share the port, so there are several.
    """

    def __init__(self, target: str, connections: int) -> None:
        self._target = target
        self._connections = connections
        self._clients: Iterator[AsyncImrsClient] | None = None

    def client(self, token: str) -> AsyncImrsClient:
        """What calls with this token, in the task that asks and until it asks again."""
        _token.set(token)
        if self._clients is None:
            self._clients = cycle([self._connect() for _ in range(self._connections)])
        return next(self._clients)

    def _connect(self) -> AsyncImrsClient:
        # Channels with equal options would share their connection.
        alone = (("grpc.use_local_subchannel_pool", 1),)
        return AsyncImrsClient(self._target, token=_token.get, insecure=True, options=alone)
