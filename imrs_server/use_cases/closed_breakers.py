"""Breakers that are closed by hand: whoever changes what failed has seen to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.storage import breakers
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.breaker import Subject
    from imrs_server.storage.database import Tx


def close(tx: Tx, changed: Iterable[Subject]) -> tuple[Change, ...]:
    """Forget what failed with these, and what is to be announced of it.

    For after all rows are written: others hold a row of theirs while they wait for the right to do this.
    """
    breakers.hold(tx)
    closed = [breakers.close(tx, each) for each in changed]
    return (Change(Kind.COOLDOWN),) if any(closed) else ()
