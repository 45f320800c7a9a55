"""One row of a history as what the API takes: a call, and a vote on it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, TypeVar
from uuid import UUID

from imrs_client import v1 as pb
from imrs_client.ids import derived_id, time_of
from imrs_server.cli.history.columns import Problem, mapping, names, parsed, share, time, whole
from imrs_server.domain import feedback, message
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.feedback import RATINGS
from imrs_server.transport.convert import feedback as convert_feedback
from imrs_server.transport.convert import messages as convert_messages
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHOLE = "a whole number"
_TIME = "a time such as 2026-01-14T09:30:00Z, or seconds since 1970"
# The fields of the requests that have another name in a history.
_RENAMED: Final = {"create_time": "event_time"}
_VOTES_TIME: Final = "feedback_time"

Request = TypeVar("Request", pb.RecordMessageRequest, pb.SubmitFeedbackRequest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A row that can be sent. ``derived`` where its id was made of the row or of a foreign id."""

    line: int
    values: tuple[str, ...]
    message: pb.RecordMessageRequest
    vote: pb.SubmitFeedbackRequest | None
    derived: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Says which agent and model a row means: each function raises Problem where it means none."""

    agent: Callable[[str], str]
    model: Callable[[str], str]


class Reader:
    """Rows to calls. Equal rows without an id are counted, so that each gets an id of its own."""

    def __init__(self, names: Names, now: datetime | None = None) -> None:
        self._names = names
        self._now = now or datetime.now(UTC)
        self._seen: Counter[bytes] = Counter()

    def read(self, line: int, values: tuple[str, ...], row: Mapping[str, str]) -> Call | None:
        """A call; None for a row that is none, such as what a user wrote. Raises Problem."""
        # Before anything can fail: a row that is refused now shall not change the ids of its equals.
        nth = self._nth(row)
        if row.get("role", "assistant").lower() != "assistant":
            return None
        at = _event_time(row)
        message_id, derived = _identify(row, at, nth)
        call = self._message(row, message_id, at)
        vote = _vote(row, message_id, at)
        _check(call, vote, self._now)
        return Call(line=line, values=values, message=call, vote=vote, derived=derived)

    def _nth(self, row: Mapping[str, str]) -> int:
        if "message_id" in row:
            return 0
        seed = _seed(row)
        self._seen[seed] += 1
        return self._seen[seed]

    def _message(self, row: Mapping[str, str], message_id: UUID, at: datetime) -> pb.RecordMessageRequest:
        answer_tokens = parsed(row, "completion_tokens", whole, _WHOLE)
        prompt_tokens = parsed(row, "prompt_tokens", whole, _WHOLE)
        if answer_tokens is None and prompt_tokens is None:
            answer_tokens = parsed(row, "token_count", whole, _WHOLE)
        found = pb.Message(
            message_id=str(message_id),
            agent_id=self._names.agent(row.get("agent_id", "")),
            model_id=self._names.model(row.get("model_id", "")),
            decision_id=row.get("decision_id", ""),
            conversation_id=row.get("conversation_id", ""),
            task_type=row.get("task_type", ""),
            tools_used=parsed(row, "tools_used", names, "a JSON list, or names between commas", []),
            outcome=_enum(row, "outcome", pb.Message.Outcome),
            error_kind=row.get("error_kind", ""),
            metadata=parsed(row, "metadata", mapping, "a JSON object"),
        )
        numbers = {
            "latency_ms": parsed(row, "latency_ms", whole, _WHOLE, 0),
            "prompt_tokens": prompt_tokens or 0,
            "completion_tokens": answer_tokens or 0,
            "cached_tokens": parsed(row, "cached_tokens", whole, _WHOLE, 0),
        }
        for field, number in numbers.items():
            if not 0 <= number < 2**31:
                raise Problem(field, "must be between 0 and 2147483647")
            setattr(found, field, number)
        found.create_time.FromDatetime(at)
        return _keyed(pb.RecordMessageRequest(message=found))


def _vote(row: Mapping[str, str], message_id: UUID, at: datetime) -> pb.SubmitFeedbackRequest | None:
    if "rating" not in row and "signal" not in row:
        return None
    given_at = parsed(row, "feedback_time", time, _TIME, at)
    signal = _enum(row, "signal", pb.Feedback.Signal)
    rating = parsed(row, "rating", share, "a number from 0 (bad) to 1 (good)")
    # An export names the signal and the rating that it stands for.
    stands_for = RATINGS.get(feedback.Signal(pb.Feedback.Signal.Name(signal))) if signal else None
    vote = pb.SubmitFeedbackRequest(
        message_id=str(message_id),
        rating=None if rating == stands_for else rating,
        signal=signal,
        feedback_type=_enum(row, "feedback_type", pb.Feedback.Type),
        user_id=row.get("user_id", ""),
        comment=row.get("comment", ""),
    )
    vote.event_time.FromDatetime(given_at)
    return _keyed(vote)


def _event_time(row: Mapping[str, str]) -> datetime:
    at: datetime | None = parsed(row, "event_time", time, _TIME)
    at = at or parsed(row, "feedback_time", time, _TIME) or time_of(row.get("message_id", ""))
    if at is None:
        raise Problem("event_time", "must be set: what a rating weighs depends on its time")
    if at < datetime(1970, 1, 1, tzinfo=UTC):
        raise Problem("event_time", "must be 1970 or later")
    return at


def _identify(row: Mapping[str, str], at: datetime, nth: int) -> tuple[UUID, bool]:
    """The id of a row and whether it was derived: its own where that is a UUID, else always the same one."""
    own = row.get("message_id")
    if own is None:
        return derived_id(at, b"row\0" + nth.to_bytes(8) + _seed(row)), True
    try:
        return UUID(own), False
    except ValueError:
        return derived_id(at, b"id\0" + own.encode()), True


def _seed(row: Mapping[str, str]) -> bytes:
    return sha256("\0".join(f"{field}\0{row[field]}" for field in sorted(row)).encode()).digest()


def _keyed(request: Request) -> Request:
    """With a key of its own body, so that the same is not even written twice."""
    request.request_id = f"import-{sha256(request.SerializeToString(deterministic=True)).hexdigest()}"
    return request


def _enum(row: Mapping[str, str], field: str, kind: Any) -> Any:
    shown = [name for name, number in kind.items() if number]
    return parsed(row, field, lambda value: kind.Value(value.upper()), f"one of {', '.join(shown)}", 0)


def _check(call: pb.RecordMessageRequest, vote: pb.SubmitFeedbackRequest | None, now: datetime) -> None:
    """What the server would refuse is refused before it travels. Raises Problem."""
    try:
        validate(call)
        message.check(convert_messages.report(call.message), now)
        if vote is not None:
            validate(vote)
            submission = convert_feedback.submission(vote)
            assert submission.event_time is not None
            if submission.event_time > now + message.CLOCK_SKEW:
                raise Problem(_VOTES_TIME, "must not be in the future")
    except InvalidRequest as error:
        first = error.violations[0]
        raise Problem(field_of(first.field), first.description) from None


def field_of(path: str) -> str:
    """The field of a history that a request calls ``message.create_time``."""
    name = path.removeprefix("message.").partition("[")[0].partition(".")[0]
    return _RENAMED.get(name, name)
