"""Routing: which model answers a request, from memory alone.

Nothing here waits: no I/O, and no lock. Every call works on the one state that it took at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from imrs_client import tasks
from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.ids import new_id, time_of
from imrs_client.query import Query
from imrs_client.tasks import Detection
from imrs_server.domain import parameters
from imrs_server.domain.decision import CandidateReport, Decision
from imrs_server.domain.errors import (
    AgentNotFound,
    DatabaseUnavailable,
    NoEligibleModel,
    RevisionNotReached,
)
from imrs_server.domain.parameters import UNSET
from imrs_server.index.tables import Table

if TYPE_CHECKING:
    from imrs_client.explore import Lottery
    from imrs_server.domain.decision import RouteQuery, SelectedModel
    from imrs_server.domain.principal import Principal
    from imrs_server.index.state import State
    from imrs_server.index.warm import Index

log = structlog.get_logger()

Offer = Callable[[Decision], None]


@dataclass(frozen=True, slots=True)
class _Case:
    """A request with all that is needed to decide it."""

    tenant_id: UUID
    agent_id: str
    table: Table
    query: Query
    task: Detection
    revision: int


class Router:
    """``offer`` takes each decision for the log and must not wait."""

    def __init__(self, index: Index, offer: Offer) -> None:
        self._index = index
        self._offer = offer

    def route(self, who: Principal, request: RouteQuery) -> Decision:
        """Choose a model, and log the decision.

        Raises AgentNotFound, NoEligibleModel, RevisionNotReached, and DatabaseUnavailable as long as nothing
        was ever read.
        """
        decision = self._decide(self._case(who, request), request)
        self._offer(decision)
        return decision

    def explain(self, who: Principal, request: RouteQuery) -> Decision:
        """What ``route`` would answer, with a report on each candidate, best first; nothing is logged."""
        case = self._case(who, request)
        ranked = case.table.ranked
        reports = zip(ranked.candidates, explain(ranked, case.query), strict=True)
        return replace(
            self._decide(case, request),
            candidates=tuple(CandidateReport(each, told.removed_by, told.detail) for each, told in reports),
        )

    def detect(self, who: Principal, request: RouteQuery) -> Detection:
        """What ``route`` would take the task for; of no particular agent."""
        return _detect(self._state(0), who.tenant(request.tenant_id), request)

    def _state(self, min_revision: int) -> State:
        state = self._index.current
        if state is None:
            raise DatabaseUnavailable
        if min_revision > state.revision:
            raise RevisionNotReached(revision=state.revision, min_revision=min_revision)
        return state

    def _case(self, who: Principal, request: RouteQuery) -> _Case:
        tenant_id = who.tenant(request.tenant_id)
        agent_id = who.agent(request.agent_id)
        state = self._state(request.min_revision)
        agent = state.agent(tenant_id, agent_id)
        if agent is None:
            raise AgentNotFound(agent_id=agent_id)
        degraded = False
        try:
            task = _detect(state, tenant_id, request)
        except Exception:
            log.exception(
                "detection.failed", error_id=str(new_id()), tenant=str(tenant_id), agent_id=agent_id
            )
            task, degraded = Detection(), True
        return _Case(
            tenant_id,
            agent_id,
            agent.table(task.task_type, request.agent_class, degraded=degraded),
            _with_detected(request.query, task),
            task,
            state.revision,
        )

    def _decide(self, case: _Case, request: RouteQuery) -> Decision:
        table = case.table
        decision_id = new_id()
        query = _with_chance(case, request, decision_id)
        try:
            choice = decide(table.ranked, query)
        except NothingEligible as nothing:
            removed = {str(name): count for name, count in nothing.removed.items()}
            raise NoEligibleModel(agent_id=case.agent_id, **removed) from None
        create_time = time_of(decision_id)
        assert create_time is not None
        return Decision(
            decision_id=decision_id,
            request_id=request.request_id,
            tenant_id=case.tenant_id,
            agent_id=case.agent_id,
            task=case.task,
            selected=_answer(table, choice.selected, request),
            fallbacks=tuple([_answer(table, each, request) for each in choice.fallbacks]),
            reason=choice.reason,
            candidates_total=len(table.ranked.candidates),
            candidates_eligible=choice.eligible,
            index_revision=case.revision,
            stale=self._index.stale,
            create_time=create_time,
            conversation_id=request.query.conversation_id,
            propensity=choice.propensity,
            propensities=_names(table, choice.lottery),
            query=query,
            agent_class=request.agent_class,
            shadow=table.shadow,
        )


def _detect(state: State, tenant_id: UUID, request: RouteQuery) -> Detection:
    return tasks.detect(
        state.rules(tenant_id),
        task_type=request.task_type,
        message=request.message,
        tools_used=request.tools_used,
        attachments=request.attachments,
    )


def _with_detected(query: Query, task: Detection) -> Query:
    more = tuple(each for each in task.required_capabilities if each not in query.capabilities)
    return replace(query, capabilities=query.capabilities + more) if more else query


def _with_chance(case: _Case, request: RouteQuery, decision_id: UUID) -> Query:
    """What exploration draws from: equal seeds, and equal request ids, draw alike."""
    if not case.table.ranked.policy.exploration_rate:
        return case.query
    named = request.request_id if request.seed is None else f"seed {request.seed}"
    return replace(case.query, chance=named or str(decision_id))


def _names(table: Table, lottery: Lottery) -> dict[str, float]:
    return {table.ranked.candidates[i].model_id: chance for i, chance in lottery}


def _answer(table: Table, position: int, request: RouteQuery) -> SelectedModel:
    found = table.answer(position)
    if request.parameters is UNSET:
        return found
    return replace(found, parameters=parameters.resolve(found.parameters, request.parameters))
