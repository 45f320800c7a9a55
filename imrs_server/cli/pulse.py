"""What a worker says to its supervisor, and above all that it is still able to say anything."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection

BEAT = "beat"
_BEATS_A_BOUND = 10
_MOST_SECONDS = 1.0


def every_seconds(silence_seconds: float) -> float:
    """How often to beat for a supervisor that bears so long a silence."""
    return min(silence_seconds / _BEATS_A_BOUND, _MOST_SECONDS)


def _at_once() -> None:
    pass


class Pulse:
    """Says BEAT every few seconds from ``start`` on, each time when ``turn`` has returned.

    ``turn`` is to hang where the worker does. ``silence_seconds`` is what the supervisor bears; 0 beats not
    at all. Safe to share between threads, as a connection alone is not.
    """

    def __init__(self, messages: Connection, silence_seconds: float) -> None:
        self.turn: Callable[[], None] = _at_once
        self._messages = messages
        self._speaking = threading.Lock()
        self._seconds = every_seconds(silence_seconds)

    def start(self) -> None:
        if self._seconds:
            threading.Thread(target=self._beat, name="pulse", daemon=True).start()

    def say(self, words: str) -> None:
        with self._speaking, suppress(OSError):  # nobody is there any more
            self._messages.send(words)

    def _beat(self) -> None:
        pause = threading.Event()
        while True:
            self.turn()
            self.say(BEAT)
            pause.wait(self._seconds)
