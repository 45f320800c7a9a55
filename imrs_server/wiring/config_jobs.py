"""Configuration files while a server runs: one is watched, drift is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.configuration import DEFAULT_SOURCE
from imrs_server.domain.principal import Principal, Role
from imrs_server.jobs.config_drift import ConfigDrift
from imrs_server.jobs.config_watch import ConfigWatch, uncounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from uuid import UUID

    from imrs_server.domain.configuration import Plan
    from imrs_server.domain.written import Written
    from imrs_server.index.warm import Index
    from imrs_server.use_cases.configuration.apply import Configuration


class ConfigJobs:
    """Of several workers the first has them. ``note`` is told what became of each change of the file."""

    def __init__(
        self, configuration: Configuration, index: Index, *, note: Callable[[str], None] = uncounted
    ) -> None:
        self._configuration = configuration
        self._note = note
        self._watch: ConfigWatch | None = None
        self._started = False
        self.drift = ConfigDrift(configuration.drift, lambda: index.revision)

    @property
    def refused(self) -> bool:
        """Whether the file that is watched is not good."""
        return self._watch is not None and self._watch.refused

    def watch(self, path: Path, tenant_id: UUID | None, environment: str = "") -> None:
        """Apply a file now, or once we are started, and whenever it changes; not what was applied last."""
        who = Principal(subject=f"config:{path}", tenant_id=tenant_id, roles=frozenset({Role.PLATFORM_ADMIN}))

        def apply(text: str) -> Written[Plan]:
            return self._configuration.apply(
                who, tenant_id, text, source=DEFAULT_SOURCE, environment=environment, news_only=True
            )

        self._watch = ConfigWatch(path, apply, note=self._note)
        if self._started:
            self._watch.start()

    def start(self) -> None:
        self._started = True
        self.drift.start()
        if self._watch:
            self._watch.start()

    def stop(self) -> None:
        """End the threads and wait for them."""
        if self._watch:
            self._watch.stop()
        self.drift.stop()
