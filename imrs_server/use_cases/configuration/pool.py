"""Endpoints of the model pool, as a file is about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.configuration import Thing
from imrs_server.domain.endpoint import Endpoint
from imrs_server.storage import configuration
from imrs_server.storage.endpoints import claim_model, hold, lock
from imrs_server.use_cases import endpoints
from imrs_server.use_cases.configuration.kind import blank_fields, domain_fields, over, read_fields

if TYPE_CHECKING:
    from collections.abc import Collection

    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.domain.configuration import Flat, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand
    from imrs_server.use_cases.configuration.planning import Step
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

    @staticmethod
    def claim(tx: Tx, steps: Collection[Step]) -> None:
        """Take all that are to be written: their models, and then their rows, each in order."""
        for model_id in sorted({str(each.fields["model_id"]) for each in steps if "model_id" in each.fields}):
            claim_model(tx, model_id)
        hold(tx, [each.target.id for each in steps])

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
