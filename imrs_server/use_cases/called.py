"""The calls of providers that one Complete makes, and the message that is kept of each."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from imrs_client.ids import new_id
from imrs_server.domain import token_estimate
from imrs_server.domain.chat import FailureKind, TokenUsage, joined
from imrs_server.domain.decision import record
from imrs_server.domain.embedding import EmbeddingQuery
from imrs_server.domain.errors import AgentMismatch, DatabaseUnavailable, DomainError, InvalidRequest
from imrs_server.domain.message import Outcome, Report
from imrs_server.telemetry.model_calls import ModelCall
from imrs_server.use_cases.late_messages import Late
from imrs_server.use_cases.spending import EndedCall

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.chat import ChatFailure, Delta, Ended
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

_MOST_TOKENS = 10**9
_NOTHING = TokenUsage()


class CallUnderWay:
    """One call of one model."""

    def __init__(self, model: SelectedModel, prompt_tokens: int, reservation_id: UUID | None = None) -> None:
        self.model = model
        self.reservation_id = reservation_id
        self.is_delivered = False
        self.endpoint_id: str | None = None
        """Where in the model pool it was made."""
        self.outcome = Outcome.CANCELLED
        self.error_kind = ""
        self.usage = _NOTHING
        self.is_over = False
        self._end: Ended | None = None
        self._prompt_tokens = prompt_tokens
        self._pieces: list[Delta] = []
        self._characters = 0
        self._tools: dict[str, None] = {}
        self._start = time.monotonic()
        self.start_time = time.time()
        self.latency_ms = 0

    @property
    def end(self) -> Ended:
        assert self._end is not None
        return self._end

    @property
    def finish_reason(self) -> str:
        """Empty where it did not come to its end."""
        return self._end.finish_reason if self._end else ""

    @property
    def notes(self) -> dict[str, Any]:
        """What is kept beside the caller's own metadata."""
        dropped = self._end.dropped if self._end else ()
        told = {"dropped": list(dropped), "endpoint": self.endpoint_id}
        return {name: value for name, value in told.items() if value}

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools that the model asked for."""
        return tuple(self._tools)

    def heard(self, piece: Delta) -> None:
        self._characters += token_estimate.characters(piece)
        self._tools |= {call.name: None for call in piece.tool_calls if 0 < len(call.name) <= 255}
        if not self.is_delivered:
            self._pieces.append(piece)

    def whole(self) -> Delta | None:
        """All that was said, in one; None for nothing."""
        found = joined(self._pieces)
        return found if found.content or found.tool_calls or found.vectors else None

    def ended(self, end: Ended) -> None:
        self._end = end
        usage = end.usage or token_estimate.usage(self._prompt_tokens, self._characters)
        self._over(Outcome.OK, usage)

    def failed(self, failure: ChatFailure) -> None:
        timed_out = failure.cause is FailureKind.TIMEOUT
        self.error_kind = failure.kind.value
        self._over(Outcome.TIMEOUT if timed_out else Outcome.ERROR, failure.usage or self._guess())

    def cancelled(self) -> None:
        """Nobody waits any more."""
        self._over(Outcome.CANCELLED, self._guess())

    def _guess(self) -> TokenUsage:
        """Providers charge for what they have begun to say, and do not count it where it is broken off."""
        if not self._characters:
            return _NOTHING
        return token_estimate.usage(self._prompt_tokens, self._characters)

    def _over(self, outcome: Outcome, usage: TokenUsage) -> None:
        self.outcome = outcome
        self.usage = usage
        self.is_over = True
        self.latency_ms = round((time.monotonic() - self._start) * 1000)


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
                EndedCall(each.reservation_id, each.model.model_id, _counted(each.usage))
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
        report = self._report(call)
        try:
            stored = self._record(call, report)
        except DatabaseUnavailable:
            self._unwritten.remove(call)
            self._keep(call, report)
            raise
        self._unwritten.remove(call)
        return stored

    def settle(self) -> None:
        """Store what is left, whatever became of it."""
        if not self._unwritten:
            return
        last = self._unwritten.pop()
        self._write_earlier()
        if not last.is_over:
            last.cancelled()
        self._attempt(last, self._report(last))

    def _write_earlier(self) -> None:
        earlier, self._unwritten = self._unwritten, []
        for each in earlier:
            self._attempt(each, replace(self._report(each), message_id=new_id()))

    def _record(self, call: CallUnderWay, report: Report) -> Message:
        self._messages.notes.called(self._noted(call))
        try:
            return self._stored(call, report)
        except (AgentMismatch, InvalidRequest):
            # Under the decision's id somebody has told of another call; this one is paid for all the same.
            return self._stored(call, replace(report, message_id=new_id()))

    def _stored(self, call: CallUnderWay, report: Report) -> Message:
        return self._messages.record(
            self._who,
            self._decision.tenant_id,
            report,
            reservation_id=call.reservation_id,
            decided=record(self._decision),
        ).value

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

    def _keep(self, call: CallUnderWay, report: Report) -> None:
        self._late.keep(
            Late(
                who=self._who,
                tenant_id=self._decision.tenant_id,
                report=replace(
                    report,
                    message_id=report.message_id or self._decision.decision_id,
                    create_time=datetime.now(UTC),
                ),
                reservation_id=call.reservation_id,
            )
        )

    def _attempt(self, call: CallUnderWay, report: Report) -> None:
        try:
            self._record(call, report)
        except DatabaseUnavailable:
            self._keep(call, report)
        except DomainError as error:
            # The answer, or the error that the caller is to hear, matters more.
            log.warning(
                "message.lost",
                reason=error.reason,
                tenant_id=str(self._decision.tenant_id),
                decision_id=str(self._decision.decision_id),
                agent_id=report.agent_id,
                model_id=report.model_id,
                prompt_tokens=report.prompt_tokens,
                completion_tokens=report.completion_tokens,
                cached_tokens=report.cached_tokens,
            )

    def _report(self, call: CallUnderWay) -> Report:
        decision, usage = self._decision, _counted(call.usage)
        return Report(
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
            measured=True,
        )


def _counted(usage: TokenUsage) -> TokenUsage:
    """What is kept of numbers that a provider may have made up."""
    prompt_tokens = min(usage.prompt_tokens, _MOST_TOKENS)
    return replace(
        usage,
        prompt_tokens=prompt_tokens,
        completion_tokens=min(usage.completion_tokens, _MOST_TOKENS),
        cached_tokens=min(usage.cached_tokens, prompt_tokens),
    )
