"""Endpoints of the model pool, as a file is about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.configuration import Thing
from imrs_server.domain.endpoint import Endpoint
from imrs_server.storage import configuration
from imrs_server.storage.endpoints import claim, claim_model, hold, lock
from imrs_server.use_cases import endpoints
from imrs_server.use_cases.configuration.kind import blank_fields, domain_fields, ids_of, over, read_fields

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.domain.configuration import Flat, PlannedChange, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand
    from imrs_server.use_cases.endpoints import EndpointChange

_NAMES = frozenset({"model_id", "base_url", "weight", "ttl"})
_LEAST = {"endpoint_id": "", "model_id": "", "base_url": ""}


class EndpointKind:
    """Places that serve models; what is loaded there is not the file's."""

    section = "endpoints"
    lasting = False
    deletes_first = True
    blank = blank_fields(Endpoint, _NAMES, **_LEAST)

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        found = configuration.endpoints(tx, ids, all=all)
        return {each.endpoint_id: Thing(fields=read_fields(each, _NAMES)) for each in found}

    @classmethod
    def read_all(cls, tx: Tx) -> dict[str, Thing]:
        """For whoever only looks, and needs no rules."""
        found = configuration.endpoints(tx, (), all=True)
        return {each.endpoint_id: Thing(fields=read_fields(each, _NAMES)) for each in found}

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        """Also their models, those that they have and those that they had or get."""
        named = [diff for each in changes for diff in each.diffs if diff.field == "model_id"]
        model_ids = {str(value) for diff in named for value in (diff.before, diff.after) if value}
        if changes:
            _take(hand.tx, ids_of(changes), model_ids)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        said = wanted.initial | wanted.fields
        self._put(hand, id, self.blank | said, said)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        self._put(hand, id, fields, changed)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        if lock(hand.tx, id) is not None:
            self._wrote(hand, endpoints.delete(hand.tx, id), gone=True)

    def _put(self, hand: Hand, id: str, fields: Flat, changed: Collection[str]) -> None:
        fields = over(lock(hand.tx, id), _NAMES, fields, changed)
        endpoint = Endpoint(endpoint_id=id, **domain_fields(Endpoint, fields, _NAMES, **_LEAST))
        endpoints.check(endpoint, self._rules)
        self._wrote(hand, endpoints.put(hand.tx, endpoint), gone=False)

    @staticmethod
    def _wrote(hand: Hand, change: EndpointChange, *, gone: bool) -> None:
        first, *others = change.announced
        hand.wrote(first, change.target, before=change.before, after=None if gone else change.after)
        hand.tell(*others)
        hand.forgive(change.subject)


class _Moved(Exception):
    """Endpoints serve other models than was known when they were asked for."""

    def __init__(self, model_ids: set[str]) -> None:
        super().__init__()
        self.model_ids = model_ids


def _take(tx: Tx, endpoint_ids: Sequence[str], model_ids: set[str]) -> None:
    """Take models, then ids, then rows, each in order, as SetEndpoint does.

    Which models that are is told by the rows. Where one has been moved to another model meanwhile, all is let
    go and taken anew: who holds a row and waits for its model may wait for one who waits for the row.
    """
    while True:
        try:
            _take_known(tx, endpoint_ids, model_ids)
        except _Moved as moved:
            model_ids |= moved.model_ids
        else:
            return


def _take_known(tx: Tx, endpoint_ids: Sequence[str], model_ids: Collection[str]) -> None:
    """Raises _Moved, and has then taken nothing."""
    with tx.transaction():
        for model_id in sorted(model_ids):
            claim_model(tx, model_id)
        for endpoint_id in endpoint_ids:
            claim(tx, endpoint_id)
        found = hold(tx, endpoint_ids)
        if not found <= set(model_ids):
            raise _Moved(found)
