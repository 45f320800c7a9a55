"""The table ``agent_models``: which models an agent may use, and how."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from imrs_server.domain.agent import AgentModel, Enabled
from imrs_server.domain.model import ModelFilter
from imrs_server.domain.parameters import Parameters
from imrs_server.storage import model_filter, sql
from imrs_server.storage.listing import Listing
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from imrs_server.domain.agent import Agent, AgentRule
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.storage.database import Tx
    from imrs_server.storage.sql import Query, Row

Q = sql.load(__file__)

_LISTING = Listing(
    key="model_id",
    orders={
        "model_id": ("model_id", "text"),
        "effective_priority": (
            "coalesce(agent_models.priority_override, agent_rules.priority_override, models.priority)",
            "int",
        ),
        "enabled_time": ("agent_models.enabled_time", "timestamptz"),
    },
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which models a call means: those named and those that pass the filter; a filter of None passes none."""

    model_ids: Sequence[str] = ()
    filter: ModelFilter | None = None

    def apply(self, query: Query) -> Query:
        """The query with the filter's condition in it."""
        return model_filter.applied(query, self.filter or ModelFilter())

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "model_ids": list(self.model_ids),
            "filtered": self.filter is not None,
            **model_filter.parameters(self.filter or ModelFilter()),
        }


def unknown(tx: Tx, model_ids: Sequence[str], *, deleted_too: bool = False) -> str | None:
    """The first of these ids that the catalogue does not have, deleted models counting only on demand."""
    found: str | None = Q.unknown.value(tx, model_ids=list(model_ids), deleted_too=deleted_too)
    return found


def is_enabled(tx: Tx, tenant_id: UUID, agent_id: str, model_id: str) -> bool:
    return bool(Q.is_enabled.value(tx, tenant_id=tenant_id, agent_id=agent_id, model_id=model_id))


def get(tx: Tx, tenant_id: UUID, agent_id: str, model_id: str) -> AgentModel | None:
    """One model of an agent, enabled or not, with what the catalogue adds."""
    return Q.list.one(
        tx,
        shape(AgentModel),
        tenant_id=tenant_id,
        agent_id=agent_id,
        model_id=model_id,
        disabled_too=True,
    )


def list_page(
    tx: Tx, tenant_id: UUID, agent_id: str, request: PageRequest, *, disabled_too: bool
) -> Page[AgentModel]:
    """The enabled models that are in the catalogue, or all that the agent has settings for."""
    return _LISTING.page(
        tx,
        Q.list,
        shape(AgentModel),
        request,
        tenant_id=tenant_id,
        agent_id=agent_id,
        model_id="",
        disabled_too=disabled_too,
    )


def count_enabled(tx: Tx, tenant_id: UUID, agent_id: str) -> int:
    found: int = Q.count_enabled.value(tx, tenant_id=tenant_id, agent_id=agent_id)
    return found


def matching(tx: Tx, selection: Selection) -> Enabled:
    """What enabling a selection would come to."""
    found = selection.apply(Q.matching).one(tx, _enabled, **selection.parameters)
    assert found is not None
    return found


def enable(
    tx: Tx, agent: Agent, selection: Selection, *, enabled_by: str, rule_id: UUID | None
) -> tuple[Enabled, Enabled]:
    """Enable the selected models: all that were meant, and those of them that this changed.

    What passes the filter belongs to the rule, where one is given; what is named never does. A model that was
    disabled keeps its settings; one that was enabled by hand stays so.
    """
    found = selection.apply(Q.enable).one(
        tx,
        _meant_and_changed,
        tenant_id=agent.tenant_id,
        agent_id=agent.agent_id,
        enabled_by=enabled_by,
        rule_id=rule_id,
        **selection.parameters,
    )
    assert found is not None
    return found


def catch(tx: Tx, agent: Agent, rule: AgentRule) -> int:
    """Apply a standing rule to the catalogue as it is; how many models it brought the agent."""
    return model_filter.applied(Q.catch, rule.filter).run(
        tx,
        tenant_id=agent.tenant_id,
        agent_id=agent.agent_id,
        enabled_by=rule.created_by,
        rule_id=rule.rule_id,
        **model_filter.parameters(rule.filter),
    )


def disable(tx: Tx, agent: Agent, selection: Selection, *, all: bool) -> Enabled:
    """Disable the selected models, or all; those that were enabled. Their settings stay."""
    found = selection.apply(Q.disable).one(
        tx,
        _enabled,
        tenant_id=agent.tenant_id,
        agent_id=agent.agent_id,
        all=all,
        **selection.parameters,
    )
    assert found is not None
    return found


def update(tx: Tx, tenant_id: UUID, model: AgentModel) -> None:
    """Store every setting of a row that exists."""
    fallbacks = model.fallback_model_ids
    Q.update.run(
        tx,
        tenant_id=tenant_id,
        agent_id=model.agent_id,
        model_id=model.model_id,
        enabled=model.enabled,
        priority_override=model.priority_override,
        parameters=shape(Parameters).column(model.parameters),
        context_length=model.context_length,
        input_price_usd=model.input_price_usd,
        output_price_usd=model.output_price_usd,
        fallback_model_ids=None if fallbacks is None else Jsonb(list(fallbacks)),
        allowed_roles=Jsonb(list(model.allowed_roles)),
        metadata=Jsonb(model.metadata),
        enabled_by=model.enabled_by,
        enabled_time=model.enabled_time,
        source=model.source,
        rule_id=model.rule_id,
    )


def copy(
    tx: Tx, source: Agent, new_agent_id: str, new_rule_ids: Mapping[UUID, UUID], *, enabled_by: str
) -> None:
    """Give another agent the same models with the same settings; ``new_rule_ids``: old rule -> its copy."""
    Q.copy.run(
        tx,
        tenant_id=source.tenant_id,
        agent_id=source.agent_id,
        new_agent_id=new_agent_id,
        old_ids=list(new_rule_ids),
        new_ids=list(new_rule_ids.values()),
        enabled_by=enabled_by,
    )


def hand_over(tx: Tx, tenant_id: UUID, rule_id: UUID, heir: AgentRule) -> int:
    """Let another rule answer for the models of this one that it catches too; how many these are."""
    return model_filter.applied(Q.hand_over, heir.filter).run(
        tx,
        tenant_id=tenant_id,
        rule_id=rule_id,
        heir_id=heir.rule_id,
        **model_filter.parameters(heir.filter),
    )


def remove_caught(tx: Tx, tenant_id: UUID, rule_id: UUID) -> int:
    """Remove the enabled models of a rule, with their settings; how many these were."""
    return Q.remove_caught.run(tx, tenant_id=tenant_id, rule_id=rule_id)


def _enabled(row: Row) -> Enabled:
    return Enabled(count=row["count"], model_ids=tuple(row["model_ids"]))


def _meant_and_changed(row: Row) -> tuple[Enabled, Enabled]:
    changed = Enabled(count=row["changed_count"], model_ids=tuple(row["changed_ids"]))
    return _enabled(row), changed
