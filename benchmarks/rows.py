"""What a benchmark hands in, and how it is shown and kept."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure; ``ratio`` is to the baseline, where there is one measured in the same run."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    bound: str = ""


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent of the sample lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def show(rows: Sequence[Row]) -> None:
    table = Table(Column("name", no_wrap=True), "value", "unit", "baseline", "ratio", "bound")
    for row in rows:
        table.add_row(
            row.name,
            f"{row.value:.3f}",
            row.unit,
            "" if row.baseline is None else f"{row.baseline:.3f}",
            "" if row.ratio is None else f"{row.ratio:.2f}",
            row.bound,
        )
    Console().print(table)


def keep(rows: Sequence[Row], folder: Path) -> None:
    """Write ``bench.json`` into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    kept = json.dumps([asdict(row) for row in rows], indent=2)
    (folder / "bench.json").write_text(kept + "\n", encoding="utf-8")
