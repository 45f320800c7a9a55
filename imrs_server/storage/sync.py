"""A provider's list against the catalogue: staged, compared and written as sets, whatever its length.

In one transaction: ``stage`` the list, ``compare`` it, then ``preview`` or ``write``. The temporary tables
end with it; the role needs the right to make them, which every role has by default.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from imrs_server.domain.sync import MAX_PREVIEWED, ModelChange
from imrs_server.storage import sql
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from imrs_server.domain.discovery import DiscoveredModel
    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Row

Q = sql.load(__file__)

_SPOOL_MEMORY_BYTES = 8 << 20
_CHUNK_BYTES = 1 << 16
# As much as the API promises; what is larger is a description, not a model, and would make lists unreadable.
_METADATA_BYTES = 64 << 10
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Spool:
    """A list on its way from the network into a transaction that starts only when all of it is here.

    It is kept in the text format of COPY, on disk beyond 8 MiB. Use as a context manager.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_SPOOL_MEMORY_BYTES)  # noqa: SIM115  (see __exit__)

    def add(self, model: DiscoveredModel) -> None:
        self._file.write("\t".join(map(_field, _values(model))).encode() + b"\n")

    def chunks(self) -> Iterator[bytes]:
        """Everything that was added."""
        self._file.seek(0)
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What the list means for the catalogue.

    ``missing`` counts what the list lacks and is not known to be gone; ``dropping`` those of them that were
    listed the last time, out of ``known`` such models.
    """

    added: int
    updated: int
    missing: int
    dropping: int
    known: int
    synced_time: datetime


def stage(tx: Tx, spool: Spool) -> None:
    """Put the list beside the catalogue."""
    # A hundred thousand new models take longer than any other statement may.
    Q.take_time.run(tx)
    Q.create_items.run(tx)
    with tx.cursor() as cursor, cursor.copy(Q.copy_items.text) as copy:
        for chunk in spool.chunks():
            copy.write(chunk)
    Q.analyze_items.run(tx)


def compare(tx: Tx, provider_id: str, missing_grace: timedelta) -> Comparison:
    """Find out what differs; an admin's word, and a deletion, stand against the list.

    A model that is missing for longer than the grace counts as gone.
    """
    Q.create_plan.run(tx)
    Q.plan.run(tx, provider_id=provider_id, missing_grace=missing_grace)
    found = Q.counts.one(tx, shape(Comparison))
    assert found is not None
    return found


def preview(tx: Tx, provider_id: str) -> list[ModelChange]:
    """The first 1,000 changes, by model."""
    return Q.preview.all(tx, shape(ModelChange), provider_id=provider_id, most=MAX_PREVIEWED)


def write(tx: Tx, provider: Provider) -> list[str]:
    """Write the changes and their history. Returns the ids of the models that were written."""
    Q.log.run(tx, provider_id=provider.provider_id)
    updated = Q.update.all(tx, _model_id, last_synced_time=provider.last_synced_time)
    return updated + Q.insert.all(tx, _model_id, provider_id=provider.provider_id)


def _model_id(row: Row) -> str:
    return str(row["model_id"])


def _values(model: DiscoveredModel) -> Iterator[Any]:
    """In the order of the columns that ``copy_items`` names."""
    metadata = json.dumps(model.metadata, ensure_ascii=False)
    yield model.external_id
    yield model.display_name
    yield model.model_type
    yield json.dumps(model.capabilities)
    yield model.cost_tier
    yield model.context_length
    yield model.max_output_tokens
    yield model.price_state
    yield model.input_price_usd
    yield model.output_price_usd
    yield model.cached_input_price_usd
    yield None if model.retire_time is None else model.retire_time.isoformat()
    yield json.dumps(model.provenance)
    yield metadata if len(metadata.encode()) <= _METADATA_BYTES else "{}"


def _field(value: Any) -> str:
    return r"\N" if value is None else str(value).translate(_ESCAPES)
