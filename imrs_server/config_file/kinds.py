"""What single values of a file may be: the bounds of the API's fields, as types that say so to editors too.

A test holds them against the table of the API's own bounds.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

INT32 = 2**31 - 1
MAX_STRUCT_BYTES = 2**16
MAX_STRUCT_DEPTH = 16
MAX_USD = 999_999_999
_DAY_SECONDS = 86_400
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": _DAY_SECONDS, "w": 7 * _DAY_SECONDS}
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h|d|w)")

# Pattern -> what it expects, in words.
EXPECTED: dict[str, str] = {}


class Part(BaseModel):
    """A mapping of a file: what it does not know is a mistake, and nothing is taken for something else."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _empty(cls, given: Any) -> Any:
        # `openai/gpt-4o:` with nothing behind it, as people write what needs no settings.
        return {} if given is None else given

    def said(self) -> dict[str, Any]:
        """What the file says, and nothing that it leaves out; as JSON."""
        found: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True)
        return found


def _pattern(regex: str, expected: str) -> Any:
    EXPECTED[regex] = expected
    return Field(pattern=regex)


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must be 1 to 255 printable characters")
    return value


def _model_id(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,49}/.+", value, re.DOTALL) or not value.isprintable():
        raise ValueError("must be {provider_id}/{external_id}, such as openai/gpt-4o")
    return value


_LINE = "^[^\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]{1,255}$"
_ROLE = "^[^\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]{1,64}$"
_TEXT = "^[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f-\\x9f]*$"

ProviderId: TypeAlias = Annotated[
    str,
    _pattern(r"^[a-z0-9][a-z0-9_-]{0,49}$", "must be 1 to 50 of a-z 0-9 _ -, the first a letter or digit"),
]
AgentId: TypeAlias = Annotated[
    str,
    _pattern(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        "must be 1 to 64 letters, digits and . _ -, the first a letter or digit",
    ),
]
Word: TypeAlias = Annotated[
    str,
    _pattern(r"^[a-z0-9][a-z0-9_.-]{0,63}$", "must be 1 to 64 of a-z 0-9 _ . -, the first a letter or digit"),
]
WordOrNothing: TypeAlias = Annotated[
    str, _pattern(r"^([a-z0-9][a-z0-9_.-]{0,63})?$", "must be a task type, or nothing")
]
Line: TypeAlias = Annotated[
    str, _pattern(_LINE, "must be 1 to 255 characters without line breaks and control characters")
]
Role: TypeAlias = Annotated[
    str, _pattern(_ROLE, "must be 1 to 64 characters without line breaks and control characters")
]
Text: TypeAlias = Annotated[str, _pattern(_TEXT, "must hold no control characters"), Field(max_length=8_000)]
LabelText: TypeAlias = Annotated[
    str, _pattern(_TEXT, "must hold no control characters"), Field(max_length=1_000)
]
Url: TypeAlias = Annotated[
    str, _pattern(r"^[!-~]{1,2048}$", "must be a URL of at most 2048 printable ASCII characters")
]
UrlPath: TypeAlias = Annotated[
    str,
    _pattern(
        r"^/[!-~]{0,1999}$",
        "must be a path of at most 2000 printable ASCII characters that starts with /",
    ),
]
Name: TypeAlias = Annotated[str, Field(min_length=1, max_length=255), AfterValidator(_printable)]
ExternalId: TypeAlias = Annotated[str, Field(min_length=1, max_length=253), AfterValidator(_printable)]
ModelId: TypeAlias = Annotated[
    str,
    Field(min_length=3, max_length=255),
    AfterValidator(_model_id),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]{0,49}/.+$", "maxLength": 255}),
]
Words: TypeAlias = Annotated[list[Word], Field(max_length=100)]
ModelIds: TypeAlias = Annotated[list[ModelId], Field(max_length=100)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Priority: TypeAlias = Annotated[int, Field(ge=0, le=100)]
Count: TypeAlias = Annotated[int, Field(ge=0, le=INT32)]
Positive: TypeAlias = Annotated[int, Field(ge=1, le=INT32)]


def _usd(value: Any) -> Any:
    """Money that was written as a number or, where a float would round it, as text."""
    if isinstance(value, Decimal):
        return value
    expected = (
        f"must be a number of USD from 0 to {MAX_USD} with at most 9 decimal places, not {short(value)}"
    )
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(expected)  # noqa: TRY004  (pydantic takes this one for a mistake of the file's)
    # Of a float its shortest text, so that 0.1 is a tenth; small ones are written with an exponent.
    text = f"{Decimal(repr(value)):f}" if isinstance(value, float) else str(value)
    if not _USD.fullmatch(text) or Decimal(text) > MAX_USD:
        raise ValueError(expected)
    return Decimal(text)


Usd: TypeAlias = Annotated[
    Decimal,
    BeforeValidator(_usd),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": MAX_USD},
                {"type": "string", "pattern": f"^{_USD.pattern}$"},
            ],
            "description": "USD per 1M tokens.",
        }
    ),
]


def duration(least_seconds: float, most_seconds: float, *, or_zero: bool = False) -> Any:
    """A length of time such as ``90s``, ``12h`` or ``45d``; a number is of seconds."""
    expected = (
        f"must be a time such as 90s, 12h or 45d, {'0 or ' if or_zero else ''}"
        f"from {_named(least_seconds)} to {_named(most_seconds)}"
    )

    def read(value: Any) -> Any:
        if isinstance(value, timedelta):
            return value
        seconds = _seconds(value)
        if seconds is None or not (least_seconds <= seconds <= most_seconds or (or_zero and seconds == 0)):
            raise ValueError(f"{expected}, not {short(value)}")
        return timedelta(seconds=seconds)

    return Annotated[
        timedelta,
        BeforeValidator(read),
        WithJsonSchema(
            {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{_DURATION.pattern}$"}]}
        ),
    ]


def _named(seconds: float) -> str:
    days = seconds / _DAY_SECONDS
    return f"{days:g}d" if days >= 1 else f"{seconds:g}s"


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if abs(value) < 10**10 else None
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    return float(found[1]) * _UNITS[found[2]] if found else None


def _time(value: Any) -> Any:
    """A time with its zone, or UTC; a day is its start."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value if isinstance(value, str) else "")
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"must be a time such as 2026-01-31T12:00:00Z, not {short(value)}") from None


Time: TypeAlias = Annotated[
    datetime, BeforeValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})
]


def _struct(value: dict[str, Any]) -> dict[str, Any]:
    if _depth(value) > MAX_STRUCT_DEPTH:
        raise ValueError(f"must be nested at most {MAX_STRUCT_DEPTH} deep")
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_STRUCT_BYTES:
        raise ValueError(f"must be at most {MAX_STRUCT_BYTES} bytes")
    return value


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max(map(_depth, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(_depth, value), default=0)
    return 0


Struct: TypeAlias = Annotated[dict[str, Any], AfterValidator(_struct)]


def short(value: Any) -> str:
    """A value for a message, however long it is."""
    text = "null" if value is None else json.dumps(value, ensure_ascii=True, default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."
