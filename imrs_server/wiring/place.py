"""Where a worker stands among those that share a port."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The place of a worker among those that share the port of ``settings.grpc_addr``.

    The first does what is done once for all of them. ``folder`` is theirs; ``patience_seconds`` is how long
    the port is opened later while the index has not been read, for others answer on it.
    """

    number: int
    workers: int
    folder: Path
    patience_seconds: float = 0.0

    @property
    def leads(self) -> bool:
        return self.number == 0
