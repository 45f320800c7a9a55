"""Which agents figures name: the first ones of a run, so that nobody can grow them without end."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

MOST = 1000
OTHER = "other"

_FILE = "agents.txt"


class AgentLabels:
    """The first ``most`` agents that any worker of the run saw have their name, all others are ``other``.

    The workers agree by a file in the ``folder`` of the run; without one there is only this process. Not for
    several threads at once. Raises OSError where the file cannot be written.
    """

    def __init__(self, folder: Path | None = None, *, most: int = MOST) -> None:
        self._path = folder / _FILE if folder else None
        self._most = most
        self._known: set[str] = set()
        self._read = 0

    def of(self, agent_id: str) -> str:
        """The label of an agent."""
        if agent_id in self._known:
            return agent_id
        if len(self._known) >= self._most:
            return OTHER
        if self._path is None:
            self._known.add(agent_id)
        else:
            self._agree(self._path, agent_id)
        return agent_id if agent_id in self._known else OTHER

    def _agree(self, path: Path, agent_id: str) -> None:
        with path.open("a+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self._read)
            self._known.update(file.read().split())
            if agent_id not in self._known and len(self._known) < self._most:
                file.write(f"{agent_id}\n")
                self._known.add(agent_id)
            self._read = file.seek(0, 2)
