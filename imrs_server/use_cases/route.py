"""Routing: which model answers a request, from memory alone.

Nothing here waits: no I/O, and no lock. Every call works on the one state that it took at its start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from imrs_client import tasks
from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.ids import new_id
from imrs_client.limits import Budget, Funds, Limits
from imrs_client.query import Query
from imrs_client.ranked import Reason
from imrs_client.tasks import Detection
from imrs_server.domain.decision import NO_CHANCE, NO_MODEL, Answer, CandidateReport, Decided, Decision
from imrs_server.domain.errors import (
    AgentNotFound,
    DatabaseUnavailable,
    NoEligibleModel,
    RevisionNotReached,
)
from imrs_server.domain.shadow import beside
from imrs_server.index.table import Table

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_client.explore import Lottery
    from imrs_server.domain.decision import RouteQuery, SelectedModel
    from imrs_server.domain.principal import Principal
    from imrs_server.index.state import State
    from imrs_server.index.tables import AgentTables
    from imrs_server.index.warm import Index

log = structlog.get_logger()

Offer = Callable[[Decision], None]

_NO_MONEY = Budget(Funds.SPENT, "only free models were asked for")


@dataclass(frozen=True, slots=True)
class _Case:
    """What decides a request: the table, what limits its models, and what it is asked."""

    table: Table
    limits: Limits
    query: Query
    task: Detection


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
        decision = self._decide(self._state(request.min_revision), who, request)
        self._offer(decision)
        return decision

    def explain(self, who: Principal, request: RouteQuery) -> Decision:
        """What ``route`` would answer, with a report on each candidate, best first; nothing is logged.

        Where no model is left, that is the answer: NO_MODEL, and why not the candidates. Raises what else
        ``route`` raises.
        """
        state = self._state(request.min_revision)
        tables = _tables(state, who, request)
        case = _case(state, tables, request)
        ranked = case.table.ranked
        try:
            decision = self._decide(state, who, request)
        except NoEligibleModel:
            decision = self._refuse(state, tables, case, request)
        query = _with_chance(case, request, decision.decision_id)
        reports = zip(ranked.candidates, explain(ranked, query, case.limits), strict=True)
        return decision._replace(
            candidates=tuple(CandidateReport(each, told.removed_by, told.detail) for each, told in reports),
        )

    def free_models(self, who: Principal, request: RouteQuery) -> tuple[SelectedModel, ...]:
        """What ``route`` would answer if every budget were spent, best first; nothing is logged."""
        state = self._state(request.min_revision)
        case = _case(state, _tables(state, who, request), request)
        case = replace(case, limits=replace(case.limits, budget=_NO_MONEY))
        try:
            answer = _decided(case, request, new_id()).answer
        except NoEligibleModel:
            return ()
        return (answer.selected, *answer.fallbacks)

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

    def _refuse(self, state: State, tables: AgentTables, case: _Case, request: RouteQuery) -> Decision:
        """In place of a decision, where there is none."""
        return Decision(
            decision_id=new_id(),
            request_id=request.request_id,
            answer=Answer(
                tenant_id=tables.agent.tenant_id,
                agent_id=tables.agent.agent_id,
                task=case.task,
                selected=NO_MODEL,
                fallbacks=(),
                reason=Reason.SCORE,
                candidates_total=len(case.table.ranked.candidates),
                candidates_eligible=0,
            ),
            index_revision=state.revision,
            stale=self._index.stale,
            conversation_id=request.query.conversation_id,
        )

    def _decide(self, state: State, who: Principal, request: RouteQuery) -> Decision:
        decision_id = new_id()
        decided = state.recall(who, request)
        if decided is None:
            tables = _tables(state, who, request)
            case = _case(state, tables, request)
            decided = _decided(case, request, decision_id)
            if not case.table.ranked.degraded:
                state.remember(who, tables, decided)
        # By position, for this is in every call: by name it takes twice as long.
        return Decision(
            decision_id,
            request.request_id,
            decided.answer,
            state.revision,
            self._index.stale,
            request.query.conversation_id,
            decided.propensity,
            decided.propensities,
            (),
            decided.query,
            request.agent_class,
            decided.shadow,
        )


def _tables(state: State, who: Principal, request: RouteQuery) -> AgentTables:
    tenant_id, agent_id = who.tenant(request.tenant_id), who.agent(request.agent_id)
    found = state.agent(tenant_id, agent_id)
    if found is None:
        raise AgentNotFound(agent_id=agent_id)
    return found


def _case(state: State, tables: AgentTables, request: RouteQuery) -> _Case:
    tenant_id, agent_id = tables.agent.tenant_id, tables.agent.agent_id
    degraded = False
    try:
        task = _detect(state, tenant_id, request)
    except Exception:
        log.exception("detection.failed", error_id=str(new_id()), tenant=str(tenant_id), agent_id=agent_id)
        task, degraded = Detection(), True
    table = tables.table(task.task_type, request.agent_class, degraded=degraded)
    return _Case(table, tables.limits, request.query.needing(task.required_capabilities), task)


def _decided(case: _Case, request: RouteQuery, decision_id: UUID) -> Decided:
    table = case.table
    query = _with_chance(case, request, decision_id)
    try:
        choice = decide(table.ranked, query, case.limits)
    except NothingEligible as nothing:
        removed = {str(name): count for name, count in nothing.removed.items()}
        raise NoEligibleModel(agent_id=table.ranked.agent_id, **removed) from None
    lottery = choice.lottery
    return Decided(
        request=request,
        query=query,
        answer=table.answer(choice, case.task, request.parameters),
        propensity=choice.propensity if lottery else None,
        propensities=_names(table, lottery) if lottery else NO_CHANCE,
        shadow=beside(table.shadow, case.limits),
    )


def _detect(state: State, tenant_id: UUID, request: RouteQuery) -> Detection:
    return tasks.detect(
        state.rules(tenant_id),
        task_type=request.task_type,
        message=request.message,
        tools_used=request.tools_used,
        attachments=request.attachments,
    )


def _with_chance(case: _Case, request: RouteQuery, decision_id: UUID) -> Query:
    """What chance is drawn from: equal seeds, and equal request ids, draw alike."""
    if not (case.table.ranked.policy.exploration_rate or case.limits.draws):
        return case.query
    named = request.request_id if request.seed is None else f"seed {request.seed}"
    return replace(case.query, chance=named or str(decision_id))


def _names(table: Table, lottery: Lottery) -> dict[str, float]:
    return {table.ranked.candidates[i].model_id: chance for i, chance in lottery}
