"""Agents, their models and their standing rules, as a file is about them: what belongs to a tenant."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from imrs_server.domain.agent import Agent, AgentModel, AgentRule, Source
from imrs_server.domain.configuration import Thing
from imrs_server.domain.flat import flatten, top
from imrs_server.domain.model import ModelFilter
from imrs_server.domain.provider import State
from imrs_server.storage import agent_models, agent_rules, agents, configuration, tenants
from imrs_server.storage.agent_models import Selection
from imrs_server.storage.changes import Change
from imrs_server.storage.changes import Kind as Changed
from imrs_server.storage.shape import shape
from imrs_server.use_cases import agent_models as agent_model_rules
from imrs_server.use_cases import agents as agent_rules_of
from imrs_server.use_cases import known
from imrs_server.use_cases.configuration.kind import blank_fields, domain_fields, over, read_fields
from imrs_server.use_cases.configuration.wanted import rule_target

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from imrs_server.domain.configuration import Flat, PlannedChange, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand

_NOBODY = UUID(int=0)


class AgentKind:
    """Agents. One that comes back has the models and rules it had."""

    section = "agents"
    lasting = False
    deletes_first = False
    names = agent_rules_of.MUTABLE
    blank = blank_fields(Agent, names, agent_id="", tenant_id=_NOBODY)

    def __init__(self, tenant_id: UUID | None) -> None:
        self._tenant_id = tenant_id

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        if self._tenant_id is None:
            return {}
        found = configuration.agents(tx, self._tenant_id, ids, all=all)
        return {each.agent_id: self._thing(each) for each in found}

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        _hold_agents(hand, changes)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        before = agents.lock(hand.tx, hand.tenant_id, id)
        fields = self.blank | wanted.initial | wanted.fields
        # What comes back as it was may name models that are gone by now, as with UndeleteAgent.
        said = self._said(hand, fields, fields, named=wanted.fields if before else fields)
        if before is None:
            tenants.note(hand.tx, hand.tenant_id)
            after = agents.insert(hand.tx, Agent(agent_id=id, tenant_id=hand.tenant_id, **said))
        else:
            for rule in agent_rules.lock_all(hand.tx, hand.tenant_id, id):
                agent_models.catch(hand.tx, before, rule)
            after = agents.update(hand.tx, replace(before, **said, delete_time=None))
        self._wrote(hand, id, before, after)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        before = agents.lock(hand.tx, hand.tenant_id, id)
        assert before is not None
        fields = over(before, self.names, fields, changed)
        after = agents.update(hand.tx, replace(before, **self._said(hand, fields, changed, named=changed)))
        self._wrote(hand, id, before, after)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        before = agents.lock(hand.tx, hand.tenant_id, id)
        assert before is not None
        gone = replace(before, state=State.DELETED, delete_time=datetime.now(UTC))
        self._wrote(hand, id, before, agents.update(hand.tx, gone))

    def _said(
        self, hand: Hand, fields: Flat, changed: Collection[str], *, named: Collection[str]
    ) -> dict[str, Any]:
        """Fields as the agent has them; models in those of ``named`` must be there."""
        said = domain_fields(Agent, fields, changed, agent_id="", tenant_id=_NOBODY)
        agent_rules_of.check(said)
        now = {top(path) for path in named}
        agent_rules_of.require_models(hand.tx, {name: value for name, value in said.items() if name in now})
        return said

    def _wrote(self, hand: Hand, id: str, before: Agent | None, after: Agent | None) -> None:
        change = Change(Changed.AGENT, id, hand.tenant_id)
        hand.wrote(change, ("agent", id), before=before, after=after)

    def _thing(self, agent: Agent) -> Thing:
        alive = agent.state is not State.DELETED
        fields = read_fields(agent, self.names)
        return Thing(fields=fields if alive else fields | {"state": str(State.ACTIVE)}, alive=alive)


class AgentModelKind:
    """Models of agents, ``agent_id/model_id``. One that is disabled keeps its settings, and is not alive."""

    section = "agent_models"
    lasting = False
    deletes_first = False
    names = agent_model_rules.MUTABLE
    blank = blank_fields(AgentModel, names, agent_id="", model_id="")

    def __init__(self, tenant_id: UUID | None) -> None:
        self._tenant_id = tenant_id

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        if self._tenant_id is None:
            return {}
        agent_ids = {each.partition("/")[0] for each in ids} | set(of)
        found = configuration.agent_models(tx, self._tenant_id, agent_ids, ids, all=all)
        return {
            f"{each.agent_id}/{each.model_id}": Thing(
                fields=read_fields(each, self.names), alive=each.enabled
            )
            for each in found
            # What a rule brought, it also takes away.
            if each.source is Source.EXPLICIT or f"{each.agent_id}/{each.model_id}" in ids
        }

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        _hold_agents(hand, changes)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        agent_id, _, model_id = id.partition("/")
        agent = hand.agent(agent_id)
        known.require_models(hand.tx, [model_id])
        before = agent_models.get(hand.tx, hand.tenant_id, agent_id, model_id)
        agent_models.enable(
            hand.tx, agent, Selection(model_ids=[model_id]), enabled_by=hand.who.subject, rule_id=None
        )
        fields = wanted.initial | wanted.fields
        start = agent_models.get(hand.tx, hand.tenant_id, agent_id, model_id)
        self._store(hand, id, fields, fields, before, start)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        agent_id, _, model_id = id.partition("/")
        hand.agent(agent_id)
        before = agent_models.get(hand.tx, hand.tenant_id, agent_id, model_id)
        self._store(hand, id, fields, changed, before, before)

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        agent_id, _, model_id = id.partition("/")
        # Whoever changes models of an agent holds it; here it may be one that is deleted.
        agents.lock(hand.tx, hand.tenant_id, agent_id)
        before = agent_models.get(hand.tx, hand.tenant_id, agent_id, model_id)
        if before is None:
            return
        fields = read_fields(before, self.names)
        left = {path: value for path, value in fields.items() if path not in owned}
        fields = self.blank | left | {"enabled": False}
        self._store(hand, id, fields, [*owned, "enabled"], before, before)

    def _store(
        self,
        hand: Hand,
        id: str,
        fields: Flat,
        changed: Collection[str],
        before: AgentModel | None,
        start: AgentModel | None,
    ) -> None:
        """Store what has changed over ``start``, which is there; ``before`` is what the audit log shows."""
        agent_id, _, model_id = id.partition("/")
        assert start is not None
        fields = over(start, self.names, fields, changed)
        said = domain_fields(AgentModel, fields, changed, agent_id=agent_id, model_id=model_id)
        known.require_models(hand.tx, said.get("fallback_model_ids") or ())
        wanted = replace(start, **said)
        if wanted.enabled and not start.enabled:
            wanted = agent_model_rules.enabled_by_hand(wanted, hand.who)
        agent_models.update(hand.tx, hand.tenant_id, wanted)
        change = Change(Changed.AGENT, agent_id, hand.tenant_id)
        hand.wrote(change, ("agent_model", id), before=before, after=wanted)


class RuleKind:
    """Standing rules, ``agent_id/digest of what it catches``: another filter is another rule."""

    section = "rules"
    lasting = False
    deletes_first = False
    names = frozenset(ModelFilter.__dataclass_fields__) | {"priority_override"}
    blank: Flat = {}  # noqa: RUF012  (never changed)

    def __init__(self, tenant_id: UUID | None) -> None:
        self._tenant_id = tenant_id

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        if self._tenant_id is None:
            return {}
        agent_ids = {each.partition("/")[0] for each in ids} | set(of)
        found = configuration.rules(tx, self._tenant_id, agent_ids)
        things = {rule_target(each.agent_id, fields_of(each)).id: each for each in found}
        return {key: Thing(fields=fields_of(rule)) for key, rule in things.items() if all or key in ids}

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        _hold_agents(hand, changes)

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        agent_id = id.partition("/")[0]
        agent = hand.agent(agent_id)
        plain = wanted.initial | wanted.fields
        rule = AgentRule(
            agent_id=agent_id,
            priority_override=plain.pop("priority_override", None),
            filter=shape(ModelFilter)(plain),
            created_by=hand.who.subject,
        )
        stored = agent_rules.insert(hand.tx, hand.tenant_id, rule)
        selection = Selection(filter=rule.filter)
        agent_models.enable(hand.tx, agent, selection, enabled_by=hand.who.subject, rule_id=stored.rule_id)
        self._wrote(hand, agent_id, None, stored)

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        raise AssertionError(id)  # what is other is another rule

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        agent_id = id.partition("/")[0]
        agents.lock(hand.tx, hand.tenant_id, agent_id)
        rules = agent_rules.lock_all(hand.tx, hand.tenant_id, agent_id)
        rule = next((each for each in rules if rule_target(agent_id, fields_of(each)).id == id), None)
        if rule is None:
            return
        assert rule.rule_id is not None
        agent_model_rules.end_rule(hand.tx, hand.tenant_id, rule.rule_id, rules)
        self._wrote(hand, agent_id, rule, None)

    def _wrote(self, hand: Hand, agent_id: str, before: AgentRule | None, after: AgentRule | None) -> None:
        rule = before or after
        assert rule is not None
        change = Change(Changed.AGENT, agent_id, hand.tenant_id)
        target = ("agent_rule", f"{agent_id}/{rule.rule_id}")
        hand.wrote(change, target, before=before, after=after)


def _hold_agents(hand: Hand, changes: Sequence[PlannedChange]) -> None:
    """Whoever changes an agent, its models or its rules holds it."""
    for agent_id in sorted({each.target.id.partition("/")[0] for each in changes}):
        agents.lock(hand.tx, hand.tenant_id, agent_id)


def fields_of(rule: AgentRule) -> Flat:
    """What a rule catches, and with which priority."""
    plain = shape(ModelFilter).json(rule.filter) | {"priority_override": rule.priority_override}
    return flatten({name: value for name, value in plain.items() if value not in (None, "", [])})
