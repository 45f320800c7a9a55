"""What the worker processes of tests do; spawned processes import it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from imrs_server.cli import worker
from imrs_server.cli.ending import Ending
from imrs_server.cli.pulse import Pulse
from imrs_server.cli.workers import READY
from imrs_server.transport.guard import Guard

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

    from imrs_server.cli.worker import Given


def steady(messages: Connection, folder: Path, number: int, again: bool) -> None:
    """Serves until it is ended; a file in the folder has its process id."""
    with Ending() as ending:
        (folder / f"{number}-{os.getpid()}-{again}").touch()
        messages.send(READY)
        ending.wait()


SILENCE_SECONDS = 6.0


def beating(messages: Connection, folder: Path, number: int, again: bool) -> None:
    """Serves until it is ended, and gives signs of life."""
    pulse = Pulse(messages, SILENCE_SECONDS)
    pulse.start()
    with Ending() as ending:
        (folder / f"{number}-{os.getpid()}-{again}").touch()
        pulse.say(READY)
        ending.wait()


def stuck(messages: Connection, folder: Path, number: int, again: bool) -> None:
    """The first one's work hangs as soon as it has begun, and nothing else of it does."""
    pulse = Pulse(messages, SILENCE_SECONDS)
    with Ending() as ending:
        (folder / f"{number}-{os.getpid()}-{again}").touch()
        pulse.say(READY)
        if not again:
            pulse.turn = threading.Event().wait  # type: ignore[assignment]
        pulse.start()
        ending.wait()


def fleeting(_messages: Connection, folder: Path, number: int, _again: bool) -> None:
    """The second ends as soon as it has begun, by a signal."""
    if number == 1:
        with (folder / "starts").open("a") as starts:
            starts.write(".")
        os.kill(os.getpid(), signal.SIGKILL)
    threading.Event().wait()


def refusing(messages: Connection, words: str, _number: int, _again: bool) -> None:
    """Says why it will never serve."""
    messages.send(words)


def deaf(messages: Connection, _given: object, _number: int, _again: bool) -> None:
    """Does not end when it is told to."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    messages.send(READY)
    threading.Event().wait()


def unserved(messages: Connection, given: Given, number: int, again: bool) -> None:
    """A whole worker. The thread of the first one that takes all calls hangs with the first of Route."""
    if not again:
        intercept = Guard.intercept_service

        def hang(guard: Guard, continuation: Any, details: Any) -> Any:
            if details.method.endswith("/Route"):
                threading.Event().wait()
            return intercept(guard, continuation, details)

        Guard.intercept_service = hang  # type: ignore[assignment, method-assign]
    worker.run(messages, given, number, again)
