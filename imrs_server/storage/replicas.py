"""The server processes of an installation, as each last told of itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from imrs_server.domain.status import Replica
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)


def tell(tx: Tx, replica: Replica) -> None:
    """What a process says of itself now, by the clock of the database."""
    Q.tell.run(tx, **asdict(replica))


def leave(tx: Tx, replica_id: str) -> None:
    """A process ends."""
    Q.leave.run(tx, replica_id=replica_id)


def forget(tx: Tx, silent_seconds: float) -> None:
    """Those that were not heard of for so long."""
    Q.forget.run(tx, silent_seconds=silent_seconds)


def heard(tx: Tx, silent_seconds: float, most: int) -> list[Replica]:
    """Those that were heard of since, the oldest first."""
    return Q.list.all(tx, shape(Replica), silent_seconds=silent_seconds, most=most)
