"""Figures of model calls: what RecordMessage and Complete store is noted, and counted a moment later."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol
from uuid import UUID

from imrs_server.domain.chat import FailureKind, TokenUsage
from imrs_server.domain.message import Outcome
from imrs_server.domain.provider import ProviderType

if TYPE_CHECKING:
    from decimal import Decimal

    from imrs_server.domain.message import Message
    from imrs_server.telemetry.agent_labels import AgentLabels
    from imrs_server.telemetry.metrics import Metrics

BUCKETS_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
# What an import tells of last year did not happen now.
LIVE = timedelta(hours=1)

_KINDS = frozenset(FailureKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCall:
    """One call of a model by Complete or Embed. ``start_time`` is in seconds since 1970."""

    operation: Literal["chat", "embeddings"]

    model_id: str
    provider_id: str
    provider_type: ProviderType | None
    external_id: str
    agent_id: str
    decision_id: UUID
    conversation_id: str
    start_time: float
    latency_ms: int
    usage: TokenUsage
    outcome: Outcome
    error_kind: str
    finish_reason: str
    stream: bool


class CallNotes(Protocol):
    """Is told of model calls; never waits, never raises."""

    def recorded(self, message: Message, before: Message | None = None) -> None:
        """A message was stored; ``before`` is what was stored under its id, where it was reported again."""

    def fell_back(self, provider_id: str) -> None:
        """A model was called because another one had failed; of this provider."""

    def called(self, model: ModelCall) -> None:
        """Complete or Embed has called a model, in the call in hand."""


class Everyone:
    """Tells each of some."""

    def __init__(self, *each: CallNotes) -> None:
        self._each = each

    def recorded(self, message: Message, before: Message | None = None) -> None:
        for each in self._each:
            each.recorded(message, before)

    def fell_back(self, provider_id: str) -> None:
        for each in self._each:
            each.fell_back(provider_id)

    def called(self, model: ModelCall) -> None:
        for each in self._each:
            each.called(model)


UNNOTED = Everyone()
"""Nobody is told."""


class ModelCalls:
    """Tokens, cost and latency by agent, with the names of document 003; results by provider.

    A call that is reported again adds what it has more than before: counters never fall. Calls that were made
    long before they are told are history, and not counted.
    """

    def __init__(self, metrics: Metrics, labels: AgentLabels, *, by_agent: bool = True) -> None:
        self._labels = labels
        self._by_agent = by_agent
        self._noted: deque[tuple[Message, Message | None]] = deque()
        self._results = metrics.counter(
            "imrs_model_calls", "Calls of models that were recorded, by their result.", "provider", "result"
        )
        self._fell_back = metrics.tally(
            "imrs_fallbacks", "Models that were called because another had failed.", "provider"
        )
        if by_agent:
            self._tokens = metrics.counter("llm_tokens", "Tokens that models took and gave.", "agent", "type")
            self._cost = metrics.counter("llm_cost_usd", "What calls of models cost, in USD.", "agent")
            self._unpriced = metrics.counter(
                "llm_unpriced_calls", "Calls of models whose price was not known.", "agent"
            )
            self._latency = metrics.histogram(
                "llm_latency_seconds", "Time that calls of models took.", BUCKETS_SECONDS, "agent"
            )
        metrics.add(self.fold)

    def recorded(self, message: Message, before: Message | None = None) -> None:
        self._noted.append((message, before))

    def fell_back(self, provider_id: str) -> None:
        self._fell_back(provider_id)

    def called(self, model: ModelCall) -> None:
        """It is counted when it is recorded."""

    def fold(self) -> None:
        oldest = datetime.now(UTC) - LIVE
        for _ in range(len(self._noted)):
            message, before = self._noted.popleft()
            if message.create_time < oldest:
                continue
            if before is None:
                self._results.labels(message.model_id.partition("/")[0], result(message)).inc()
            if self._by_agent:
                self._count(message, before)

    def _count(self, message: Message, before: Message | None) -> None:
        agent = self._labels.of(message.agent_id)
        for kind, now, was in (
            ("prompt", message.prompt_tokens, before.prompt_tokens if before else 0),
            ("completion", message.completion_tokens, before.completion_tokens if before else 0),
        ):
            self._tokens.labels(agent, kind).inc(max(now - was, 0))
        cost = _usd(message.cost_usd) - (_usd(before.cost_usd) if before else 0.0)
        self._cost.labels(agent).inc(max(cost, 0.0))
        if before is None:
            self._unpriced.labels(agent).inc(not message.cost_priced)
            self._latency.labels(agent).observe(message.latency_ms / 1000)


def result(message: Message) -> str:
    """`ok`, `cancelled`, or the kind of the error; kinds that agents made up are `error`."""
    match message.outcome:
        case Outcome.OK | Outcome.CANCELLED:
            return message.outcome.lower()
        case Outcome.TIMEOUT:
            return FailureKind.TIMEOUT.value
        case _:
            return message.error_kind if message.error_kind in _KINDS else "error"


def _usd(cost: Decimal | None) -> float:
    return float(cost or 0)
