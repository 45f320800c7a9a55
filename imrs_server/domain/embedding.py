"""Texts turned into vectors: what is asked, of Embed and of one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from imrs_server.domain.chat import ChatMessage
from imrs_server.domain.decision import RouteQuery

TASK_TYPE = "embedding"
"""What such calls are for, where the caller does not say: it tells their evidence from that of chats."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingQuery:
    """An EmbedRequest, in the terms in which a CompletionQuery is called, tried again and accounted for."""

    route: RouteQuery
    inputs: tuple[str, ...] = field(repr=False)
    dimensions: int | None = None
    max_attempts: int | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    stream: ClassVar[bool] = False
    allow_mid_stream_fallback: ClassVar[bool] = False
    tools: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    @property
    def messages(self) -> tuple[ChatMessage, ...]:
        """What tokens are estimated from."""
        return tuple(ChatMessage(role="user", content=each) for each in self.inputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingRequest:
    """One call of one model, named as its provider names it. ``extra`` is as in Parameters."""

    external_id: str
    inputs: tuple[str, ...] = field(repr=False)
    dimensions: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    stream: ClassVar[bool] = False
