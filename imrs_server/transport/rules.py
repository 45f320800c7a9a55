"""What a field may hold. A rule takes a value and says what would be right, or nothing.

On the path of every Route: a good value costs one call, and words are found only for a bad one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[Any], str]

MAX_STRUCT_DEPTH = 16
MAX_USD = 999_999_999

# What neither a line nor a paragraph has; NUL, which no database column takes, is one of them.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_CONTROL_BUT_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_USD = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


def anything(_value: Any) -> str:
    """For flags, and for messages, whose own fields are checked."""
    return ""


def output(_value: Any) -> str:
    """For what the server sets: a caller may send it back, nobody reads it."""
    return ""


def pattern(regex: str, expected: str) -> Rule:
    """The whole string must match."""
    match = re.compile(regex).fullmatch
    return lambda value: "" if match(value) else f"must be {expected}"


def one_of(*names: str) -> Rule:
    """One of a few names."""
    known = frozenset(names)
    return lambda value: "" if value in known else f"must be one of {', '.join(names)}"


def printable(most: int) -> Rule:
    """For ids and names of things: 1 to so many printable characters."""
    return lambda value: (
        "" if 0 < len(value) <= most and value.isprintable() else f"must be 1 to {most} printable characters"
    )


def line(most: int) -> Rule:
    """For what people write: 1 to so many characters. Unlike ``printable`` it takes joiners and marks, which
    names in many scripts need.
    """
    return lambda value: (
        ""
        if 0 < len(value) <= most and not _CONTROL.search(value)
        else f"must be 1 to {most} characters without line breaks and control characters"
    )


def text(most: int) -> Rule:
    """For what people write in several lines: at most so many characters."""
    return lambda value: (
        ""
        if len(value) <= most and not _CONTROL_BUT_BREAKS.search(value)
        else f"must be at most {most} characters, none of them a control character"
    )


def size(most: int, unit: str = "characters") -> Rule:
    """Anything that is passed on or forgotten, never stored."""
    return lambda value: "" if len(value) <= most else f"must be at most {most} {unit}"


def between(least: float, most: float) -> Rule:
    """A number within both bounds; NaN is in no range."""
    return lambda value: "" if least <= value <= most else f"must be between {least} and {most}"


def money(value: str) -> str:
    """A decimal number of USD: at most 9 digits on either side of the point."""
    if _USD.fullmatch(value) and Decimal(value) <= MAX_USD:
        return ""
    return f"must be a decimal number of USD from 0 to {MAX_USD}, such as 0.15, with at most 9 decimal places"


def instant(value: Any) -> str:
    """A google.protobuf.Timestamp of the years 1 to 9999."""
    return (
        ""
        if -62_135_596_800 <= value.seconds <= 253_402_300_799 and 0 <= value.nanos < 10**9
        else "must be a time of the years 1 to 9999"
    )


def duration(least_seconds: float, most_seconds: int, *, or_zero: bool = False) -> Rule:
    """A google.protobuf.Duration within both bounds, or perhaps 0."""
    expected = f"must be {'0 or ' if or_zero else ''}between {least_seconds} and {most_seconds} seconds"

    def rule(value: Any) -> str:
        if abs(value.nanos) >= 10**9:
            return expected
        nanos = value.seconds * 10**9 + value.nanos
        good = least_seconds * 10**9 <= nanos <= most_seconds * 10**9
        return "" if good or (or_zero and nanos == 0) else expected

    return rule


def struct(most_bytes: int) -> Rule:
    """A google.protobuf.Struct: bounded in size and depth, finite numbers, no NUL in its strings."""

    def rule(value: Any) -> str:
        if value.ByteSize() > most_bytes:
            return f"must be at most {most_bytes} bytes"
        return _fields(value.fields, 1)

    return rule


def _fields(fields: Any, depth: int) -> str:
    if depth > MAX_STRUCT_DEPTH:
        return f"must be nested at most {MAX_STRUCT_DEPTH} deep"
    found = (
        ("must not hold NUL" if "\0" in key else "") or _value(each, depth) for key, each in fields.items()
    )
    return next(filter(None, found), "")


def _value(value: Any, depth: int) -> str:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return _fields(value.struct_value.fields, depth + 1)
    if kind == "list_value":
        if depth >= MAX_STRUCT_DEPTH:
            return f"must be nested at most {MAX_STRUCT_DEPTH} deep"
        return next(filter(None, (_value(each, depth + 1) for each in value.list_value.values)), "")
    if kind == "string_value" and "\0" in value.string_value:
        return "must not hold NUL"
    if kind == "number_value" and not math.isfinite(value.number_value):
        return "must hold finite numbers"
    return ""


def many(most: int) -> Rule:
    """A list of at most so many messages, whose own fields are checked."""
    return lambda values: "" if len(values) <= most else f"must have at most {most} items"


def each(rule: Rule, most: int) -> Rule:
    """A list of at most so many items, each by the rule."""

    def check(values: Any) -> str:
        if len(values) > most:
            return f"must have at most {most} items"
        for i, item in enumerate(values):
            problem = rule(item)
            if problem:
                return f"item {i}: {problem}"
        return ""

    return check


def entries(key: Rule, value: Rule, most: int) -> Rule:
    """A map of at most so many entries."""

    def check(values: Any) -> str:
        if len(values) > most:
            return f"must have at most {most} entries"
        for name in values:
            problem = key(name) or value(values[name])
            if problem:
                return f"entry {name[:64]!r}: {problem}"
        return ""

    return check


def strings(rule: Rule, most: int) -> Rule:
    """A StringList, each value by the rule."""
    inner = each(rule, most)
    return lambda wrapped: inner(wrapped.values)
