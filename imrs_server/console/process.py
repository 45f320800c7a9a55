"""The HTTP server as a process of its own, so that it takes no time from the threads that answer Route."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import threading
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Self

import uvicorn

from imrs_client.health import Health
from imrs_server.console import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_spawn = multiprocessing.get_context("spawn")  # gRPC does not survive a fork


class Console:
    """Serves HTTP on ``http_addr`` (host:port; port 0 takes a free one) for the gRPC server at ``grpc_addr``.

    From the constructor on connections are accepted; they are answered when the process is up. Raises OSError
    where the address is taken.
    """

    def __init__(self, http_addr: str, grpc_addr: str) -> None:
        host, _, port = http_addr.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, int(port)), family=family)
        self.address = f"{http_addr.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        self._process = _spawn.Process(
            target=_serve, args=(self._socket, grpc_addr), name="imrs-http", daemon=True
        )

    def __enter__(self) -> Self:
        with _no_interrupt():
            self._process.start()
        self._socket.close()  # the process has its own copy
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.join()


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """What starts in here never sees Ctrl-C, which a terminal sends to the whole group: our end ends it.

    A handler of its own would come too late for a Ctrl-C during its imports.
    """
    resource_tracker.ensure_running()  # its start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(listening: socket.socket, grpc_addr: str) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    health = Health(grpc_addr)
    config = uvicorn.Config(app.build(health.is_serving), log_level="warning", access_log=False)
    uvicorn.Server(config).run(sockets=[listening])


def _end_with_parent() -> None:
    """A parent that is killed says nothing; its sentinel does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
