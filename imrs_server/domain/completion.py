"""A whole call for an agent: a model chosen, called, and another one in its place where it failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from imrs_server.domain.chat import ChatMessage, Delta, FailureKind, FinishReason, TokenUsage
from imrs_server.domain.decision import Decision, RouteQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionQuery:
    """A CompleteRequest. ``route`` is filled from what the conversation tells.

    ``max_attempts`` is the most calls of providers; None is one for each model that the decision names.
    ``metadata`` is kept with the message of every call. With ``allow_mid_stream_fallback`` an answer that
    broke off after pieces of it were delivered may begin anew.
    """

    route: RouteQuery
    messages: tuple[ChatMessage, ...]
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = ""
    response_format: Mapping[str, Any] = field(default_factory=dict)
    stream: bool = False
    max_attempts: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    allow_mid_stream_fallback: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFailed:
    """A model that did not answer. ``detail`` is for people, and has no key.

    ``partly_delivered`` where the caller has pieces of its answer, which are no part of what follows.
    """

    model_id: str
    kind: FailureKind
    detail: str
    partly_delivered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """The answer is whole, and its message stored. ``cost_usd`` is None where the price is not known.

    ``latency_ms`` is that of the whole call. ``dropped`` names what of the request the provider of this model
    has no word for.
    """

    message_id: UUID
    model_id: str
    finish_reason: FinishReason
    usage: TokenUsage
    cost_usd: Decimal | None
    latency_ms: int
    dropped: tuple[str, ...] = ()


CompletionEvent = Decision | Delta | AttemptFailed | Completed
