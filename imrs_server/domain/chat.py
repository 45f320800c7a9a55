"""A conversation with a model: what is asked, what comes back, and the ways in which nothing does.

No prompt and no answer is stored: these values live as long as the call, and a prompt is not even shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from io import StringIO
from typing import Any, TypeAlias

from imrs_server.domain.parameters import UNSET, Parameters


@dataclass(frozen=True, slots=True)
class TextPart:
    """Words."""

    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by its address, https or a data URL; ``detail`` is how closely it is to be looked at."""

    url: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class DataPart:
    """The bytes of an image, a sound or a document; ``detail`` is as in ImagePart."""

    data: bytes
    mime_type: str
    detail: str = ""


Part = TextPart | ImagePart | DataPart


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A call that a model asks for; ``arguments`` is JSON text.

    In a Delta it is a fragment: the same ``index`` continues the same call, ``id`` and ``name`` come with the
    first one, ``arguments`` in pieces.
    """

    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatMessage:
    """One turn. ``parts`` come after ``content``; ``tool_call_id`` says which call a role `tool` answers."""

    role: str
    content: str = field(default="", repr=False)
    parts: tuple[Part, ...] = field(default=(), repr=False)
    tool_calls: tuple[ToolCall, ...] = field(default=(), repr=False)
    tool_call_id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """One call of one model, named as its provider names it.

    ``tools`` are {type: function, function: {name, description, parameters}}. ``tool_choice`` is auto, none,
    required, the name of a tool, or empty. ``parameters`` are merged and resolved;
    ``max_output_tokens`` is the most that the model can write, None where nobody knows. ``stream`` is
    whether the answer is wanted in pieces.
    """

    external_id: str
    messages: tuple[ChatMessage, ...] = field(repr=False)
    tools: tuple[Mapping[str, Any], ...] = field(default=(), repr=False)
    tool_choice: str = ""
    response_format: Mapping[str, Any] = field(default_factory=dict)
    parameters: Parameters = UNSET
    max_output_tokens: int | None = None
    stream: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenUsage:
    """Tokens of one call. The prompt's include the cached ones; ``estimated`` are not the provider's."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of the answer, never empty. ``vectors`` are those of embeddings, all in one piece."""

    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    vectors: tuple[tuple[float, ...], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Thought:
    """The model thinks. Nothing of that is passed on; it takes time, and is charged like an answer."""

    characters: int


Piece: TypeAlias = Delta | Thought


class Joining:
    """Pieces of an answer, joined as they come: one by one they take many times the room of their text."""

    def __init__(self) -> None:
        self._content = StringIO()
        self._calls: dict[int, _JoiningCall] = {}
        self._vectors: list[tuple[float, ...]] = []

    def add(self, piece: Delta) -> None:
        self._content.write(piece.content)
        self._vectors.extend(piece.vectors)
        for fragment in piece.tool_calls:
            call = self._calls.setdefault(fragment.index, _JoiningCall())
            call.id = call.id or fragment.id
            call.name = call.name or fragment.name
            call.arguments.write(fragment.arguments)

    def whole(self) -> Delta:
        """All so far as one piece: fragments of a tool call are joined by their ``index``."""
        calls = (
            ToolCall(id=each.id, name=each.name, arguments=each.arguments.getvalue(), index=index)
            for index, each in self._calls.items()
        )
        return Delta(content=self._content.getvalue(), tool_calls=tuple(calls), vectors=tuple(self._vectors))


@dataclass(slots=True)
class _JoiningCall:
    id: str = ""
    name: str = ""
    arguments: StringIO = field(default_factory=StringIO)


class FinishReason(StrEnum):
    """Why an answer ended, in the words of OpenAI, which everybody knows."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The answer is whole. ``usage`` is None where the provider gave no numbers.

    ``dropped`` names what of the request this provider has no word for: `top_k`, `extra.seed`,
    `response_format`.
    """

    finish_reason: FinishReason
    usage: TokenUsage | None = None
    dropped: tuple[str, ...] = ()


class FailureKind(StrEnum):
    """What went wrong, as Message.error_kind has it."""

    TIMEOUT = "timeout"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_REFUSED = "content_refused"
    AUTH = "auth"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    NETWORK = "network"
    MID_STREAM = "mid_stream"
    INVALID_RESPONSE = "invalid_response"
    BUDGET = "budget"
    """Not called at all: it may come to more than is left."""
    UNSUPPORTED = "unsupported"
    """Not called at all: its provider has no way to take what the request holds."""


PASSING = frozenset(
    {FailureKind.TIMEOUT, FailureKind.RATE_LIMITED, FailureKind.OVERLOADED, FailureKind.NETWORK}
)
"""The kinds that another try in a moment may cure."""

FAULTS_OF_CALLERS = frozenset(
    {
        FailureKind.BAD_REQUEST,
        FailureKind.CONTENT_REFUSED,
        FailureKind.CONTEXT_TOO_LONG,
        FailureKind.UNSUPPORTED,
    }
)
"""The kinds that are about what was asked, and say nothing against who was asked."""


class ChatFailure(Exception):
    """No whole answer came. ``detail`` is in our words: it holds no key, no prompt and no address.

    ``kind`` is MID_STREAM after the first Delta; ``cause`` is then what broke it, else the same as ``kind``.
    ``said`` is what the provider says, without the key; it may quote the prompt, so it is for the caller and
    never stored. ``again`` is whether the same model may do better in a moment, ``retry_after_seconds`` when,
    if the provider said. ``usage`` is what was charged as far as known.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        cause: FailureKind | None = None,
        said: str = "",
        status: int | None = None,
        again: bool | None = None,
        retry_after_seconds: float | None = None,
        usage: TokenUsage | None = None,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.cause = cause or kind
        self.detail = detail
        self.said = said
        self.status = status
        self.again = self.cause in PASSING if again is None else again
        self.retry_after_seconds = retry_after_seconds
        self.usage = usage

    def mid_stream(self) -> ChatFailure:
        """This failure, of an answer that was partly delivered."""
        return ChatFailure(
            FailureKind.MID_STREAM,
            self.detail,
            cause=self.cause,
            said=self.said,
            status=self.status,
            again=self.again,
            retry_after_seconds=self.retry_after_seconds,
            usage=self.usage,
        )
