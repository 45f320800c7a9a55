"""The changes of one sync beside the models as they are now, and the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_client.ids import new_id
from imrs_server.domain.sync import ModelChange
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from imrs_server.domain.revert import Undo
    from imrs_server.storage.database import Tx

Q = sql.load(__file__)

_BATCH = 1000

Changed = list[tuple[ModelChange, dict[str, Any]]]


def known(tx: Tx, provider_id: str, synced_time: datetime) -> bool:
    """Whether a sync of that time changed anything."""
    return bool(Q.known.value(tx, provider_id=provider_id, synced_time=synced_time))


def batches(tx: Tx, provider_id: str, synced_time: datetime) -> Iterator[Changed]:
    """What the sync changed in models that are not deleted, each with the model's row of now as JSON values.

    A thousand at a time; the batch before may have been written meanwhile.
    """
    behind = ""
    while True:
        found = Q.changed.all(
            tx,
            lambda row: (shape(ModelChange)(row), dict(row["current"])),
            provider_id=provider_id,
            synced_time=synced_time,
            behind=behind,
            most=_BATCH,
        )
        if not found:
            return
        yield found
        behind = found[-1][0].model_id


def write(tx: Tx, provider_id: str, synced_time: datetime, undos: Mapping[str, Undo]) -> list[str]:
    """Take changes of that sync back, by model_id, and note that. Returns the ids of the models."""
    items = [
        {
            "change_id": str(new_id()),
            "model_id": model_id,
            "fields": list(undo.fields),
            "values": dict(undo.values),
        }
        for model_id, undo in undos.items()
    ]
    return Q.write.all(
        tx,
        lambda row: str(row["model_id"]),
        provider_id=provider_id,
        synced_time=synced_time,
        items=Jsonb(items),
    )


def time(tx: Tx) -> datetime:
    """The synced_time of what this transaction writes."""
    found: datetime = Q.time.value(tx)
    return found
