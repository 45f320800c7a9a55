"""Rows in the text format of COPY, where many share most of their text: psycopg makes only whole ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

_NULL = "\\N"
# What stands for something else in a row.
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def row(values: Iterable[Any]) -> str:
    """Columns of a row, without its end: None, numbers, text, times, UUIDs; lists and dicts as JSON."""
    return "\t".join([_column(each) for each in values])


def _column(value: Any) -> str:
    match value:
        case None:
            return _NULL
        case bool():
            return "t" if value else "f"
        case list() | tuple() | dict():
            return json.dumps(value).translate(_ESCAPES)
        case _:
            return str(value).translate(_ESCAPES)
