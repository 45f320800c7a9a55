"""What the columns of a history are called, and how their texts are read."""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

# What exports of databases write for a value that is not there.
NOTHING: Final = frozenset({"", r"\N", "NULL"})

FIELDS: Final = (
    "message_id", "agent_id", "model_id", "task_type", "conversation_id", "decision_id", "latency_ms",
    "prompt_tokens", "completion_tokens", "cached_tokens", "token_count", "tools_used", "outcome",
    "error_kind", "metadata", "role", "event_time", "rating", "feedback_type", "signal", "user_id",
    "comment", "feedback_time",
)  # fmt: skip

# Other names of the same, most of them the SRS's.
ALIASES: Final = {
    "id": "message_id",
    "model": "model_id",
    "created_at": "event_time",
    "create_time": "event_time",
    "feedback_at": "feedback_time",
    "recorded_at": "feedback_time",
}

# Written by us into a file of rejects.
OURS: Final = frozenset({"import_line", "import_error"})

_SECONDS = re.compile(r"\d{1,12}(\.\d+)?")
_SEPARATORS = re.compile(r"[|;,]")


class Problem(Exception):
    """A row cannot be imported: which field of it, and what would be right."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


class HeaderError(Exception):
    """A file cannot be imported at all; the message says what its header must have."""


class Header:
    """Which column holds which field. Raises HeaderError for what no row could do without."""

    def __init__(self, columns: Sequence[str], *, agent_known: bool) -> None:
        self.columns = tuple(columns)
        self._places: dict[str, int] = {}
        self.ignored: list[str] = []
        for place, column in enumerate(columns):
            name = column.strip().lower()
            field = ALIASES.get(name, name)
            if field not in FIELDS:
                if name not in OURS:
                    self.ignored.append(column)
            elif field in self._places:
                first = self.columns[self._places[field]]
                raise HeaderError(f"the columns {first} and {column} are both {field}: leave one out")
            else:
                self._places[field] = place
        needed = ["model_id"] + ([] if agent_known else ["agent_id"])
        missing = [field for field in needed if field not in self._places]
        if not self._places.keys() & {"event_time", "feedback_time", "message_id"}:
            missing.append("event_time")
        if missing:
            raise HeaderError(
                f"the header has no column {', none '.join(missing)}; it has {', '.join(columns) or 'none'}"
            )

    def column(self, field: str) -> str:
        """What the file calls a field."""
        place = self._places.get(field)
        return field if place is None else self.columns[place]

    def read(self, values: Sequence[str]) -> dict[str, str]:
        """The fields of a row that say something. Raises Problem for a row of another shape."""
        if len(values) != len(self.columns):
            expected = f"must have {len(self.columns)} columns as the header has, not {len(values)}"
            raise Problem("", expected)
        found = {field: values[place].strip() for field, place in self._places.items()}
        for field, value in found.items():
            # Bytes that are not UTF-8 are read as lone surrogates.
            if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
                raise Problem(field, "must be UTF-8")
        return {field: value for field, value in found.items() if value not in NOTHING}


def time(value: str) -> datetime:
    """ISO 8601, in UTC where it names no zone, or seconds since 1970. Raises ValueError."""
    if _SECONDS.fullmatch(value):
        return datetime.fromtimestamp(float(value), UTC)
    found = datetime.fromisoformat(value)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)


def whole(value: str) -> int:
    """A whole number; what has decimals is rounded. Raises ValueError."""
    return int(value) if value.isdecimal() else round(_finite(value))


def share(value: str) -> float:
    """A number from 0 to 1. Raises ValueError."""
    found = _finite(value)
    if not 0 <= found <= 1:
        raise ValueError(value)
    return found


def names(value: str) -> list[str]:
    """A JSON list, or words between commas, semicolons or bars. Raises ValueError."""
    if value.startswith("["):
        found = json.loads(value)
        if not all(isinstance(each, str) for each in found):
            raise ValueError(value)
        return list(found)
    return [each.strip() for each in _SEPARATORS.split(value) if each.strip()]


def mapping(value: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError."""
    found = json.loads(value)
    if not isinstance(found, dict):
        raise TypeError(value)
    return found


def parsed(
    row: Mapping[str, str], field: str, parse: Callable[[str], Any], wanted: str, default: Any = None
) -> Any:
    """A field of a row; ``default`` where the row does not have it. Raises Problem with what is wanted."""
    value = row.get(field)
    if value is None:
        return default
    try:
        return parse(value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        shown = value if len(value) <= 40 else value[:40] + "..."
        raise Problem(field, f"must be {wanted}, not {shown!r}") from None


def _finite(value: str) -> float:
    found = float(value)
    if not math.isfinite(found):
        raise ValueError(value)
    return found
