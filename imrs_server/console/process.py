"""The HTTP server as a process of its own, so that it takes no time from the threads that answer Route."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

import uvicorn

from imrs_client.health import Health
from imrs_server.console import app

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

_spawn = multiprocessing.get_context("spawn")  # gRPC does not survive a fork


def start(http_addr: str, grpc_addr: str) -> SpawnProcess:
    """Serve HTTP on ``http_addr`` (host:port) for the gRPC server at ``grpc_addr``."""
    process = _spawn.Process(target=_serve, args=(http_addr, grpc_addr), name="imrs-http", daemon=True)
    process.start()
    return process


def stop(process: SpawnProcess) -> None:
    process.terminate()
    process.join()


def _serve(http_addr: str, grpc_addr: str) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; our parent ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    host, _, port = http_addr.rpartition(":")
    health = Health(grpc_addr)
    uvicorn.run(
        app.build(health.is_serving),
        host=host.strip("[]"),
        port=int(port),
        log_level="warning",
        access_log=False,
    )


def _end_with_parent() -> None:
    """A parent that is killed says nothing; its sentinel does."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(0)
