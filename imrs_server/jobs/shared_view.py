"""What one process saw of Vault, for the others on its machine: so that Vault is asked once, not by each."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.vault_view import Sighting, VaultView
from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imrs_server.index.warm import Index

PERIOD_SECONDS = 0.25


def write(path: Path, view: VaultView) -> None:
    """Replace the file at ``path``, in one step for whoever reads it."""
    rows = [
        (each.provider_id, each.tenant_id and str(each.tenant_id), each.agent_id, seen.noted, seen.usable)
        for each, seen in view.sightings.items()
    ]
    new = path.with_suffix(".new")
    new.write_text(json.dumps({"answers": view.answers, "sightings": rows}), encoding="utf-8")
    new.replace(path)


def read(path: Path) -> VaultView | None:
    """What was written last; None where nothing was yet."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    return VaultView(
        answers=found["answers"],
        sightings={
            CredentialPath(provider_id, tenant_id and UUID(tenant_id), agent_id): Sighting(noted, usable)
            for provider_id, tenant_id, agent_id, noted, usable in found["sightings"]
        },
    )


class SharedView:
    """A thread that puts into the index what another process wrote to ``path``.

    ``back`` is called when Vault answers again.
    """

    def __init__(
        self,
        path: Path,
        index: Index,
        back: Callable[[], object],
        *,
        period_seconds: float = PERIOD_SECONDS,
    ) -> None:
        self._path = path
        self._index = index
        self._back = back
        self._period_seconds = period_seconds
        self._read: tuple[int, int] | None = None
        self._loop = Loop("shared_view", self._turn, retry_seconds=period_seconds)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def _turn(self) -> float:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return self._period_seconds
        # Each writing makes a file of its own.
        version = (found.st_ino, found.st_mtime_ns)
        if version != self._read and (view := read(self._path)) is not None:
            self._read = version
            was_away = not self._index.vault.answers
            self._index.see(view)
            if was_away and view.answers:
                self._back()
        return self._period_seconds
