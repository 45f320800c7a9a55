"""A server's line to itself, which nobody else uses: whether a call gets as far as an answer."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from imrs_client.health import Health

if TYPE_CHECKING:
    from pathlib import Path

    import grpc

log = structlog.get_logger()


class Line:
    """A socket at ``path``, which only its owner should be able to reach, and a connection to it.

    Several servers share a port, and a call to that may lead to any of them. This one leads to one.
    """

    def __init__(self, path: Path) -> None:
        self._address = f"unix:{path}"
        self._health = Health(self._address)

    def open(self, server: grpc.Server) -> None:
        """Have a server answer on it, before it starts. Without it, it is merely not known how it does."""
        try:
            server.add_insecure_port(self._address)
        except RuntimeError as error:
            log.warning("line.failed", detail=str(error))

    def await_answer(self) -> None:
        """Wait for any answer; for ever where the thread that takes all calls hangs, not once closed."""
        with suppress(ValueError):  # it is closed
            self._health.is_serving(None)

    def close(self) -> None:
        self._health.close()
