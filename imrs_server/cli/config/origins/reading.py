"""The files of other systems as values with their places: bounded, never run, and nothing resolved."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from imrs_server.config_file import tree
from imrs_server.config_file.problems import ConfigInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_server.config_file.tree import Node

MAX_BYTES: Final = 16 * 2**20


class Unreadable(Exception):
    """A file cannot be read at all; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands; ``line`` 0 is the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table, by the names of its columns; ``table`` where the file says of which."""

    values: dict[str, Any]
    place: Place
    table: str = ""


def text(path: Path) -> str:
    """Raises Unreadable."""
    try:
        with path.open("rb") as file:
            found = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    if len(found) > MAX_BYTES:
        raise Unreadable(f"{path}: is larger than {MAX_BYTES // 2**20} MiB")
    try:
        decoded = found.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = found.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"{path}:{line}: is not UTF-8") from None
    if "\0" in decoded:
        raise Unreadable(f"{path}:{decoded.count(chr(10), 0, decoded.index(chr(0))) + 1}: holds a NUL")
    return decoded


def yaml(path: Path) -> Node:
    """Raises Unreadable."""
    try:
        return tree.parse(text(path))
    except ConfigInvalid as invalid:
        raise Unreadable(invalid.problems[0].within(str(path))) from None


def json_value(path: Path) -> Any:
    """Raises Unreadable."""
    try:
        return _json(text(path))
    except ValueError as error:
        raise Unreadable(f"{path}: is no JSON: {error}") from None


def rows(path: Path) -> list[Row]:
    """The rows of a dump: CSV, a JSON list, one JSON object a line, or what Django's dumpdata writes.

    Raises Unreadable.
    """
    found = text(path)
    if found.lstrip()[:1] in {"[", "{"}:
        return list(_json_rows(path, found))
    return list(_csv_rows(path, found))


def _csv_rows(path: Path, found: str) -> Iterator[Row]:
    first = found.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(StringIO(found, newline=""), delimiter=delimiter)
    try:
        names = [name.strip().lower() for name in next(reader, [])]
        if not names or len(set(names)) < len(names):
            raise Unreadable(f"{path}:1: must name each column once")
        begin = reader.line_num + 1
        for values in reader:
            if values:
                place = Place(str(path), begin)
                if len(values) != len(names):
                    raise Unreadable(
                        f"{place}: must have {len(names)} columns as the first line, not {len(values)}"
                    )
                yield Row(dict(zip(names, values, strict=True)), place)
            begin = reader.line_num + 1
    except csv.Error as error:
        raise Unreadable(f"{path}:{reader.line_num}: is no CSV: {error}") from None


def _json_rows(path: Path, found: str) -> Iterator[Row]:
    try:
        whole = _json(found)
    except ValueError as error:
        whole = _lines(path, found, error)
    if isinstance(whole, dict):
        # Some export a table below its name.
        lists = [each for each in whole.values() if isinstance(each, list)]
        whole = lists[0] if len(lists) == 1 and len(whole) <= 2 else [whole]
    for number, each in enumerate(whole, 1):
        place = Place(f"{path}#{number}")
        if not isinstance(each, dict):
            raise Unreadable(f"{place}: must be an object with a field for each column")
        fields, table = each.get("fields"), each.get("model")
        if isinstance(fields, dict) and isinstance(table, str):
            values = {"id": each.get("pk"), **fields}
            yield Row(_lowered(values), place, table.rpartition(".")[2].lower())
        else:
            yield Row(_lowered(each), place)


def _lines(path: Path, found: str, error: ValueError) -> list[Any]:
    # Not at U+2028 and its like, which stand in texts of JSON as they are.
    lines = [line for line in found.split("\n") if line.strip()]
    try:
        return [_json(line) for line in lines]
    except ValueError:
        raise Unreadable(f"{path}: is no JSON: {error}") from None


def _json(found: str) -> Any:
    """Raises ValueError, for what is nested too deeply and for what is no finite number as well."""
    try:
        return json.loads(found, parse_constant=_not_finite)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _not_finite(name: str) -> Any:
    raise ValueError(f"{name} is no finite number")


def _lowered(values: dict[str, Any]) -> dict[str, Any]:
    return {name.strip().lower(): value for name, value in values.items()}
