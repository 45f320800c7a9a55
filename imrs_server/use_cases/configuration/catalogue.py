"""Providers, models and preferences, as a file is about them: what belongs to the whole platform."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.domain import curation
from imrs_server.domain.breaker import Subject, SubjectKind
from imrs_server.domain.configuration import Thing
from imrs_server.domain.errors import ProviderNotFound
from imrs_server.domain.flat import top
from imrs_server.domain.model import Model, Provenance
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import Provider, State
from imrs_server.storage import configuration, models, preferences, providers
from imrs_server.storage.changes import Change
from imrs_server.storage.changes import Kind as Changed
from imrs_server.use_cases import catalog, known
from imrs_server.use_cases import preferences as preference_rules
from imrs_server.use_cases.configuration.kind import blank_fields, domain_fields, ids_of, over, read_fields
from imrs_server.use_cases.providers import completed, undecided

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.domain.configuration import Flat, PlannedChange, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand

_PRICES = frozenset({"price_state", *curation.PRICES})
_ACTIVE = {"state": str(State.ACTIVE)}


class ProviderKind:
    """Providers, without their keys; one that comes back has the key it had."""

    section = "providers"
    lasting = False
    deletes_first = False
    names = frozenset(
        {
            "display_name", "provider_type", "dialect", "api_base", "models_endpoint", "options", "pool_url",
            "rate_limit_rpm", "sync_interval", "data_policy", "state",
        }
    )  # fmt: skip
    _least: dict[str, Any] = {  # noqa: RUF012  (never changed)
        "provider_id": "", "display_name": "", "provider_type": "CUSTOM", "dialect": "", "api_base": "",
        "models_endpoint": "",
    }  # fmt: skip
    blank = blank_fields(Provider, names, **_least)

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        found = configuration.providers(tx, ids, all=all)
        return {each.provider_id: _stateful(each, self.names) for each in found}

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        for provider_id in ids_of(changes):
            providers.claim(hand.tx, provider_id)
            providers.lock(hand.tx, provider_id)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        fields = wanted.initial | wanted.fields
        if "api_base" not in fields:
            raise ProviderNotFound(provider_id=id)
        providers.claim(hand.tx, id)
        before = providers.lock(hand.tx, id)
        said = domain_fields(Provider, self.blank | fields, self.blank | fields, **self._least)
        provider = completed(Provider(provider_id=id, created_by=hand.who.subject, **said), self._rules)
        if before is None:
            after = providers.insert(hand.tx, provider)
        else:
            kept: dict[str, Any] = {
                "key_version": before.key_version,
                "created_by": before.created_by,
                "delete_time": None,
            }
            after = providers.update(hand.tx, replace(provider, **kept))
        _wrote_provider(hand, id, before=before, after=after)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        before = providers.lock(hand.tx, id)
        assert before is not None
        fields = over(before, self.names, fields, changed)
        said = domain_fields(Provider, fields, changed, **self._least)
        after = providers.update(hand.tx, completed(replace(undecided(before), **said), self._rules))
        _wrote_provider(hand, id, before=before, after=after)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        before = providers.lock(hand.tx, id)
        assert before is not None
        gone = replace(before, state=State.DELETED, delete_time=datetime.now(UTC))
        after = providers.update(hand.tx, gone)
        _wrote_provider(hand, id, before=before, after=after)


class ModelKind:
    """Models of the catalogue. What a file says is an admin's word, what it leaves out is the syncs'."""

    section = "models"
    lasting = False
    deletes_first = False
    names = curation.MUTABLE
    blank = blank_fields(Model, names, model_id="", provider_id="", external_id="", display_name="")

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        found = configuration.models(tx, ids, all=all)
        return {
            each.model_id: Thing(fields=admins_word(each), alive=each.delete_time is None)
            for each in found
            # What syncs bring is theirs, whatever an admin has said of it.
            if each.synced_time is None or each.model_id in ids
        }

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        for model_id in ids_of(changes):
            models.hold(hand.tx, model_id.partition("/")[0])
            models.lock(hand.tx, model_id)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        provider_id, _, external_id = id.partition("/")
        models.hold(hand.tx, provider_id)
        provider = providers.get(hand.tx, provider_id)
        if provider is None or provider.state is State.DELETED:
            raise ProviderNotFound(provider_id=provider_id)
        before = models.lock(hand.tx, id)
        least: dict[str, Any] = {
            "model_id": id, "provider_id": provider_id, "external_id": external_id,
            "display_name": external_id,
        }  # fmt: skip
        said = domain_fields(Model, self.blank | wanted.fields, wanted.fields, **least)
        if before is None:
            guessed = domain_fields(Model, wanted.initial, wanted.initial, **least)
            blank = Model(**least, **guessed, provenance=dict.fromkeys(guessed, Provenance.CURATED))
            after = models.insert(hand.tx, catalog.edit(blank, {"cost_tier": None} | said))
        else:
            models.update(hand.tx, catalog.edit(replace(before, delete_time=None), said))
            after = models.get(hand.tx, id)
        hand.wrote_model(id, before=before, after=after)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        models.hold(hand.tx, id.partition("/")[0])
        before = models.lock(hand.tx, id)
        assert before is not None
        least = {"model_id": id, "provider_id": "", "external_id": before.external_id, "display_name": ""}
        fields = over(before, self.names, fields, changed)
        said = domain_fields(Model, fields, changed, **least)
        others = {
            top(path)
            for path, value in fields.items()
            if path not in changed and value != self.blank.get(path)
        }
        kept = (others - _PRICES) | {top(path) for path in given}
        given_back = {top(path) for path in changed} - kept
        if given_back & _PRICES and not kept & _PRICES:
            # Whoever sets one price answers for all, so they go back together.
            given_back |= (_PRICES | {"cost_tier"}) - kept
        # These follow from the prices again.
        said |= dict.fromkeys({"cost_tier", "price_state"} & given_back)
        after = catalog.edit(before, said)
        if "price_state" not in given_back:
            # The tier follows the admin's prices, and is his word as they are.
            given_back.discard("cost_tier")
        provenance = {name: by for name, by in after.provenance.items() if name not in given_back}
        models.update(hand.tx, replace(after, provenance=provenance))
        hand.wrote_model(id, before=before, after=models.get(hand.tx, id))

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        models.hold(hand.tx, id.partition("/")[0])
        before = models.lock(hand.tx, id)
        assert before is not None
        models.update(hand.tx, replace(before, delete_time=datetime.now(UTC)))
        hand.wrote_model(id, before=before, after=models.get(hand.tx, id))


def admins_word(model: Model) -> Flat:
    """What admins have said of a model. What only its provider says, a file may still claim."""
    said = {name for name, by in model.provenance.items() if by == Provenance.ADMIN}
    return {path: value for path, value in read_fields(model, ModelKind.names).items() if top(path) in said}


class PreferenceKind:
    """What classes of agents prefer."""

    section = "preferences"
    lasting = False
    deletes_first = False
    names = frozenset({"model_ids", "parameters"})
    blank = blank_fields(Preference, names, agent_class="")

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        found = configuration.preferences(tx, ids, all=all)
        return {each.agent_class: Thing(fields=read_fields(each, self.names)) for each in found}

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        for agent_class in ids_of(changes):
            self._held(hand, agent_class)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        fields = wanted.initial | wanted.fields
        self._put(hand, id, fields, fields)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        self._put(hand, id, fields, changed)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        before = self._held(hand, id)
        if before is not None:
            preferences.delete(hand.tx, id)
            hand.wrote(Change(Changed.PREFERENCE, id), ("preference", id), before=before)

    def _put(self, hand: Hand, id: str, fields: Flat, changed: Collection[str]) -> None:
        before = self._held(hand, id)
        fields = over(before, self.names, fields, changed)
        wanted = Preference(agent_class=id, **domain_fields(Preference, fields, self.names, agent_class=id))
        preference_rules.check(wanted)
        known.require_models(hand.tx, wanted.model_ids)
        after = preferences.put(hand.tx, wanted)
        hand.wrote(Change(Changed.PREFERENCE, id), ("preference", id), before=before, after=after)

    @staticmethod
    def _held(hand: Hand, id: str) -> Preference | None:
        """What is there at last, and stays until all is written."""
        preferences.claim(hand.tx, id)
        return preferences.lock(hand.tx, id)


def _wrote_provider(hand: Hand, id: str, *, before: Provider | None, after: Provider | None) -> None:
    hand.wrote(Change(Changed.PROVIDER, id), ("provider", id), before=before, after=after)
    hand.forgive(Subject(SubjectKind.PROVIDER, id))


def _stateful(value: Provider, names: Collection[str]) -> Thing:
    """A deleted one comes back ACTIVE."""
    fields = read_fields(value, names)
    alive = value.state is not State.DELETED
    return Thing(fields=fields if alive else fields | _ACTIVE, alive=alive)
