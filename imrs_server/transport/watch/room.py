"""What is known of a watched agent: its newest content, and those before it that somebody may still have."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import v1 as pb
from imrs_server.index import view
from imrs_server.transport.convert import snapshots
from imrs_server.transport.convert.snapshots import Content, Head

if TYPE_CHECKING:
    from imrs_server.index.tables import AgentTables
    from imrs_server.storage.index import Key
    from imrs_server.transport.convert.ranked_tables import Table

T = TypeVar("T")

# Whoever is further behind gets the whole.
_MOST_CONTENTS = 8
_MOST_BYTES = 32 << 20
_MOST_SPANS = 64


class Position(NamedTuple):
    """What somebody was told last: the content, of which revision, and whether it may be stale."""

    fingerprint: bytes
    revision: int
    stale: bool = False


class Payload(NamedTuple):
    """Serialised messages, and the position of who has received them all."""

    chunks: list[bytes]
    position: Position


@dataclass(slots=True)
class _Span:
    """Revisions that had a content."""

    first: int
    last: int
    fingerprint: bytes


class Room:
    """One thread builds; all else needs the lock of the hub."""

    def __init__(self, key: Key) -> None:
        self.key = key
        self.revision = 0
        self.payloads_made = 0
        self._begin = 0
        self._contents: dict[bytes, Content] = {}
        self._sizes: dict[bytes, int] = {}
        self._spans: deque[_Span] = deque(maxlen=_MOST_SPANS)
        self._payloads: dict[tuple[Position | None, bool], Payload] = {}

    @property
    def fingerprint(self) -> bytes:
        """Of the newest content; empty before the first."""
        return self._spans[-1].fingerprint if self._spans else b""

    def build(self, tables: AgentTables, *, same_models: bool = False) -> Content:
        """The content of an agent's tables; what is as in the newest one is the same object.

        ``same_models`` says that its models are known to be those of the newest.
        """
        before = self._contents.get(self.fingerprint)
        ranked = snapshots.tables(view.ranked(tables))
        if before is None:
            models = snapshots.models(view.entries(tables))
        else:
            ranked = {name: _same_table(before.tables.get(name), each) for name, each in ranked.items()}
            models = dict(before.models)
            if not same_models:
                read = snapshots.models(view.entries(tables))
                models = {name: _same(models.get(name), each) for name, each in read.items()}
        return Content(snapshots.agent(view.settings(tables), frozenset(models)), models, ranked)

    def accept(self, content: Content, fingerprint: bytes, revision: int) -> None:
        """Take what was built at a revision for the newest."""
        self._contents.pop(fingerprint, None)
        self._contents[fingerprint] = content
        self._sizes[fingerprint] = sum(map(len, content.whole))
        while len(self._contents) > 1 and self._too_much():
            oldest = next(iter(self._contents))
            del self._contents[oldest], self._sizes[oldest]
        if not self._spans:
            self._begin = revision
        if fingerprint != self.fingerprint:
            self._spans.append(_Span(revision, revision, fingerprint))
        self.confirm(revision)

    def confirm(self, revision: int) -> None:
        """The newest content is also that of a later revision."""
        self._spans[-1].last = revision
        if revision < self.revision:
            # The database was restored: numbers mean something else now.
            self._spans = deque([_Span(revision, revision, self.fingerprint)], maxlen=_MOST_SPANS)
            self._begin = revision
        self.revision = revision
        self.forget_payloads()

    def find(self, revision: int, fingerprint: bytes) -> Position | None:
        """The position of somebody who comes with a revision; None where that content is not known here.

        Without a fingerprint a revision must be that of one content only, all through: there is more than one
        where Vault changed, and what the first revision was before is not known.
        """
        if fingerprint:
            known = {fingerprint} & self._contents.keys()
        else:
            spans = (each for each in self._spans if each.first <= revision <= each.last)
            known = {each.fingerprint for each in spans if revision > self._begin}
        if revision <= 0 or len(known) != 1:
            return None
        return Position(known.pop(), revision)

    def lacking(self, position: Position | None, *, stale: bool) -> Payload:
        """What leads from a position to the newest; made once for all who are there."""
        found = self._payloads.get((position, stale))
        if found is None:
            found = self._payloads[position, stale] = self._make(position, stale)
            self.payloads_made += 1
        return found

    def forget_payloads(self) -> None:
        self._payloads.clear()

    def _make(self, position: Position | None, stale: bool) -> Payload:
        base = None if position is None else self._contents.get(position.fingerprint)
        newest = self._contents[self.fingerprint]
        if position is None or base is None:
            kind, base_revision, pieces = pb.AgentSnapshot.FULL, 0, newest.whole
        elif position.fingerprint == self.fingerprint:
            kind, base_revision, pieces = pb.AgentSnapshot.HEARTBEAT, position.revision, iter(())
        else:
            kind, base_revision, pieces = pb.AgentSnapshot.DELTA, position.revision, newest.since(base)
        head = Head(
            kind=kind,
            revision=self.revision,
            base_revision=base_revision,
            stale=stale,
            fingerprint=self.fingerprint,
            create_time=_now(),
        )
        return Payload(snapshots.chunks(head, pieces), Position(self.fingerprint, self.revision, stale))

    def _too_much(self) -> bool:
        return len(self._contents) > _MOST_CONTENTS or sum(self._sizes.values()) > _MOST_BYTES


def _same(before: T | None, now: T) -> T:
    return before if before is not None and before == now else now


def _same_table(before: Table | None, now: Table) -> Table:
    return before if before is not None and before.pieces == now.pieces else now


def _now() -> Timestamp:
    seconds, nanos = divmod(time_ns(), 10**9)
    return Timestamp(seconds=seconds, nanos=nanos)
