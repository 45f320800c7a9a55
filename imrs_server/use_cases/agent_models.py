"""Which models an agent may use: by name, by filter, and by standing rules that catch future models too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from uuid import UUID

from imrs_server.domain.agent import AgentModel, AgentRule, Effect, Enabled, Source
from imrs_server.domain.amendment import amended
from imrs_server.domain.errors import InvalidRequest, ModelNotFound, RuleNotFound, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import agent_models, agent_rules, audit, changes
from imrs_server.storage.agent_models import Selection
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_server.domain.agent import Agent
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.model import ModelFilter
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx

T = TypeVar("T")

Explain: TypeAlias = Callable[[UUID, str, int], Mapping[str, Effect]]
"""(tenant_id, agent_id, revision) -> what Route makes of each model of the agent for an ordinary request."""

MUTABLE = frozenset(
    {
        "enabled", "priority_override", "parameters", "context_length", "input_price_usd", "output_price_usd",
        "fallback_model_ids", "allowed_roles", "metadata",
    }
)  # fmt: skip

_UNSEEN = Effect(eligible=False, detail="Route has not heard of it yet")


class AgentModels:
    """Every method takes the tenant that the request names, None for the caller's own."""

    def __init__(self, database: Database, explain: Explain) -> None:
        self._database = database
        self._explain = explain

    def list(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        page: PageRequest,
        *,
        effective: bool = False,
    ) -> tuple[Page[AgentModel], int]:
        """The enabled models, and how many are enabled in all.

        ``effective`` also shows models that are disabled for the agent or deleted from the catalogue, and
        what Route makes of each. Raises AgentMismatch, AgentNotFound.
        """
        who.require(Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant_id, agent_id = who.tenant(tenant_id), who.agent(agent_id)
        with self._database.transaction(tenant_id) as tx:
            known.require_agent(tx, tenant_id, agent_id)
            found = agent_models.list_page(tx, tenant_id, agent_id, page, disabled_too=effective)
            total_enabled = agent_models.count_enabled(tx, tenant_id, agent_id)
            revision = changes.current(tx).rev
        if effective:
            effects = self._explain(tenant_id, agent_id, revision)
            items = [replace(each, effect=effects.get(each.model_id, _UNSEEN)) for each in found.items]
            found = replace(found, items=items)
        return found, total_enabled

    def enable(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        *,
        model_ids: Sequence[str] = (),
        filter: ModelFilter | None = None,
        standing: bool = False,
        validate_only: bool = False,
    ) -> Written[Enabled]:
        """Enable what is named and what passes the filter; a ``standing`` filter becomes a rule as well.

        A model that was disabled comes back with its settings. Raises AgentNotFound, ModelNotFound for one id
        that the catalogue does not have (then nothing is enabled), InvalidRequest.
        """
        if not model_ids and filter is None:
            raise InvalidRequest(Violation("model_ids", "give model_ids, filter or both"))
        if standing and filter is None:
            raise InvalidRequest(Violation("standing", "needs a filter, for that is what stands"))
        with self._changing(who, "EnableAgentModels", tenant_id, agent_id) as change:
            known.require_models(change.tx, model_ids)
            selection = Selection(model_ids=model_ids, filter=filter)
            rule, is_new = self._rule(change, filter) if standing and filter is not None else (None, False)
            if validate_only:
                meant = agent_models.matching(change.tx, selection)
                return change.nothing(replace(meant, rule=rule))
            if is_new and rule is not None:
                rule = agent_rules.insert(change.tx, change.agent.tenant_id, rule)
            meant, changed = agent_models.enable(
                change.tx,
                change.agent,
                selection,
                enabled_by=who.subject,
                rule_id=rule.rule_id if rule else None,
            )
            answer = replace(meant, rule=rule)
            if not changed.count and not is_new:
                return change.nothing(answer)
            return change.commit(answer, after=replace(changed, rule=rule if is_new else None))

    def disable(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        *,
        model_ids: Sequence[str] = (),
        filter: ModelFilter | None = None,
        all: bool = False,
    ) -> Written[int]:
        """Disable what is named and what passes the filter; ``all`` disables every model and ends every rule.

        The answer counts models that were enabled. Their settings stay, and no rule enables them again.
        Raises AgentNotFound, ModelNotFound for an id that was never in the catalogue, InvalidRequest.
        """
        if not model_ids and filter is None and not all:
            raise InvalidRequest(Violation("model_ids", "give model_ids, filter or all"))
        with self._changing(who, "DisableAgentModels", tenant_id, agent_id) as change:
            known.require_models(change.tx, model_ids, deleted_too=True)
            selection = Selection(model_ids=model_ids, filter=filter)
            # Rules first: what a sync is just bringing by one of them is waited for, and disabled too.
            ended = agent_rules.delete_all(change.tx, change.agent.tenant_id, agent_id) if all else 0
            changed = agent_models.disable(change.tx, change.agent, selection, all=all)
            if not changed.count and not ended:
                return change.nothing(0)
            told = {"count": changed.count, "model_ids": changed.model_ids, "rules_deleted": ended}
            return change.commit(changed.count, after=told)

    def update(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        model_id: str,
        fields: dict[str, Any],
    ) -> Written[AgentModel]:
        """Change the named settings, some by an Amendment, of a model that is, or once was, enabled for the
        agent.

        Raises AgentNotFound, ModelNotFound (also for a model that was never enabled here), InvalidRequest.
        """
        unknown = sorted(fields.keys() - MUTABLE)
        if unknown:
            allowed = ", ".join(sorted(MUTABLE))
            raise InvalidRequest(Violation("update_mask", f"{', '.join(unknown)}: not one of {allowed}"))
        with self._changing(who, "UpdateAgentModel", tenant_id, agent_id) as change:
            tenant = change.agent.tenant_id
            before = agent_models.get(change.tx, tenant, agent_id, model_id)
            if before is None:
                raise ModelNotFound(model_id=model_id)
            known.require_models(change.tx, fields.get("fallback_model_ids") or ())
            wanted = replace(before, **amended(before, fields))
            if wanted.enabled and not before.enabled:
                wanted = enabled_by_hand(wanted, who)
            agent_models.update(change.tx, tenant, wanted)
            after = agent_models.get(change.tx, tenant, agent_id, model_id)
            assert after is not None
            return change.commit(
                after, target=("agent_model", f"{agent_id}/{model_id}"), before=before, after=after
            )

    def list_rules(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, page: PageRequest
    ) -> Page[AgentRule]:
        """The standing rules of an agent. Raises AgentNotFound."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant_id = who.tenant(tenant_id)
        with self._database.transaction(tenant_id) as tx:
            known.require_agent(tx, tenant_id, agent_id)
            return agent_rules.list_page(tx, tenant_id, agent_id, page)

    def delete_rule(
        self, who: Principal, tenant_id: UUID | None, agent_id: str, rule_id: UUID
    ) -> Written[None]:
        """End a standing rule, and take back what only this rule had enabled.

        A model that another rule of the agent catches too goes over to that rule, the oldest first, and keeps
        its settings; the others leave the agent with their settings. What an admin enabled by name or by a
        filter that did not stand stays, and what he disabled stays disabled. Raises AgentNotFound,
        RuleNotFound.
        """
        with self._changing(who, "DeleteAgentRule", tenant_id, agent_id) as change:
            tenant = change.agent.tenant_id
            rules = agent_rules.lock_all(change.tx, tenant, agent_id)
            rule = next((each for each in rules if each.rule_id == rule_id), None)
            if rule is None:
                raise RuleNotFound(rule_id=rule_id, agent_id=agent_id)
            removed = end_rule(change.tx, tenant, rule_id, rules)
            target = ("agent_rule", f"{agent_id}/{rule_id}")
            return change.commit(None, target=target, before=rule, after={"models_removed": removed})

    @contextmanager
    def _changing(
        self, who: Principal, method: str, tenant_id: UUID | None, agent_id: str
    ) -> Iterator[_ModelsChange]:
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant_id = who.tenant(tenant_id)
        with self._database.transaction(tenant_id) as tx:
            yield _ModelsChange(tx, who, method, known.lock_agent(tx, tenant_id, agent_id))

    @staticmethod
    def _rule(change: _ModelsChange, filter: ModelFilter) -> tuple[AgentRule, bool]:
        """The rule that stands for a filter, and whether it must be made."""
        wanted = AgentRule(agent_id=change.agent.agent_id, filter=filter, created_by=change.who.subject)
        found = agent_rules.find_equal(change.tx, change.agent.tenant_id, wanted)
        return (wanted, True) if found is None else (found, False)


class _ModelsChange:
    """One change of the models of a locked agent."""

    def __init__(self, tx: Tx, who: Principal, method: str, agent: Agent) -> None:
        self.tx, self.who, self._method, self.agent = tx, who, method, agent

    def nothing(self, value: T) -> Written[T]:
        """An answer for which nothing had to be written."""
        return Written(value, changes.current(self.tx).rev)

    def commit(
        self,
        value: T,
        *,
        after: object,
        before: object | None = None,
        target: tuple[str, str] | None = None,
    ) -> Written[T]:
        """Note what was written, the agent being what it was done to where no ``target`` is given."""
        agent = self.agent
        audit.write(
            self.tx,
            self.who,
            self._method,
            target or ("agent", agent.agent_id),
            before=before,
            after=after,
            tenant_id=agent.tenant_id,
        )
        change = Change(Kind.AGENT, agent.agent_id, agent.tenant_id)
        return Written(value, changes.announce(self.tx, change))


def end_rule(tx: Tx, tenant_id: UUID, rule_id: UUID, rules: Sequence[AgentRule]) -> int:
    """Delete one of the locked ``rules`` as ``AgentModels.delete_rule`` tells; how many models go."""
    agent_id = ""
    for each in rules:
        if each.rule_id == rule_id:
            agent_id = each.agent_id
        else:
            agent_models.hand_over(tx, tenant_id, rule_id, each)
    removed = agent_models.remove_caught(tx, tenant_id, rule_id)
    agent_rules.delete(tx, tenant_id, agent_id, rule_id)
    return removed


def enabled_by_hand(model: AgentModel, who: Principal) -> AgentModel:
    """A model that an admin enables again, whatever rule once brought it."""
    return replace(
        model, enabled_by=who.subject, enabled_time=datetime.now(UTC), source=Source.EXPLICIT, rule_id=None
    )
