"""Reads a state from the database, whole or as the difference to the one before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from imrs_server.index.state import Enrolled, Made, State
from imrs_server.storage import changes, index
from imrs_server.storage.changes import Kind
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from imrs_server.domain.evidence import Cells
    from imrs_server.domain.scoring import Scorer
    from imrs_server.storage.changes import Change
    from imrs_server.storage.database import Tx
    from imrs_server.storage.index import Cell

# More changed agents than this are read with all the others.
MAX_KEYS = 1000


def whole(tx: Tx, scorer: Scorer) -> State:
    """Everything, as one transaction sees it."""
    now = changes.current(tx)
    return State(
        revision=now.rev,
        epoch=now.epoch,
        providers={each.provider_id: each for each in index.providers(tx)},
        models={each.model_id: each for each in index.models(tx)},
        agents=_enrolled(tx, None),
        preferences={each.agent_class: each for each in index.preferences(tx)},
        defaults={each.tenant_id: each for each in index.defaults(tx)},
        evidence=_by_task(index.evidence(tx)),
        revoked=index.revoked_tokens(tx),
        scorer=scorer,
    )


def next_state(tx: Tx, state: State) -> State:
    """The state at the newest revision: this one where nothing changed, else it with what changed since.

    A new epoch, or a log with a gap, means everything anew.
    """
    now = changes.current(tx)
    if now.epoch == state.epoch and now.rev == state.revision:
        return state
    if now.epoch != state.epoch or now.rev < state.revision:
        return whole(tx, state.scorer)
    numbered = changes.since(tx, state.revision)
    if {rev for rev, _ in numbered} != set(range(state.revision + 1, now.rev + 1)):
        return whole(tx, state.scorer)
    return _advance(tx, state, now.rev, _dirt(change for _, change in numbered))


@dataclass(slots=True)
class _Keys:
    """Changed keys of one kind; after an empty key, all of them."""

    some: set[Any] = field(default_factory=set)
    all: bool = False

    def add(self, key: Any, known: bool) -> None:
        self.all = self.all or not known
        self.some.add(key)

    @property
    def wanted(self) -> set[Any] | None:
        """The keys to read; None for all."""
        return None if self.all or len(self.some) > MAX_KEYS else self.some

    def __bool__(self) -> bool:
        return self.all or bool(self.some)


@dataclass(slots=True)
class _Dirt:
    """What must be read again."""

    providers: _Keys = field(default_factory=_Keys)
    models: _Keys = field(default_factory=_Keys)
    agents: _Keys = field(default_factory=_Keys)
    evidence: _Keys = field(default_factory=_Keys)
    preferences: bool = False
    defaults: bool = False
    tokens: bool = False


def _dirt(found: Iterable[Change]) -> _Dirt:
    dirt = _Dirt()
    for change in found:
        owned = change.tenant_id is not None
        match change.kind:
            case Kind.PROVIDER:
                dirt.providers.add(change.key, bool(change.key))
            case Kind.MODEL:
                dirt.models.add(change.key, bool(change.key))
            case Kind.AGENT:
                dirt.agents.add(Key(change.tenant_id, change.key), owned and bool(change.key))  # type: ignore[arg-type]
            case Kind.EVIDENCE:
                dirt.evidence.add(Key(change.tenant_id, change.key), owned)  # type: ignore[arg-type]
            case Kind.PREFERENCE:
                dirt.preferences = True
            case Kind.DEFAULTS:
                dirt.defaults = True
            case Kind.TOKEN:
                dirt.tokens = True
    return dirt


def _advance(tx: Tx, state: State, revision: int, dirt: _Dirt) -> State:
    changed: dict[str, Any] = {}
    if dirt.providers:
        read = {each.provider_id: each for each in index.providers(tx, dirt.providers.wanted)}
        changed["providers"] = {**state.providers, **read}
    if dirt.agents:
        changed["agents"] = _replaced(state.agents, dirt.agents.wanted, _enrolled(tx, dirt.agents.wanted))
    if dirt.models or dirt.agents:
        changed["models"] = _models(tx, state, dirt, changed.get("agents", state.agents))
    if dirt.preferences:
        changed["preferences"] = {each.agent_class: each for each in index.preferences(tx)}
    if dirt.defaults:
        changed["defaults"] = {each.tenant_id: each for each in index.defaults(tx)}
    if dirt.tokens:
        changed["revoked"] = index.revoked_tokens(tx)
    if dirt.evidence:
        keys = _with_pooled(dirt.evidence)
        changed["evidence"] = _replaced(state.evidence, keys, _by_task(index.evidence(tx, keys)))
    return replace(state, revision=revision, made=_kept(state.made, dirt), **changed)


def _models(tx: Tx, state: State, dirt: _Dirt, agents: Mapping[Key, Enrolled]) -> dict[str, Any]:
    if dirt.models and dirt.models.wanted is None:
        return {each.model_id: each for each in index.models(tx)}
    wanted: set[str] = set(dirt.models.some)
    keys = dirt.agents.wanted
    for key in agents if keys is None else keys & agents.keys():
        wanted.update(each.model_id for each in agents[key].models if each.model_id not in state.models)
    read = {each.model_id: each for each in index.models(tx, wanted)} if wanted else {}
    return {**state.models, **read}


def _enrolled(tx: Tx, keys: set[Key] | None) -> dict[Key, Enrolled]:
    models = defaultdict(list)
    for key, model in index.agent_models(tx, keys):
        models[key].append(model)
    own_keys = defaultdict(list)
    for own in index.agent_keys(tx, keys):
        own_keys[Key(own.tenant_id, own.agent_id)].append(own)
    found = ((Key(each.tenant_id, each.agent_id), each) for each in index.agents(tx, keys))
    return {
        key: Enrolled(agent, tuple(models.get(key, ())), tuple(own_keys.get(key, ()))) for key, agent in found
    }


def _by_task(cells: Iterable[Cell]) -> dict[Key, dict[str, Cells]]:
    found: dict[Key, dict[str, dict[str, Any]]] = defaultdict(lambda: defaultdict(dict))
    for cell in cells:
        found[cell.key][cell.task_type][cell.model_id] = cell.evidence
    return {key: dict(tasks) for key, tasks in found.items()}


def _with_pooled(keys: _Keys) -> set[Key] | None:
    wanted = keys.wanted
    return None if wanted is None else wanted | {Key(each.tenant_id, "") for each in wanted}


def _replaced(before: Mapping[Key, Any], keys: set[Key] | None, read: Mapping[Key, Any]) -> Mapping[Key, Any]:
    """The rows that were read in place of those before; what was asked for and is not there is gone."""
    if keys is None:
        return read
    return {**{key: row for key, row in before.items() if key not in keys}, **read}


def _kept(made: Made, dirt: _Dirt) -> Made:
    """What stays true of what was made. Copied, because readers of the state before still add to theirs."""
    if dirt.providers or dirt.preferences or dirt.defaults or dirt.models.all:
        return Made(learned={} if dirt.evidence or dirt.defaults else dict(made.learned))
    if dirt.agents.all or dirt.evidence.all:
        return Made(rules=dict(made.rules))
    tenants: set[UUID] = {key.tenant_id for key in dirt.evidence.some}
    model_ids = frozenset(dirt.models.some)
    return Made(
        agents={
            key: tables
            for key, tables in list(made.agents.items())
            if key not in dirt.agents.some
            and key.tenant_id not in tenants
            and not (model_ids and tables.names(model_ids))
        },
        learned={key: each for key, each in list(made.learned.items()) if key not in tenants},
        rules=dict(made.rules),
    )
