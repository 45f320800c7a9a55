"""One worker: a process that serves gRPC on the port that it shares with others."""

from __future__ import annotations

import faulthandler
import gc
import os
import signal
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from imrs_server.cli import cores, run_folder
from imrs_server.cli.ending import Ending
from imrs_server.cli.pulse import Pulse
from imrs_server.cli.workers import READY, STACKS_SIGNAL, STOP_SECONDS
from imrs_server.console.process import after_parent
from imrs_server.settings import Settings

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from imrs_server.wiring import App

# So long a worker that replaces another lets the others answer, while it reads the index.
_PATIENCE_SECONDS = 10.0
_GC_THRESHOLDS = (10_000, 20, 20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What all workers of a run are told. ``settings.grpc_addr`` has the port that is reserved for them."""

    settings: Settings
    workers: int
    folder: Path
    pinned: bool


def run(messages: Connection, given: Given, number: int, again: bool) -> None:
    """Serve until SIGTERM. For ``Workers``."""
    after_parent(_end)
    faulthandler.register(STACKS_SIGNAL)
    pulse = Pulse(messages, given.settings.worker_silence_seconds)
    pulse.start()
    if given.pinned:
        cores.pin(number)
    run_folder.count_in(given.folder)
    # Only now: what these start stays on the core; and who only watches workers needs none of it.
    from imrs_server.domain.errors import AddressForbidden, InvalidRequest  # noqa: PLC0415
    from imrs_server.telemetry import logs  # noqa: PLC0415
    from imrs_server.wiring import App, Place  # noqa: PLC0415

    # Most of what is made lives long, and next to none of it in circles: to look through it seldom is enough.
    gc.set_threshold(*_GC_THRESHOLDS)
    settings = given.settings
    logs.configure(json=settings.log_format == "json", level=settings.log_level, worker=number)
    place = Place(
        number=number,
        workers=given.workers,
        folder=given.folder,
        patience_seconds=_PATIENCE_SECONDS if again and given.workers > 1 else 0.0,
    )
    with Ending() as ending:
        try:
            app = App(settings, place=place)
        except (AddressForbidden, InvalidRequest) as error:
            pulse.say(f"IMRS_JWKS_URL: {error}")
            ending.wait()
            return
        with app:
            pulse.turn = app.await_turn
            threading.Thread(target=_report, args=(app, pulse), name="report", daemon=True).start()
            ending.wait()


def _report(app: App, pulse: Pulse) -> None:
    app.wait_ready(None)
    pulse.say(READY)


def _end() -> None:
    """Nobody is there to restart us, or to end us later: end in order, and by force where that takes long."""
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(STOP_SECONDS)
    os._exit(1)
