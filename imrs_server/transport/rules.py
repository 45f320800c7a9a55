"""What a field may hold. A rule takes a value and says what would be right, or nothing."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, TypeAlias

Rule: TypeAlias = Callable[[Any], str]

MAX_STRUCT_DEPTH = 8
MAX_MONEY = Decimal(999_999_999)


def anything(_value: Any) -> str:
    """For flags, and for enums and nested messages, which are checked by their type."""
    return ""


def output(_value: Any) -> str:
    """For what the server sets: a caller may send it back, nobody reads it."""
    return ""


def pattern(regex: str, expected: str) -> Rule:
    """The whole string must match."""
    compiled = re.compile(regex)
    return lambda value: "" if compiled.fullmatch(value) else f"must be {expected}"


def text(most: int) -> Rule:
    """Printable characters and line breaks, at most so many bytes."""

    def rule(value: str) -> str:
        if len(value.encode()) > most:
            return f"must have at most {most} bytes"
        allowed = value.translate(_LINE_BREAKS)
        return "" if allowed.isprintable() else "must hold printable characters and line breaks only"

    return rule


_LINE_BREAKS = {ord(each): " " for each in "\n\r\t\u00a0\u202f\u3000\u200b\u200c\u200d\ufeff\u00ad"}


def printable(most: int) -> Rule:
    """Printable characters, at most so many; no line breaks and no NUL."""

    def rule(value: str) -> str:
        if len(value) > most:
            return f"must have at most {most} characters"
        return "" if value.isprintable() else "must hold printable characters only"

    return rule


def size(most: int) -> Rule:
    """Any text that is passed on or forgotten, never stored."""
    return lambda value: "" if len(value) <= most else f"must have at most {most} characters"


def between(least: float, most: float) -> Rule:
    """A number within both bounds; NaN is in no range."""
    return lambda value: "" if least <= value <= most else f"must be between {least:g} and {most:g}"


def money(value: str) -> str:
    """A decimal number of USD."""
    try:
        amount = Decimal(value)
    except InvalidOperation:
        return "must be a decimal number of USD, such as 0.15"
    if not amount.is_finite() or not 0 <= amount <= MAX_MONEY:
        return f"must be between 0 and {MAX_MONEY} USD"
    exponent = amount.as_tuple().exponent
    assert isinstance(exponent, int)
    return "" if exponent >= -9 else "must have at most 9 decimal places"


def instant(value: Any) -> str:
    """A google.protobuf.Timestamp of the years 1 to 9999."""
    return (
        ""
        if -62_135_596_800 <= value.seconds <= 253_402_300_799 and 0 <= value.nanos < 10**9
        else ("must be a time of the years 1 to 9999")
    )


def duration(least_seconds: int, most_seconds: int) -> Rule:
    """A google.protobuf.Duration within both bounds."""
    expected = f"must be between {least_seconds} and {most_seconds} seconds"
    return lambda value: (
        "" if least_seconds <= value.seconds <= most_seconds and abs(value.nanos) < 10**9 else expected
    )


def struct(most_bytes: int) -> Rule:
    """A google.protobuf.Struct: bounded in size and depth, finite numbers, no NUL in its strings."""

    def rule(value: Any) -> str:
        if value.ByteSize() > most_bytes:
            return f"must have at most {most_bytes} bytes"
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


def each(rule: Rule, most: int) -> Rule:
    """A list of at most so many items, each by the rule."""

    def check(values: Any) -> str:
        if len(values) > most:
            return f"must have at most {most} items"
        return next((f"item {i}: {found}" for i, item in enumerate(values) if (found := rule(item))), "")

    return check


def entries(key: Rule, value: Rule, most: int) -> Rule:
    """A map of at most so many entries."""

    def check(values: Any) -> str:
        if len(values) > most:
            return f"must have at most {most} entries"
        found = ((name, key(name) or value(values[name])) for name in values)
        return next((f"entry {name!r}: {problem}" for name, problem in found if problem), "")

    return check


def strings(rule: Rule, most: int) -> Rule:
    """A StringList, each value by the rule."""
    inner = each(rule, most)
    return lambda wrapped: inner(wrapped.values)
