"""What differs between two ways of talking with models: how a call is put, and how its answer is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from imrs_server.adapters.http import Call
from imrs_server.domain.chat import ChatFailure, FailureKind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.chat.sse import Event
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest, FinishReason, Piece, TokenUsage

TOKENS_MOST = 10**9
"""A number of tokens above this is not believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Composed:
    """A call, and what of the request it leaves out."""

    call: Call
    dropped: tuple[str, ...] = ()


class Answer(Protocol):
    """Reads one answer. The readers raise Unusable, and Refused where the provider tells of an error."""

    @property
    def finish_reason(self) -> FinishReason | None:
        """None until the provider gives one."""

    @property
    def usage(self) -> TokenUsage | None:
        """None until it tells numbers."""

    @property
    def is_done(self) -> bool:
        """Whether nothing follows that would be worth waiting for."""

    def event(self, event: Event) -> Iterator[Piece]:
        """What one event of a stream adds."""

    def document(self, value: dict[str, Any]) -> Iterator[Piece]:
        """What an answer in one piece says."""


class Voice(Protocol):
    """One way of talking. Stateless: an instance serves every provider that understands it."""

    def compose(self, access: Access, request: ChatRequest) -> Composed:
        """The call for a request. Raises ChatFailure for what cannot be said in this way."""

    def answer(self) -> Answer:
        """A reader for one answer."""


class Refused(Exception):
    """The provider tells of an error inside a good answer; ``error`` is what it tells."""

    def __init__(self, error: Any) -> None:
        super().__init__()
        self.error = error


def unsayable(what: str) -> ChatFailure:
    """The failure of a request that holds what the provider has no way to take."""
    return ChatFailure(FailureKind.UNSUPPORTED, f"it does not take {what}")


def encode(body: dict[str, Any]) -> bytes:
    """The body of a call as JSON."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def count(value: object) -> int:
    """A number of tokens as a provider gives it; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 <= value <= TOKENS_MOST else 0
