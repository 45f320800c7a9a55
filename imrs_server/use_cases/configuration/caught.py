"""Models that files name and rules of agents catch: a rule that goes removes them, and they are made anew."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from imrs_server.domain.configuration import Action, Wanted
from imrs_server.storage import agent_models, agent_rules, agents
from imrs_server.use_cases.configuration.agency import AgentModelKind
from imrs_server.use_cases.configuration.planning import NOT_THERE, updated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from imrs_server.domain.configuration import Apply, Owned, PlannedChange, Target, Thing
    from imrs_server.use_cases.configuration.hand import Hand

_SECTION = AgentModelKind.section


def as_done(
    done: Sequence[PlannedChange], before: Mapping[Target, Thing], after: Mapping[Target, Thing]
) -> Iterator[PlannedChange]:
    """What an apply did, with what its rules did to the models that were enabled ``before`` it.

    One that is there again was only changed. So was one that is not: it is there when its rule is back.
    """
    told = {each.target: each for each in done}
    for target, each in told.items():
        if target not in before:
            yield each
    for target, thing in before.items():
        planned = told.get(target)
        if planned is not None and planned.action is Action.DELETE:
            yield planned
            continue
        left = after.get(target, NOT_THERE)
        fields = left.fields if left.alive else AgentModelKind.blank
        both = {path: fields.get(path) for path in thing.fields | fields}
        change = updated(target, Wanted(), thing, both, None).change
        if change.diffs:
            yield change


def give_back(hand: Hand, apply: Apply, owned: Mapping[Target, Owned]) -> None:
    """Let rules that are there again answer for what a file has ``owned`` since an apply made it anew."""
    made = {each.target for each in apply.changes if each.action is Action.CREATE}
    made |= {each.target for each in apply.owned if each.created}
    model_ids: dict[str, list[str]] = defaultdict(list)
    for target, each in owned.items():
        if target.section == _SECTION and each.created and target not in made:
            agent_id, _, model_id = target.id.partition("/")
            model_ids[agent_id].append(model_id)
    for agent_id in sorted(model_ids):
        agents.lock(hand.tx, hand.tenant_id, agent_id)
        for rule in agent_rules.lock_all(hand.tx, hand.tenant_id, agent_id):
            agent_models.entrust(hand.tx, hand.tenant_id, rule, model_ids[agent_id])
