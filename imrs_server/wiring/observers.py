"""Who looks on while a server works: figures, logs and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.jobs import config_watch
from imrs_server.telemetry.access_log import AccessLog
from imrs_server.telemetry.decision_lines import DecisionLines
from imrs_server.telemetry.model_calls import Everyone
from imrs_server.transport.guard import unmeasured
from imrs_server.use_cases.breakers import uncounted
from imrs_server.use_cases.sync import unnoted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imrs_server.domain.breaker import Cause
    from imrs_server.jobs.decision_log import Observe
    from imrs_server.settings import Settings
    from imrs_server.telemetry.tracing import Tracing
    from imrs_server.transport.guard import Meter
    from imrs_server.wiring.figures import Figures
    from imrs_server.wiring.part import Part


class Observers:
    """``folder`` is that of a run of several workers, of whom this one is ``worker``."""

    def __init__(self, settings: Settings, *, folder: Path | None = None, worker: int = 0) -> None:
        self.figures = _figures(settings, folder)
        self._access_log = AccessLog() if settings.access_log else None
        self._tracing = _tracing(settings, worker)
        self.model_calls = Everyone(
            *([self.figures.calls] if self.figures else []), *([self._tracing] if self._tracing else [])
        )
        self.decisions: list[Observe] = [self.figures.decided] if self.figures else []
        self.reported: list[Observe] = [self.figures.reported] if self.figures else []
        level, share = settings.decision_log, settings.decision_log_sample
        if level != "off" and share:
            self.decisions.append(DecisionLines(level, share))
            self.reported.append(DecisionLines(level, share, taken="client"))
        self.cooled: Callable[[Cause], None] = self.figures.cooled if self.figures else uncounted
        self.config_reloaded: Callable[[str], None] = (
            self.figures.config_reloaded if self.figures else config_watch.uncounted
        )
        self.synced: Callable[[str, str], None] = self.figures.synced if self.figures else unnoted

    @property
    def parts(self) -> tuple[Part, ...]:
        """They tell of all others, and so they should begin first and end last."""
        return tuple(each for each in (self.figures, self._access_log, self._tracing) if each is not None)

    def meter(self, method: str) -> Meter:
        """Who is told of the calls of a method."""
        found: Meter = self.figures.meter(method) if self.figures else unmeasured(method)
        if self._access_log:
            found = self._access_log.around(method, found)
        return self._tracing.around(method, found) if self._tracing else found


def _figures(settings: Settings, folder: Path | None) -> Figures | None:
    if not settings.metrics:
        return None
    # What it imports looks once where figures shall go, and not everybody who imports us knows it by then.
    from imrs_server.wiring.figures import Figures  # noqa: PLC0415

    return Figures(folder=folder, by_agent=settings.token_tracking)


def _tracing(settings: Settings, worker: int) -> Tracing | None:
    if not settings.traces_url:
        return None
    from imrs_server.telemetry.tracing import Tracing  # noqa: PLC0415  (an extra, and half a second of imports)

    return Tracing.to(settings.traces_url, share=settings.traces_sample, worker=worker)
