"""What servers found out about models and providers, written for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.breaker import Phase, Trouble, opened, recovered
from imrs_server.storage import breakers, changes
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from imrs_server.domain.breaker import Breaker, Subject
    from imrs_server.storage.database import Tx

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Report:
    """What became of calls in a generation of a breaker: trouble, or else that they are answered again."""

    seen: int
    trouble: Trouble | None = None


def write(tx: Tx, reports: Mapping[Subject, Report]) -> tuple[int, int]:
    """Change the breakers for which it is news: how many, and the revision that has them."""
    breakers.hold(tx)
    now = breakers.time(tx)
    changed = []
    for subject, report in sorted(reports.items()):
        after = _after(tx, breakers.get(tx, subject), subject, report, now)
        if after is not None:
            breakers.put(tx, after)
            changed.append(after)
    if not changed:
        return 0, changes.current(tx).rev
    revision = changes.announce(tx, Change(Kind.COOLDOWN))
    for each in changed:
        _tell(each)
    return len(changed), revision


def _after(tx: Tx, before: Breaker | None, subject: Subject, report: Report, now: datetime) -> Breaker | None:
    if report.trouble is not None:
        generation = breakers.generation(tx)
        return opened(before, subject, report.trouble, seen=report.seen, generation=generation, now=now)
    return None if before is None else recovered(before, seen=report.seen, now=now)


def _tell(breaker: Breaker) -> None:
    log.warning(
        "breaker.opened" if breaker.phase is Phase.COOLING else "breaker.returning",
        subject=str(breaker.subject),
        cause=breaker.cause.value,
        openings=breaker.openings,
        until=breaker.due_time.isoformat(timespec="milliseconds"),
    )
