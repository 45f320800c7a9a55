"""The figures as a table, and as bench.json."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

from benchmarks.bounds import BOUNDS, by_value, holds, meets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.rows import Row


def show(rows: Sequence[Row], absent: Mapping[str, str]) -> None:
    """Print the table, and under it what was not measured and why."""
    right = {"justify": "right", "no_wrap": True}
    table = Table(
        Column("name", no_wrap=True),
        Column("value", **right),  # type: ignore[arg-type]
        "unit",
        Column("baseline", **right),  # type: ignore[arg-type]
        Column("ratio", **right),  # type: ignore[arg-type]
        Column("must", **right),  # type: ignore[arg-type]
        Column("aim", **right),  # type: ignore[arg-type]
        Column("", no_wrap=True),
        "beside",
    )
    for row in rows:
        bound = BOUNDS.get(row.name)
        table.add_row(
            row.name,
            figure(row.value),
            row.unit,
            figure(row.baseline),
            figure(row.ratio),
            _limit(row, bound.must if bound else None),
            _limit(row, bound.aim if bound else None),
            verdict(row),
            row.beside,
            style=None if holds(row) else "bold red",
        )
    console = Console()
    # Where nobody looks, as in a log, nothing may be cut off.
    Console(width=None if console.is_terminal else 200).print(table)
    for name, reason in absent.items():
        console.print(f"{name}: {reason}", highlight=False, soft_wrap=True)


def keep(rows: Sequence[Row], folder: Path) -> None:
    """Write ``bench.json`` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("name", "value", "unit", "ratio", "baseline")
    kept = json.dumps([{name: getattr(row, name) for name in names} for row in rows], indent=2)
    (folder / "bench.json").write_text(kept + "\n", encoding="utf-8")


def verdict(row: Row) -> str:
    """In a word: the aim is reached, the bound holds, or it is missed."""
    bound = BOUNDS.get(row.name)
    if bound is None:
        return ""
    if not holds(row):
        return "MISSED"
    return "aim" if bound.aim is not None and meets(row, bound.aim) else "holds"


def figure(number: float | None) -> str:
    """Three digits that count."""
    if number is None:
        return ""
    return f"{number:,.0f}" if abs(number) >= 100 else f"{number:.3g}"


def _limit(row: Row, limit: float | None) -> str:
    return "" if limit is None else f"{'<=' if by_value(row.name) else '>='} {limit:g}"
