"""Tables: in colours and as wide as the terminal on one, in plain columns elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
from rich.cells import cell_len, set_cell_size
from rich.console import Console

from imrs_server.cli.output import fields, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from google.protobuf.message import Message

_LEAST_WIDTH: Final = 8
# What stands for a state, wherever it stands.
_STYLES: Final = {
    "ACTIVE": "green", "HOT": "green", "UP": "green", "OK": "green", "WITHIN": "green",
    "yes": "green",
    "DISABLED": "yellow", "LOADING": "yellow", "COLD": "yellow", "MISSING": "yellow", "RETIRING": "yellow",
    "DEGRADED": "yellow", "WARN": "yellow", "SPARING": "yellow", "no": "yellow",
    "DELETED": "red", "RETIRED": "red", "DOWN": "red", "FAIL": "red", "SPENT": "red", "EXHAUSTED": "red",
     "ERROR": "red", "TIMEOUT": "red",
    "SKIP": "dim", text.NOTHING: "dim",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A title, and whether what is below it are numbers."""

    title: str
    numbers: bool = False


def columns(kind: Any, shown: Mapping[str, str]) -> list[Column]:
    """Columns for fields of a message: title -> path."""
    return [
        Column(title=title, numbers=fields.is_number(fields.field_of(kind, path)))
        for title, path in shown.items()
    ]


def cells(message: Message, shown: Mapping[str, str]) -> list[str]:
    return [text.told(message, path) for path in shown.values()]


def echo(columns: Sequence[Column], rows: Iterable[Sequence[str]]) -> None:
    """Print a table. Cells must be harmless (text.harmless) already.

    On a terminal texts are cut, all but those of the first column, so that each row has one line.
    """
    whole = [[column.title for column in columns], *map(list, rows)]
    widths = [max(map(cell_len, column)) for column in zip(*whole, strict=True)]
    console = Console()
    if console.is_terminal:
        widths = _fitted(columns, widths, console.width)
    for number, row in enumerate(whole):
        line = "  ".join(
            _cell(cell, width, right=column.numbers, heading=not number)
            for cell, width, column in zip(row, widths, columns, strict=True)
        )
        click.echo(line.rstrip())


def echo_details(message: Message) -> None:
    """Print every field of a message that says something, one a line."""
    echo_pairs(text.details(message))


def echo_pairs(pairs: Mapping[str, str]) -> None:
    """Print names with what they are, one a line; on a terminal the names are bold, and states coloured."""
    width = max(map(cell_len, pairs), default=0)
    for name, found in pairs.items():
        gap = " " * (width - cell_len(name) + 2)
        click.echo(f"{click.style(name, bold=True)}{gap}{styled(found)}")


def styled(found: str) -> str:
    """A state in its colour, anything else as it is; click drops colours where no terminal is."""
    style = _STYLES.get(found, "")
    if not style:
        return found
    return click.style(found, dim=True) if style == "dim" else click.style(found, fg=style)


def _fitted(columns: Sequence[Column], widths: Sequence[int], available: int) -> list[int]:
    """Narrower columns, the widest texts first, until a row fits or nothing more can go."""
    fitted = list(widths)
    texts = [place for place, column in enumerate(columns) if place and not column.numbers]
    while sum(fitted) + 2 * (len(fitted) - 1) > available:
        widest = max(texts, key=fitted.__getitem__, default=None)
        if widest is None or fitted[widest] <= _LEAST_WIDTH:
            break
        fitted[widest] -= 1
    return fitted


def _cell(cell: str, width: int, *, right: bool, heading: bool) -> str:
    shown = cell if cell_len(cell) <= width else set_cell_size(cell, width - 1) + "…"
    space = " " * (width - cell_len(shown))
    told = click.style(shown, bold=True) if heading else styled(shown)
    return space + told if right else told + space
