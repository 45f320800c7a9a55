"""Models whose time has come between two syncs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.sync import Action, ModelChange
from imrs_server.storage import sql

if TYPE_CHECKING:
    from datetime import timedelta

    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def lead(tx: Tx) -> bool:
    """Be the one in the whole database who does this, until the transaction ends."""
    return bool(Q.lead.value(tx))


def retire(tx: Tx, missing_grace: timedelta, *, most: int) -> list[ModelChange]:
    """Retire models that are missing for longer than the grace, and those whose retire_time has passed."""
    return Q.retire.all(
        tx,
        lambda row: ModelChange(
            provider_id=row["provider_id"],
            model_id=row["model_id"],
            action=Action.RETIRED,
            before=row["before"],
            after=row["after"],
        ),
        missing_grace=missing_grace,
        most=most,
    )
