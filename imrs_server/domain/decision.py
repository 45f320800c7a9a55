"""One routing decision: what was asked, what was answered, and what is kept of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from imrs_client.ids import time_of
from imrs_client.query import Query
from imrs_client.ranked import Candidate, Reason, RemovedBy
from imrs_client.tasks import Attachment, Confidence, Detection, Source
from imrs_server.domain import query_record
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.model import CostTier, PriceState
from imrs_server.domain.parameters import UNSET, Parameters
from imrs_server.domain.provider import ProviderType
from imrs_server.domain.shadow import Shadow

NO_LIMITS = Query()

# A draw from more than these is kept without its probabilities.
MOST_PROPENSITIES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteQuery:
    """A RouteRequest. ``query`` holds what it asks of the model, before detection adds capabilities."""

    tenant_id: UUID | None = None
    agent_id: str = ""
    agent_class: str = ""
    task_type: str = ""
    message: str = ""
    tools_used: tuple[str, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    query: Query = NO_LIMITS
    parameters: Parameters = UNSET
    min_revision: int = 0
    seed: int | None = None
    request_id: str = ""
    repeated: bool = False
    """Whether this very object stands for all requests that are equal to it."""


# Compared by identity: an answer is made once for a table and then handed out to many decisions.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class SelectedModel:
    """A model with all that is needed to call it. Prices are USD per 1M tokens."""

    model_id: str
    provider_id: str = ""
    provider_type: ProviderType | None = None
    api_base: str = ""
    api_key_vault_path: str = ""
    external_id: str = ""
    display_name: str = ""
    priority: int = 0
    cost_tier: CostTier | None = None
    score: float = 0.0
    parameters: Parameters = UNSET
    context_length: int | None = None
    capabilities: tuple[str, ...] = ()
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None
    price_state: PriceState | None = None
    credentials_ok: bool = False
    endpoint: Endpoint | None = None


NO_MODEL = SelectedModel(model_id="")
"""What an explanation selects where every candidate is removed; its reason then says nothing."""


@dataclass(frozen=True, slots=True)
class CandidateReport:
    """What became of one candidate; ``removed_by`` None means that it passed every filter."""

    candidate: Candidate
    removed_by: RemovedBy | None
    detail: str

    @property
    def eligible(self) -> bool:
        return self.removed_by is None


# Compared by identity as well: requests that differ in nothing else than who asks get the same one.
@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class Answer:
    """What many of an agent's requests get: the model and its fallbacks, with how they came about."""

    tenant_id: UUID
    agent_id: str
    task: Detection
    selected: SelectedModel
    fallbacks: tuple[SelectedModel, ...]
    reason: Reason
    candidates_total: int
    candidates_eligible: int


NO_CHANCE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """All of a decision that the same request gets again as long as the agent's tables are the same."""

    request: RouteQuery
    query: Query
    answer: Answer
    propensity: float | None = None
    propensities: Mapping[str, float] = field(default_factory=lambda: NO_CHANCE)
    shadow: Shadow | None = None


# A tuple, for it is made in every call: a frozen dataclass of as many fields takes four times as long.
class Decision(NamedTuple):
    """One answer to a RouteQuery. ``candidates`` is filled by an explanation only.

    ``query`` and ``agent_class`` are what the table was asked, with what detection added: enough to decide
    again. ``query`` is None where it was not kept. ``propensities`` has, by model_id, the probabilities of
    all that chance could have led to, ``propensity`` that of the selected one. What the ``shadow`` would have
    chosen comes to light when the decision is recorded, not while somebody waits.
    """

    decision_id: UUID
    request_id: str
    answer: Answer
    index_revision: int
    stale: bool
    conversation_id: str = ""
    propensity: float | None = None
    propensities: Mapping[str, float] = NO_CHANCE
    candidates: tuple[CandidateReport, ...] = ()
    query: Query | None = NO_LIMITS
    agent_class: str = ""
    shadow: Shadow | None = None

    @property
    def create_time(self) -> datetime:
        """The time inside the id, a UUIDv7: to the millisecond."""
        time = time_of(self.decision_id)
        assert time is not None
        return time

    @property
    def tenant_id(self) -> UUID:
        return self.answer.tenant_id

    @property
    def agent_id(self) -> str:
        return self.answer.agent_id

    @property
    def task(self) -> Detection:
        return self.answer.task

    @property
    def selected(self) -> SelectedModel:
        return self.answer.selected

    @property
    def fallbacks(self) -> tuple[SelectedModel, ...]:
        return self.answer.fallbacks

    @property
    def reason(self) -> Reason:
        return self.answer.reason

    @property
    def candidates_total(self) -> int:
        return self.answer.candidates_total

    @property
    def candidates_eligible(self) -> int:
        return self.answer.candidates_eligible


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecord:
    """A row of ``decisions``: what is kept of a decision."""

    decision_id: UUID
    tenant_id: UUID
    create_time: datetime
    agent_id: str
    task_type: str
    confidence: Confidence
    source: Source
    model_id: str
    reason: Reason
    fallback_model_ids: tuple[str, ...] = ()
    candidates_total: int = 0
    candidates_eligible: int = 0
    index_revision: int = 0
    stale: bool = False
    score: float | None = None
    propensity: float | None = None
    request_id: str = ""
    conversation_id: str = ""
    detail: dict[str, Any] = field(default_factory=dict)


def record(decision: Decision) -> DecisionRecord:
    """What is kept of a decision: in columns, and in ``detail`` what is seldom asked for."""
    task = decision.task
    return DecisionRecord(
        decision_id=decision.decision_id,
        tenant_id=decision.tenant_id,
        create_time=decision.create_time,
        agent_id=decision.agent_id,
        task_type=task.task_type,
        confidence=task.confidence,
        source=task.source,
        model_id=decision.selected.model_id,
        reason=decision.reason,
        fallback_model_ids=tuple(each.model_id for each in decision.fallbacks),
        candidates_total=decision.candidates_total,
        candidates_eligible=decision.candidates_eligible,
        index_revision=decision.index_revision,
        stale=decision.stale,
        score=decision.selected.score,
        propensity=decision.propensity,
        request_id=decision.request_id,
        conversation_id=decision.conversation_id,
        detail=_detail(decision),
    )


def _detail(decision: Decision) -> dict[str, Any]:
    """By name, what is not as by default."""
    task = decision.task
    found: dict[str, Any] = {
        "required_capabilities": list(task.required_capabilities),
        "alternatives": list(task.alternatives),
        "agent_class": decision.agent_class,
        "query": _kept_query(decision),
        "propensities": _kept_propensities(decision),
        "shadow": _shadow(decision),
    }
    return {name: value for name, value in found.items() if value or value is None}


def _shadow(decision: Decision) -> dict[str, str]:
    """What the policy beside would have chosen: empty without one, an empty model_id for nothing eligible."""
    if decision.shadow is None or decision.query is None:
        return {}
    return {"model_id": decision.shadow.choice(decision.query, decision.decision_id)}


def _kept_query(decision: Decision) -> dict[str, Any] | None:
    """None for one that is too long to be kept. The conversation has a column of its own."""
    if decision.query is None or not decision.query.is_small:
        return None
    kept = query_record.to_json(decision.query)
    kept.pop("conversation_id", None)
    if kept.get("chance") == str(decision.decision_id):
        del kept["chance"]
    return kept


def _kept_propensities(decision: Decision) -> dict[str, float]:
    """Where there are many, each is next to impossible: they would take much room and tell nothing."""
    return dict(decision.propensities) if len(decision.propensities) <= MOST_PROPENSITIES else {}


def asked(detail: dict[str, Any], conversation_id: str) -> Query | None:
    """The query of a decision from what was kept of it; None where that was not."""
    kept = detail.get("query", {})
    if kept is None:
        return None
    return query_record.from_json(Query, kept | {"conversation_id": conversation_id})


def recall(kept: DecisionRecord) -> Decision:
    """The decision as far as it was kept: models by id alone, the selected one with its score."""
    return Decision(
        decision_id=kept.decision_id,
        request_id=kept.request_id,
        answer=Answer(
            tenant_id=kept.tenant_id,
            agent_id=kept.agent_id,
            task=Detection(
                task_type=kept.task_type,
                confidence=kept.confidence,
                source=kept.source,
                required_capabilities=tuple(kept.detail.get("required_capabilities", ())),
                alternatives=tuple(kept.detail.get("alternatives", ())),
            ),
            selected=SelectedModel(model_id=kept.model_id, score=kept.score or 0.0),
            fallbacks=tuple(SelectedModel(model_id=each) for each in kept.fallback_model_ids),
            reason=kept.reason,
            candidates_total=kept.candidates_total,
            candidates_eligible=kept.candidates_eligible,
        ),
        index_revision=kept.index_revision,
        stale=kept.stale,
        conversation_id=kept.conversation_id,
        propensity=kept.propensity,
        propensities=kept.detail.get("propensities", {}),
        query=asked(kept.detail, kept.conversation_id),
        agent_class=kept.detail.get("agent_class", ""),
    )
