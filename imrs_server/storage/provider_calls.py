"""Calls that servers were granted of providers with a limit, by the second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.call_rate import WINDOW_SECONDS, Granted
from imrs_server.storage import sql

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def hold(tx: Tx, provider_id: str) -> None:
    """Be the only one who is granted calls of this provider, until the transaction ends."""
    Q.hold.run(tx, provider_id=provider_id)


def recent(tx: Tx, provider_id: str) -> Granted | None:
    """What was granted of late; None where the provider has no limit, or is not there. Hold it first."""
    found = Q.recent.one(tx, dict, provider_id=provider_id, window_seconds=WINDOW_SECONDS)
    if found is None or found["rate_limit_rpm"] is None:
        return None
    return Granted(
        limit=found["rate_limit_rpm"],
        now_seconds=found["now_seconds"],
        calls=tuple(zip(found["seconds"], found["counts"], strict=True)),
    )


def add(tx: Tx, provider_id: str, granted: Granted, calls: int) -> None:
    """Grant so many more."""
    Q.add.run(tx, provider_id=provider_id, second=granted.second, calls=calls, window_seconds=WINDOW_SECONDS)
