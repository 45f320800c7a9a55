"""Model calls: what an agent reports of one, and what is kept of it. Never a prompt, never an answer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from imrs_client.ids import time_of
from imrs_client.tasks import GENERAL
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.feedback import FeedbackType
from imrs_server.domain.pricing import Price, cost_usd

if TYPE_CHECKING:
    from imrs_server.domain.decision import DecisionRecord

TRUSTED_AGE = timedelta(days=31)
CLOCK_SKEW = timedelta(minutes=5)
HISTORY_BEGIN = datetime(2020, 1, 1, tzinfo=UTC)
"""There are no partitions of an earlier time; what is older is kept by when it was recorded."""


class Outcome(StrEnum):
    """How a call ended."""

    OK = "OK"
    ERROR = "ERROR"
    TIMEOUT = "TIMEOUT"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a caller says of one model call; what is None or empty is left out.

    ``measured`` where it is Complete that says it, of a call of its own.
    """

    message_id: UUID | None = None
    agent_id: str = ""
    decision_id: UUID | None = None
    conversation_id: str = ""
    model_id: str = ""
    task_type: str = ""
    tools_used: tuple[str, ...] = ()
    latency_ms: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens_estimated: bool = False
    outcome: Outcome = Outcome.OK
    error_kind: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    create_time: datetime | None = None
    measured: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A row of ``messages``. ``rating`` and its company are those of the vote that speaks for the message.

    ``measured`` where Complete made the call itself, and counted it.
    """

    tenant_id: UUID
    message_id: UUID
    partition_time: datetime
    agent_id: str
    decision_id: UUID | None = None
    conversation_id: str = ""
    model_id: str
    task_type: str
    tools_used: tuple[str, ...] = ()
    latency_ms: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    tokens_estimated: bool = False
    cost_usd: Decimal | None = None
    outcome: Outcome = Outcome.OK
    error_kind: str = ""
    metadata: dict[str, Any] = field(default_factory=dict)
    rating: float | None = None
    feedback_type: FeedbackType | None = None
    feedback_time: datetime | None = None
    create_time: datetime
    measured: bool = False

    @property
    def token_count(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def cost_priced(self) -> bool:
        """Whether the price was known."""
        return self.cost_usd is not None


def check(report: Report, now: datetime) -> None:
    """Refuse what no single field shows to be wrong. Raises InvalidRequest."""
    violations = []
    if report.cached_tokens > report.prompt_tokens:
        violations.append(Violation("message.cached_tokens", "must be at most prompt_tokens"))
    if report.create_time is not None and report.create_time > now + CLOCK_SKEW:
        violations.append(Violation("message.create_time", "must not be in the future"))
    if violations:
        raise InvalidRequest(*violations)


def partition_time(
    id: UUID, now: datetime, *, of_decision: bool, believed: datetime | None = None
) -> datetime:
    """Which partition holds a message and its votes: the time inside its id, or of the call, or now.

    The time inside a UUIDv7 is believed for the id of one of our decisions, and for any id from TRUSTED_AGE
    ago to CLOCK_SKEW ahead: an id that somebody made up shall not grow partitions of other years.
    ``believed`` is when the call was made where an admin says so, as an import of history does.
    """
    time = time_of(id)
    if time is not None and (of_decision or now - TRUSTED_AGE <= time <= now + CLOCK_SKEW):
        return time
    if believed is not None and HISTORY_BEGIN <= believed <= now:
        return believed
    return now


def complete(report: Report, decision: DecisionRecord | None) -> Report:
    """The report with what it leaves out taken from its decision; the task type is `general` without one."""
    if decision is None:
        return replace(report, task_type=report.task_type or GENERAL)
    return replace(
        report,
        agent_id=report.agent_id or decision.agent_id,
        model_id=report.model_id or decision.model_id,
        task_type=report.task_type or decision.task_type,
        conversation_id=report.conversation_id or decision.conversation_id,
    )


def compose(
    report: Report,
    price: Price,
    *,
    tenant_id: UUID,
    of_decision: bool,
    now: datetime,
    by_admin: bool = False,
) -> Message:
    """The message of a complete report.

    ``of_decision`` where it has the id of its decision; ``by_admin`` where it is an admin's word, whose
    history is kept by its own time.
    """
    assert report.message_id is not None
    return Message(
        tenant_id=tenant_id,
        message_id=report.message_id,
        partition_time=partition_time(
            report.message_id,
            now,
            of_decision=of_decision,
            believed=report.create_time if by_admin else None,
        ),
        agent_id=report.agent_id,
        decision_id=report.decision_id,
        conversation_id=report.conversation_id,
        model_id=report.model_id,
        task_type=report.task_type,
        tools_used=report.tools_used,
        latency_ms=report.latency_ms,
        prompt_tokens=report.prompt_tokens,
        completion_tokens=report.completion_tokens,
        cached_tokens=report.cached_tokens,
        tokens_estimated=report.tokens_estimated,
        cost_usd=_cost_usd(report, price),
        outcome=report.outcome,
        error_kind=report.error_kind,
        metadata=report.metadata,
        create_time=report.create_time or now,
        measured=report.measured,
    )


def revise(stored: Message, report: Report, price: Price) -> Message:
    """A stored message after it was reported again: the same call, told better.

    The last report wins on outcome, error, tokens, cost, latency, tools and metadata. What the call was
    stays: raises InvalidRequest where the report names another agent, model, task type or decision.
    """
    fixed = [(name, getattr(report, name), getattr(stored, name)) for name in _FIXED]
    violations = [
        Violation(f"message.{name}", f"must be {before} as first recorded, or unset")
        for name, now, before in fixed
        if now and before and now != before
    ]
    if violations:
        raise InvalidRequest(*violations)
    told = {name: getattr(report, name) for name in _TOLD}
    wanted = replace(
        stored,
        **told,
        decision_id=stored.decision_id or report.decision_id,
        conversation_id=report.conversation_id or stored.conversation_id,
        measured=stored.measured or report.measured,
    )
    # A report that says nothing new is not priced anew: the price may have changed since.
    return stored if wanted == stored else replace(wanted, cost_usd=_cost_usd(report, price))


_FIXED = ("agent_id", "model_id", "task_type", "decision_id")
_TOLD = (
    "tools_used", "latency_ms", "prompt_tokens", "completion_tokens", "cached_tokens", "tokens_estimated",
    "outcome", "error_kind", "metadata",
)  # fmt: skip


def _cost_usd(report: Report, price: Price) -> Decimal | None:
    return cost_usd(
        price,
        prompt_tokens=report.prompt_tokens,
        completion_tokens=report.completion_tokens,
        cached_tokens=report.cached_tokens,
    )
