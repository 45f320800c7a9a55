"""What the worker processes of tests do; spawned processes import it."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

from imrs_server.cli.ending import Ending
from imrs_server.cli.workers import READY

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path


def steady(messages: Connection, folder: Path, number: int, again: bool) -> None:
    """Serves until it is ended; a file in the folder has its process id."""
    with Ending() as ending:
        (folder / f"{number}-{os.getpid()}-{again}").touch()
        messages.send(READY)
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
