"""The HTTP server as a process of its own, so that it takes no time from the threads that answer Route."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Self

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from imrs_server.console.standing import Standing

log = structlog.get_logger()

# Our end comes last, when calls have ended; this is for callers to take what was answered. Some never do.
_GOODBYE_SECONDS = 3
STOP_SECONDS = 15.0
# So many for each worker, since the system deals them out by chance.
_CONNECTIONS = 2

spawn = multiprocessing.get_context("spawn")  # gRPC does not survive a fork


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The folder in which workers count, and whether they count tokens."""

    folder: Path
    tokens: bool = True


class Listener:
    """Holds ``address`` (host:port; port 0 takes a free one); raises OSError where it is taken."""

    def __init__(self, address: str) -> None:
        named, _, port = address.rpartition(":")
        host = named.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.create_server((host, int(port)), family=family)
        self.address = f"{named}:{self.socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.socket.close()


class Console:
    """Serves HTTP on ``http_addr`` (host:port; port 0 takes a free one) for the gRPC server at ``grpc_addr``.

    From the constructor on connections are accepted; they are answered when the process is up. ``standing``
    says how the workers are, where there are several; ``figures`` is where they count. Figures are served at
    ``figures_at`` where that is given, and health at both. ``prepare`` is called first thing in the process.
    Raises OSError where the address is taken.
    """

    def __init__(
        self,
        http_addr: str,
        grpc_addr: str,
        *,
        standing: Standing | None = None,
        figures: Figures | None = None,
        figures_at: Listener | None = None,
        prepare: Callable[[], None] | None = None,
    ) -> None:
        public = Listener(http_addr)
        self.address = public.address
        self._sockets = [public.socket, *([figures_at.socket] if figures_at else [])]
        self._ending, ending = spawn.Pipe(duplex=False)[::-1]
        self._theirs: tuple[socket.socket | Connection, ...] = (*self._sockets, ending)
        self._process = spawn.Process(
            target=_serve,
            args=(self._sockets, ending, grpc_addr, standing, figures, prepare),
            name="imrs-http",
            daemon=True,
        )

    def __enter__(self) -> Self:
        with without(signal.SIGINT, signal.SIGTERM):
            self._process.start()
        for each in self._theirs:
            each.close()  # the process has its own copy
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.close()
        try:
            self._process.join(STOP_SECONDS)
        finally:
            if self._process.is_alive():
                log.error(
                    "console.killed", pid=self._process.pid, detail="it did not end when it was told to"
                )
                self._process.kill()
                self._process.join()


@contextmanager
def without(*numbers: signal.Signals) -> Iterator[None]:
    """What starts in here never sees these signals.

    A terminal sends Ctrl-C to the whole group, and a service manager SIGTERM: our end ends it, in its turn. A
    handler of its own would come too late for what is sent during its imports.
    """
    resource_tracker.ensure_running()  # its start would unblock the signal again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def after_parent(end: Callable[[], None]) -> None:
    """Have ``end`` called when the process that started this one is gone, however it went.

    A parent that is killed says nothing; its sentinel does.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    _after(parent.sentinel, end, name="parent")


def _after(readable: int | Connection, act: Callable[[], None], *, name: str) -> None:
    def watch() -> None:
        wait([readable])
        act()

    threading.Thread(target=watch, name=name, daemon=True).start()


def _serve(
    sockets: list[socket.socket],
    ending: Connection,
    grpc_addr: str,
    standing: Standing | None,
    figures: Figures | None,
    prepare: Callable[[], None] | None,
) -> None:
    """Until the other end of ``ending`` is closed; not on signals, which come when calls are yet to end."""
    after_parent(lambda: os._exit(0))
    if prepare is not None:
        prepare()
    # Whoever starts us needs none of this.
    import uvicorn  # noqa: PLC0415

    from imrs_client.health import Health  # noqa: PLC0415
    from imrs_server.console import app, door  # noqa: PLC0415

    def server(figures: Figures | None, *, with_door: bool) -> uvicorn.Server:
        doors = door.routes(grpc_addr, connections=connections) if with_door else ()
        found = app.build(health.is_serving, door=doors, standing=standing, figures=figures)
        config = uvicorn.Config(
            found,
            log_config=None,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=_GOODBYE_SECONDS,
        )
        return uvicorn.Server(config)

    health = Health(grpc_addr)
    connections = _CONNECTIONS * (standing.workers if standing else 1)
    public, *own = sockets
    for each in own:
        # A loop of its own: nobody should have to wait for callers to see how they fare.
        run = partial(server(figures, with_door=False).run, sockets=[each])
        threading.Thread(target=run, name="figures", daemon=True).start()
    main = server(None if own else figures, with_door=True)

    def end() -> None:
        main.should_exit = True

    async def serve() -> None:
        await main.serve(sockets=[public])
        os._exit(0)  # nobody waits for what callers left behind, which may hang

    _after(ending, end, name="ending")
    with asyncio.Runner(loop_factory=main.config.get_loop_factory()) as runner:
        runner.run(serve())
