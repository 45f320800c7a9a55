"""The calls of models that one Complete makes, and the message that is kept of each."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from imrs_client.ids import new_id
from imrs_server.domain import token_estimate
from imrs_server.domain.decision import record
from imrs_server.domain.embedding import EmbeddingQuery
from imrs_server.domain.errors import DatabaseUnavailable, DomainError
from imrs_server.domain.message import Report
from imrs_server.telemetry.model_calls import ModelCall
from imrs_server.use_cases.call_under_way import CallUnderWay
from imrs_server.use_cases.late_messages import Late
from imrs_server.use_cases.spending import EndedCall

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.completion import CompletionQuery
    from imrs_server.domain.decision import Decision, SelectedModel
    from imrs_server.domain.message import Message
    from imrs_server.domain.principal import Principal
    from imrs_server.use_cases.late_messages import LateMessages
    from imrs_server.use_cases.messages import Messages
    from imrs_server.use_cases.spending import Spending

log = structlog.get_logger()

NOTES = "imrs"
"""The member of a message's metadata that has what IMRS itself notes of a call."""


class Calls:
    """All calls of one Complete; the last one's message has the id of the decision."""

    def __init__(
        self,
        messages: Messages,
        late: LateMessages,
        spending: Spending,
        who: Principal,
        query: CompletionQuery | EmbeddingQuery,
        decision: Decision,
    ) -> None:
        self._messages = messages
        self._late = late
        self._spending = spending
        self._who = who
        self._query = query
        self._decision = decision
        self._prompt_tokens = token_estimate.of_prompt(query.messages, query.tools)
        self._unwritten: list[CallUnderWay] = []
        self._models = {decision.selected.model_id}

    def reserve(self, model: SelectedModel, *, output_tokens: int, seconds: float) -> UUID | None:
        """Set aside what a call with an answer of so many tokens may come to, for as long as it may take.

        None where there is no budget. Raises BudgetExceeded and DatabaseUnavailable.
        """
        return self._spending.reserve(
            self._decision.tenant_id,
            self._decision.agent_id,
            model,
            prompt_tokens=self._prompt_tokens,
            output_tokens=output_tokens,
            seconds=seconds,
            ended=[
                EndedCall(each.reservation_id, each.model.model_id, each.usage)
                for each in self._unwritten
                if each.reservation_id
            ],
        )

    def give_back(self, reservation_id: UUID | None) -> None:
        """What was set aside for a call that is not made after all."""
        if reservation_id is None:
            return
        try:
            self._spending.give_back(self._decision.tenant_id, self._decision.agent_id, reservation_id)
        except DatabaseUnavailable as error:
            # It counts until it expires.
            log.warning("budget.not_given_back", reservation_id=str(reservation_id), reason=error.reason)

    def begin(self, model: SelectedModel, reservation_id: UUID | None) -> CallUnderWay:
        """A call of this model begins, so those before it are not the last one."""
        self._write_earlier()
        if model.model_id not in self._models:
            self._models.add(model.model_id)
            self._messages.notes.fell_back(model.provider_id)
        found = CallUnderWay(model, self._prompt_tokens, reservation_id)
        self._unwritten.append(found)
        return found

    def store(self, call: CallUnderWay) -> Message:
        """Store the message of the call that answered.

        Raises DatabaseUnavailable, and then stores it as soon as it can.
        """
        self._unwritten.remove(call)
        return self._record(call, self._late_of(call))

    def settle(self) -> None:
        """Store what is left, whatever became of it."""
        if not self._unwritten:
            return
        last = self._unwritten.pop()
        self._write_earlier()
        if not last.is_over:
            last.cancelled()
        self._attempt(last, self._late_of(last))

    def _write_earlier(self) -> None:
        earlier, self._unwritten = self._unwritten, []
        for each in earlier:
            self._attempt(each, self._late_of(each, new_id()))

    def _attempt(self, call: CallUnderWay, late: Late) -> None:
        """The answer, or the error that the caller is to hear, matters more than what this runs into."""
        try:
            self._record(call, late)
        except DomainError:
            return
        except Exception:
            log.exception("message.failed", message_id=str(late.report.message_id))

    def _record(self, call: CallUnderWay, late: Late) -> Message:
        """Store it now; or later, unless that cannot help."""
        self._messages.notes.called(self._noted(call))
        try:
            return late.record(self._messages, decided=record(self._decision))
        except DomainError as error:
            if isinstance(error, DatabaseUnavailable):
                self._late.keep(late)
            else:
                self._late.lose(late, error.reason)
            raise
        except Exception:
            self._late.keep(late)
            raise

    def _noted(self, call: CallUnderWay) -> ModelCall:
        return ModelCall(
            model_id=call.model.model_id,
            provider_id=call.model.provider_id,
            provider_type=call.model.provider_type,
            external_id=call.model.external_id,
            agent_id=self._decision.agent_id,
            decision_id=self._decision.decision_id,
            conversation_id=self._decision.conversation_id,
            start_time=call.start_time,
            latency_ms=call.latency_ms,
            usage=call.usage,
            outcome=call.outcome,
            error_kind=call.error_kind,
            finish_reason=call.finish_reason,
            operation="embeddings" if isinstance(self._query, EmbeddingQuery) else "chat",
            stream=self._query.stream,
        )

    def _late_of(self, call: CallUnderWay, message_id: UUID | None = None) -> Late:
        return Late(
            who=self._who,
            tenant_id=self._decision.tenant_id,
            report=self._report(call, message_id or self._decision.decision_id),
            reservation_id=call.reservation_id,
        )

    def _report(self, call: CallUnderWay, message_id: UUID) -> Report:
        decision, usage = self._decision, call.usage
        return Report(
            message_id=message_id,
            agent_id=decision.agent_id,
            decision_id=decision.decision_id,
            conversation_id=decision.conversation_id,
            model_id=call.model.model_id,
            task_type=decision.task.task_type,
            tools_used=call.tools,
            latency_ms=call.latency_ms,
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            tokens_estimated=usage.estimated,
            outcome=call.outcome,
            error_kind=call.error_kind,
            metadata={**self._query.metadata, **({NOTES: call.notes} if call.notes else {})},
            create_time=datetime.now(UTC),
            measured=True,
        )
