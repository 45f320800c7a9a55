"""Defaults of everybody and of a tenant, as a file is about them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain import routing
from imrs_server.domain.configuration import Thing
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.storage import defaults
from imrs_server.storage.changes import Change
from imrs_server.storage.changes import Kind as Changed
from imrs_server.use_cases import known
from imrs_server.use_cases.configuration.kind import blank_fields, domain_fields, ids_of, over, read_fields
from imrs_server.use_cases.configuration.wanted import GLOBAL, TENANT
from imrs_server.use_cases.defaults import MUTABLE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from imrs_server.domain.configuration import Flat, PlannedChange, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand


class DefaultsKind:
    """There are two at most: ``global`` and ``tenant``. They are never gone, only without a word."""

    section = "defaults"
    lasting = True
    deletes_first = False
    blank = blank_fields(Defaults, MUTABLE, scope="GLOBAL")

    def __init__(self, tenant_id: UUID | None) -> None:
        self._tenant_id = tenant_id

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        found = {}
        for key in (GLOBAL.id, TENANT.id):
            if (all or key in ids) and (key == GLOBAL.id or self._tenant_id is not None):
                row = defaults.get(tx, self._owner(key))
                found[key] = Thing(
                    fields=read_fields(row, MUTABLE) if row else dict(self.blank), alive=row is not None
                )
        return found

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        for key in ids_of(changes):
            self._held(hand, key)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        before, said = self._held(hand, id), wanted.fields
        self._put(hand, id, before, over(before, MUTABLE, said, said) if before else self._new(wanted))

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        before = self._held(hand, id)
        self._put(hand, id, before, over(before, MUTABLE, fields, changed))

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        before = self._held(hand, id)
        self._put(hand, id, before, self.blank | (over(before, MUTABLE, {}, owned) if before else {}))

    def _new(self, wanted: Wanted) -> Flat:
        return self.blank | wanted.initial | wanted.fields

    def _held(self, hand: Hand, id: str) -> Defaults | None:
        """What is there at last, and stays until all is written."""
        defaults.claim(hand.tx, self._owner(id))
        return defaults.lock(hand.tx, self._owner(id))

    def _put(self, hand: Hand, id: str, before: Defaults | None, fields: Flat) -> None:
        tenant_id = self._owner(id)
        scope = Scope.GLOBAL if tenant_id is None else Scope.TENANT
        start = before or Defaults(scope=scope, tenant_id=tenant_id, version=0)
        said = domain_fields(Defaults, fields, MUTABLE, scope=scope)
        routing.require_valid(said["routing"], "defaults.routing")
        if said["default_model_id"]:
            known.require_models(hand.tx, [said["default_model_id"]])
        after = defaults.put(hand.tx, replace(start, **said))
        change = Change(Changed.DEFAULTS, "", tenant_id)
        hand.wrote(change, ("defaults", scope), before=before, after=after)

    def _owner(self, id: str) -> UUID | None:
        return None if id == GLOBAL.id else self._tenant_id
