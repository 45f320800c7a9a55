"""Reads a state from the database, whole or as the difference to the one before."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from functools import partial
from time import thread_time
from typing import TYPE_CHECKING, Any, TypeAlias

from imrs_server.index import dirt, pool, rows
from imrs_server.index.limits import NO_LIMITS
from imrs_server.index.offers import Shared
from imrs_server.index.rows import EnrolledRow, Numbered
from imrs_server.index.state import Made, State
from imrs_server.storage import breakers, changes, index
from imrs_server.storage.index import EVERYBODY, NO_SETTINGS, Key, Owners, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from imrs_server.domain.cells import Cells
    from imrs_server.domain.model import Model
    from imrs_server.domain.scoring import Scorer
    from imrs_server.index.dirt import Dirt
    from imrs_server.index.limits import AllLimits
    from imrs_server.index.rows import Enrolled, Shaped
    from imrs_server.storage.database import Tx
    from imrs_server.storage.listener import Listener

# Millions of rows, on a machine that has other things to do.
WHOLE_SECONDS = 600.0

Evidence: TypeAlias = "Mapping[Key, Mapping[str, Cells]]"


def read(listener: Listener, scorer: Scorer) -> State:
    """Everything. Most of it is evidence, which is read in two parts while the rest is."""
    with listener.snapshot(WHOLE_SECONDS) as tx:
        parts = (partial(_evidence_of, owners=owners) for owners in index.halves(tx))
        with listener.meanwhile(*parts) as read:
            return _whole(tx, scorer, lambda: _joined(read()))


def whole(tx: Tx, scorer: Scorer) -> State:
    """Everything, as one transaction sees it."""
    return _whole(tx, scorer, lambda: _evidence_of(tx))


def _whole(tx: Tx, scorer: Scorer, evidence: Callable[[], Evidence]) -> State:
    now = changes.current(tx)
    numbered = Numbered()
    places = index.endpoints(tx)
    limits = NO_LIMITS.budgeting(index.budgets(tx)).pooled(pool.cooling(places))
    return State(
        revision=now.rev,
        epoch=now.epoch,
        providers={each.provider_id: each for each in index.providers(tx)},
        models=rows.models(rows.learn(numbered, index.models(tx))),
        agents=rows.agents(_enrolled(tx, None)),
        preferences={each.agent_class: each for each in index.preferences(tx)},
        defaults={each.tenant_id: each for each in index.defaults(tx)},
        endpoints=places,
        evidence=evidence(),
        revoked=index.revoked_tokens(tx),
        **_cooling(tx, limits),
        numbered=numbered,
        scorer=scorer,
    )


def next_state(tx: Tx, state: State, *, learn: bool = True) -> State:
    """The state at the newest revision: this one where nothing changed, else it with what changed since.

    A new epoch, or a log with a gap, means everything anew. Without ``learn`` this one stays where
    nothing but evidence moved.
    """
    now = changes.current(tx)
    if now.epoch == state.epoch and now.rev == state.revision:
        return state
    if now.epoch != state.epoch or now.rev < state.revision:
        return whole(tx, state.scorer)
    numbered = changes.since(tx, state.revision)
    if {rev for rev, _ in numbered} != set(range(state.revision + 1, now.rev + 1)):
        return whole(tx, state.scorer)
    dirty = dirt.of(change for _, change in numbered)
    return _advance(tx, state, now.rev, dirty) if learn or dirty.configured else state


def _advance(tx: Tx, state: State, revision: int, dirty: Dirt) -> State:
    changed: dict[str, Any] = {}
    if dirty.providers:
        read = {each.provider_id: each for each in index.providers(tx, dirty.providers.wanted)}
        changed["providers"] = {**state.providers, **read}
    enrolled = _enrolled(tx, dirty.agents.wanted) if dirty.agents else {}
    if dirty.agents:
        changed["agents"] = _agents(state, dirty.agents.wanted, enrolled)
    if dirty.models or dirty.agents:
        changed["models"] = _models(tx, state, dirty, enrolled)
    if dirty.preferences:
        changed["preferences"] = {each.agent_class: each for each in index.preferences(tx)}
    if dirty.defaults:
        changed["defaults"] = {each.tenant_id: each for each in index.defaults(tx)}
    if dirty.budgets:
        known, wanted = changed.get("limits", state.limits), dirty.budgets.wanted
        changed["limits"] = known.budgeting(index.budgets(tx, wanted), wanted)
    if dirty.cooldowns:
        changed |= _cooling(tx, changed.get("limits", state.limits))
        for model_id in pool.touched(state.endpoints, state.breakers, changed["breakers"]):
            dirty.endpoints.add(model_id, known=True)
    if dirty.endpoints:
        changed |= _places(tx, state, changed.get("limits", state.limits), dirty.endpoints.wanted)
    if dirty.tokens:
        changed["revoked"] = index.revoked_tokens(tx)
    if dirty.evidence:
        changed["evidence"] = _evidence(tx, state, dirty.evidence.wanted)
    return _taken_over(state, replace(state, revision=revision, made=Made(), **changed), dirty)


def _agents(
    state: State, keys: set[Key] | None, read: Mapping[Key, EnrolledRow]
) -> Shaped[Key, EnrolledRow, Enrolled]:
    if keys is None:
        return rows.agents(read)
    return state.agents.over(read, frozenset(keys - read.keys()))


def _models(tx: Tx, state: State, dirty: Dirt, agents: Mapping[Key, EnrolledRow]) -> Shaped[str, str, Model]:
    """Changed ones, and those that nobody used before; their numbers are noted before anybody needs them."""
    if dirty.models and dirty.models.wanted is None:
        return rows.models(rows.learn(state.numbered, index.models(tx)))
    known = state.numbered.by_number
    new = [
        key
        for key, row in agents.items()
        if row.models.settings != "[]" or any(n not in known for n in row.numbers())
    ]
    read = rows.learn(state.numbered, index.models(tx, dirty.models.some)) if dirty.models else {}
    if new:
        read |= rows.learn(state.numbered, index.models(tx, of=new))
    return state.models.over(read)


def _cooling(tx: Tx, known: AllLimits) -> dict[str, Any]:
    """The breakers, and what they make of the limits."""
    found = {each.subject: each for each in breakers.open_ones(tx)}
    return {"breakers": found, "limits": known.cooled(found.values())}


def _places(tx: Tx, state: State, known: AllLimits, wanted: set[str] | None) -> dict[str, Any]:
    """The endpoints, and what they make of the limits."""
    found = index.endpoints(tx, wanted)
    if wanted is not None:
        kept = {model_id: each for model_id, each in state.endpoints.items() if model_id not in wanted}
        found = kept | found
    return {"endpoints": found, "limits": known.pooled(pool.cooling(found))}


def _enrolled(tx: Tx, keys: set[Key] | None) -> dict[Key, EnrolledRow]:
    models = index.agent_models(tx, keys)
    own_keys = defaultdict(list)
    for own in index.agent_keys(tx, keys):
        own_keys[Key(own.tenant_id, own.agent_id)].append(own)
    return {
        key: EnrolledRow(row, models.get(key, NO_SETTINGS), tuple(own_keys.get(key, ())))
        for key, row in index.agents(tx, keys)
    }


def _evidence_of(tx: Tx, owners: Owners = EVERYBODY) -> Evidence:
    return _by_task({}, index.evidence(tx, owners))


def _joined(parts: Iterable[Evidence]) -> Evidence:
    return {key: tasks for part in parts for key, tasks in part.items()}


def _evidence(tx: Tx, state: State, places: set[Place] | None) -> Mapping[Key, Mapping[str, Cells]]:
    """What was asked for and is not there is gone."""
    if places is None:
        return _evidence_of(tx)
    wanted = places | {each._replace(agent_id="") for each in places}
    read = dict(index.evidence_of(tx, wanted))
    return _by_task(state.evidence, ((place, read.get(place)) for place in wanted))


def _by_task(
    before: Mapping[Key, Mapping[str, Cells]], found: Iterable[tuple[Place, Cells | None]]
) -> dict[Key, Mapping[str, Cells]]:
    """Evidence by its owner and task: that of before, with what was found in its place."""
    tasks: dict[Key, dict[str, Cells]] = {}
    for (tenant_id, agent_id, task_type), cells in found:
        key = Key(tenant_id, agent_id)
        mine = tasks.get(key)
        if mine is None:
            mine = tasks[key] = dict(before.get(key, {}))
        if cells is None:
            mine.pop(task_type, None)
        else:
            mine[task_type] = cells
    return {**before, **tasks}


def _taken_over(before: State, state: State, dirty: Dirt) -> State:
    """With what stays true of what was made before. Copied, because readers still add to that."""
    made = before.made
    shared = _shared(state, made.shared, dirty)
    if dirty.providers or dirty.preferences or dirty.defaults or dirty.models.all or dirty.endpoints.all:
        learned = {} if dirty.evidence or dirty.defaults else dict(made.learned)
        return replace(state, made=Made(learned=learned, shared=shared))
    if dirty.agents.all or dirty.evidence.all:
        return replace(state, made=Made(rules=dict(made.rules), shared=shared))
    tenants: set[UUID] = {key.tenant_id for key in dirty.evidence.some}
    model_ids = frozenset(dirty.models.some | dirty.endpoints.some)
    # What readers renew from here on is renewed again: taken for current by its key, it would be what is old.
    current, outdated = dict(made.agents), dict(made.outdated)
    known = {
        key: tables
        for key, tables in {**outdated, **current}.items()
        if key not in dirty.agents.some and not (model_ids and tables.names(model_ids))
    }
    if state.limits is not before.limits:
        known = {key: each.limited(state.limits.of(key, each.offers)) for key, each in known.items()}
    start = thread_time()
    found = Made(
        agents={key: each for key, each in known.items() if key in current and key.tenant_id not in tenants},
        outdated={
            key: each.renewed()
            for key, each in known.items()
            if key not in current or key.tenant_id in tenants
        },
        learned={
            key: each.renewed(state.evidence.get(Key(key, ""), {})) if key in tenants else each
            for key, each in list(made.learned.items())
        },
        rules=dict(made.rules),
        shared=shared,
    )
    found.effort.seconds = thread_time() - start
    return replace(state, made=found)


def _shared(state: State, before: Shared, dirty: Dirt) -> Shared:
    """The offers of before that are still true."""
    if dirty.providers or dirty.models.all or dirty.endpoints.all:
        return Shared()
    changed = dirty.models.some | dirty.endpoints.some
    if not changed:
        return before
    numbers = state.numbered.by_id
    return before.without(numbers[each] for each in changed if each in numbers)
