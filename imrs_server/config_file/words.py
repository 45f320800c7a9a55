"""What pydantic found, in words that say what would be right."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from imrs_server.config_file.kinds import EXPECTED, short

if TYPE_CHECKING:
    from collections.abc import Iterable

_SECRETS = frozenset({"api_key", "key", "secret", "token", "password", "access_key"})
_TYPES = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "finite_number": "must be a finite number",
}
_BOUNDS = {
    "greater_than_equal": ("must be at least", "ge"),
    "less_than_equal": ("must be at most", "le"),
    "greater_than": ("must be above", "gt"),
    "less_than": ("must be below", "lt"),
}
_SIZES = {
    "string_too_long": ("must be at most", "max_length", "characters"),
    "string_too_short": ("must be at least", "min_length", "characters"),
    "too_long": ("must have at most", "max_length", "entries"),
    "too_short": ("must have at least", "min_length", "entries"),
}


def expected(error: dict[str, Any]) -> str:
    """What would be right, and what is there instead."""
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "missing":
        return "must be set"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return f"must be {context['expected']}, not {short(given)}"
    if kind == "string_pattern_mismatch":
        return f"{EXPECTED[context['pattern']]}, not {short(given)}"
    if kind in _TYPES:
        hint = "; quote it if it is text" if kind == "string_type" and isinstance(given, int | float) else ""
        return f"{_TYPES[kind]}, not {_named(given)}{hint}"
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {context[bound]}, not {short(given)}"
    if kind in _SIZES:
        words, bound, unit = _SIZES[kind]
        return f"{words} {context[bound]} {unit}"
    return str(error["msg"])


def unknown(name: str, known: Iterable[str]) -> str:
    """For a field that the schema does not have."""
    known = sorted(known)
    if name.lower() in _SECRETS:
        return "is not known here: keys are never in a file; set them with RotateProviderKey or SetAgentKey"
    close = get_close_matches(name, known, 1)
    if close:
        return f"is not known here; is {close[0]} meant?"
    return f"is not known here; known are {', '.join(known)}" if known else "is not known here"


def _named(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return short(value)
