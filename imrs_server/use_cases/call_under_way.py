"""One call of one model by Complete: what it said so far, how it ended, and what it came to."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.json_stream import storable
from imrs_server.domain import token_estimate
from imrs_server.domain.chat import FailureKind, Joining, Thought, TokenUsage
from imrs_server.domain.message import Outcome

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.chat import ChatFailure, Delta, Ended, Piece
    from imrs_server.domain.decision import SelectedModel

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
        self._said = Joining()
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

    def heard(self, piece: Piece) -> None:
        if isinstance(piece, Thought):
            self._characters += piece.characters
            return
        self._characters += token_estimate.characters(piece)
        self._tools |= {storable(call.name): None for call in piece.tool_calls if 0 < len(call.name) <= 255}
        if not self.is_delivered:
            self._said.add(piece)

    def whole(self) -> Delta | None:
        """All that was said, in one; None for nothing."""
        found = self._said.whole()
        return found if found.content or found.tool_calls or found.vectors else None

    def ended(self, end: Ended) -> None:
        self._end = end
        told = end.usage or token_estimate.usage(self._prompt_tokens, self._characters)
        self._over(Outcome.OK, self._so_far(told))

    def failed(self, failure: ChatFailure) -> None:
        timed_out = failure.cause is FailureKind.TIMEOUT
        self.error_kind = failure.kind.value
        self._over(Outcome.TIMEOUT if timed_out else Outcome.ERROR, self._so_far(failure.usage))

    def cancelled(self) -> None:
        """Nobody waits any more."""
        self._over(Outcome.CANCELLED, self._so_far(None))

    def _so_far(self, told: TokenUsage | None) -> TokenUsage:
        """Providers charge for what they have begun to say, and do not count it where it is broken off."""
        if not self._characters:
            return told or _NOTHING
        if told is None:
            return token_estimate.usage(self._prompt_tokens, self._characters)
        if told.completion_tokens:
            return told
        said = token_estimate.of_characters(self._characters)
        return replace(told, completion_tokens=said, estimated=True)

    def _over(self, outcome: Outcome, usage: TokenUsage) -> None:
        self.outcome = outcome
        self.usage = _bounded(usage)
        self.is_over = True
        self.latency_ms = round((time.monotonic() - self._start) * 1000)


def _bounded(usage: TokenUsage) -> TokenUsage:
    """What is kept of numbers that a provider may have made up."""
    prompt_tokens = min(usage.prompt_tokens, _MOST_TOKENS)
    return replace(
        usage,
        prompt_tokens=prompt_tokens,
        completion_tokens=min(usage.completion_tokens, _MOST_TOKENS),
        cached_tokens=min(usage.cached_tokens, prompt_tokens),
    )
