"""Telling a process that hangs from one that nobody could have heard."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path


class Silence:
    """How long nothing was heard, by a clock that goes on only while somebody listens.

    Who looks again after much more than ``look_seconds`` was stopped himself, with the machine or without,
    and cannot tell what was said meanwhile: that time counts as one look.
    """

    def __init__(self, look_seconds: float) -> None:
        self.seconds = 0.0
        self.ever_heard = False
        self._look_seconds = look_seconds

    def heard(self) -> None:
        self.seconds, self.ever_heard = 0.0, True

    def lasted(self, seconds: float) -> None:
        """So much time went by since the last look."""
        self.seconds += min(seconds, self._look_seconds)


def is_traced(pid: int) -> bool:
    """Whether a debugger or a profiler holds the process; False where the system does not tell."""
    return _status(pid).get("TracerPid", "0") != "0"


def state(pid: int) -> str:
    """As the system names it, such as ``T (stopped)``; empty where it does not."""
    return _status(pid).get("State", "")


def _status(pid: int) -> dict[str, str]:
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return {name: value.strip() for name, _, value in (each.partition(":") for each in lines)}
    return {}
