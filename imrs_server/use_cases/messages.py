"""Messages: model calls as agents report them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imrs_client.ids import new_id
from imrs_server.domain import message as calls
from imrs_server.domain.errors import (
    AgentMismatch,
    DecisionNotFound,
    InvalidRequest,
    ModelNotFound,
    Violation,
)
from imrs_server.domain.message import Message, Report
from imrs_server.domain.pricing import UNPRICED
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import changes, decisions, idempotency, messages, partitions
from imrs_server.telemetry.model_calls import UNNOTED
from imrs_server.use_cases import known, settling
from imrs_server.use_cases.landing import NotLanded, landing

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from imrs_server.domain.decision import DecisionRecord
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx
    from imrs_server.storage.idempotency import Key
    from imrs_server.telemetry.model_calls import CallNotes
    from imrs_server.use_cases.spending import Spending


class Messages:
    """``flush_decisions`` writes what the decision log holds back, ``wake_rollup`` tells that votes came.

    ``with_memory`` has a memory store told of votes that get their message; ``notes`` is told of what was
    stored, ``spending`` counts it on budgets.
    """

    def __init__(
        self,
        database: Database,
        *,
        flush_decisions: Callable[[], object],
        wake_rollup: Callable[[], None],
        with_memory: bool = False,
        notes: CallNotes = UNNOTED,
        spending: Spending | None = None,
    ) -> None:
        self._database = database
        self._with_memory = with_memory
        self.notes = notes
        self._spending = spending
        self._flush_decisions = flush_decisions
        self._wake_rollup = wake_rollup

    def record(
        self,
        who: Principal,
        tenant_id: UUID | None,
        report: Report,
        *,
        key: Key | None = None,
        reservation_id: UUID | None = None,
        decided: DecisionRecord | None = None,
    ) -> Written[Message]:
        """Store a model call; what the report leaves out comes from its decision.

        The id is the decision's where none is given, and a new one without a decision. A call that was
        recorded before under the same id is revised: the last report wins on how the call went, and one
        that says the same changes nothing; what Complete counted stands, whatever an agent reports of it. A
        message takes no revision; the answer has the newest. What it
        cost counts on the budgets of its agent and tenant, in place of what ``reservation_id`` set aside.
        ``decided`` is its decision where the caller has it, which then need not have been written yet.

        Raises InvalidRequest, AgentMismatch, AgentNotFound, ModelNotFound, DecisionNotFound.
        """
        who.require(Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant = who.tenant(tenant_id)
        if who.acts_only_as_agent:
            report = replace(report, agent_id=who.agent(report.agent_id))
        calls.check(report, datetime.now(UTC))
        report = replace(report, message_id=report.message_id or report.decision_id or new_id())

        def work(landed: bool) -> tuple[Written[Message], _Recording | None]:
            with self._database.transaction(tenant) as tx:
                first = idempotency.first_answer(tx, tenant, key, Message)
                if first is not None:
                    return first, None
                recording = _Recording(
                    tx, who, tenant, landed=landed, with_memory=self._with_memory, decided=decided
                )
                message = recording.record(report)
                written = Written(message, changes.current(tx).rev)
                idempotency.keep(tx, tenant, key, written)
                if self._spending is not None:
                    # Last, for whoever else spends waits from here to the commit.
                    self._spending.charge(tx, message, recording.before, reservation_id=reservation_id)
                return written, recording

        written, recording = partitions.healing(self._database, lambda: landing(work, self._flush_decisions))
        if recording is not None:
            self.notes.recorded(written.value, recording.before)
        if written.value.rating is not None:
            self._wake_rollup()
        return written


class _Recording:
    """One report in its transaction."""

    def __init__(
        self,
        tx: Tx,
        who: Principal,
        tenant_id: UUID,
        *,
        landed: bool,
        with_memory: bool,
        decided: DecisionRecord | None,
    ) -> None:
        self._tx, self._who, self._tenant_id, self._landed = tx, who, tenant_id, landed
        self._with_memory = with_memory
        self._decided = decided
        self.before: Message | None = None
        """What was stored under the id."""

    def record(self, report: Report) -> Message:
        assert report.message_id is not None
        messages.lock(self._tx, self._tenant_id, report.message_id)
        self.before = messages.get(self._tx, self._tenant_id, report.message_id)
        return self._create(report) if self.before is None else self._revise(self.before, report)

    def _create(self, report: Report) -> Message:
        decision = self._decision(report)
        if decision is not None:
            report = replace(report, decision_id=decision.decision_id)
        report = calls.complete(report, decision)
        self._require_agent(report, decision)
        price = messages.price(self._tx, self._tenant_id, report.agent_id, report.model_id)
        if price is None and (decision is None or report.model_id != decision.model_id):
            raise ModelNotFound(model_id=report.model_id)
        message = calls.compose(
            report,
            price or UNPRICED,
            tenant_id=self._tenant_id,
            of_decision=decision is not None and decision.decision_id == report.message_id,
            now=datetime.now(UTC),
            by_admin=not self._who.acts_only_as_agent,
        )
        messages.insert(self._tx, message)
        return settling.settle(self._tx, message, with_memory=self._with_memory)

    def _revise(self, stored: Message, report: Report) -> Message:
        if self._who.acts_only_as_agent and stored.agent_id != report.agent_id:
            raise AgentMismatch
        price = messages.price(self._tx, self._tenant_id, stored.agent_id, stored.model_id)
        revised = calls.revise(stored, report, price or UNPRICED)
        if stored.measured and not report.measured and self._who.acts_only_as_agent:
            # It is charged for what it used, not for what it says that it used.
            return stored
        if revised != stored:
            messages.update(self._tx, revised)
        return revised

    def _decision(self, report: Report) -> DecisionRecord | None:
        """The decision behind a call: the one it names, else the one whose id it has."""
        decision_id = report.decision_id or report.message_id
        assert decision_id is not None
        if self._decided is not None and self._decided.decision_id == decision_id:
            return self._decided
        found = decisions.get(self._tx, self._tenant_id, decision_id)
        if found is None and report.decision_id is not None and not self._landed:
            raise NotLanded
        return found

    def _require_agent(self, report: Report, decision: DecisionRecord | None) -> None:
        """Who called, and what, must be known; what a decision tells needs no further proof."""
        if decision is not None:
            if report.agent_id == decision.agent_id:
                return
            if self._who.acts_only_as_agent:
                raise AgentMismatch
            raise InvalidRequest(
                Violation(
                    "message.agent_id", f"must be {decision.agent_id}, for whom it was decided, or unset"
                )
            )
        missing = [
            Violation(f"message.{name}", "must be set where no decision tells it")
            for name in ("agent_id", "model_id")
            if not getattr(report, name)
        ]
        if missing and report.decision_id is not None:
            raise DecisionNotFound(decision_id=report.decision_id)
        if missing:
            raise InvalidRequest(*missing)
        known.require_agent(self._tx, self._tenant_id, report.agent_id)
