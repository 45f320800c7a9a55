"""The figures as a picture: each as a share of its bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt

from benchmarks.bounds import BOUNDS, by_value, judged
from benchmarks.report import figure, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.rows import Row

INK, GOOD, BAD, QUIET = "#24292f", "#0b6e99", "#c2571a", "#8b949e"
STYLE = {
    "font.size": 10,
    "axes.edgecolor": QUIET,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
}


def draw(path: Path, rows: Sequence[Row], title: str) -> None:
    """One bar for each row that has a bound: how many times better than it must be, the aim as a tick."""
    shown = [row for row in rows if row.name in BOUNDS and judged(row)]
    with plt.style.context(["default", STYLE]):
        tall = 1.4 + 0.36 * len(shown)
        drawn, axes = plt.subplots(figsize=(9.5, tall), layout="constrained")
        for place, row in enumerate(reversed(shown)):
            reached = _better(row, BOUNDS[row.name].must)
            axes.barh(place, reached - 1, left=1, height=0.6, color=BAD if verdict(row) == "MISSED" else GOOD)
            axes.annotate(
                _said(row), (max(reached, 1), place), xytext=(6, 0), textcoords="offset points", va="center"
            )
            aim = BOUNDS[row.name].aim
            if aim is not None:
                wanted = _better(row, BOUNDS[row.name].must) / _better(row, aim)
                axes.plot([wanted, wanted], [place - 0.38, place + 0.38], color=INK, linewidth=1.5)
        axes.axvline(1, color=QUIET, linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(shown)), [row.name for row in reversed(shown)])
        axes.set(title=title, xlabel="times better than it must be; the tick is the aim")
        axes.margins(x=0.25)
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, dpi=130)
        plt.close(drawn)


def _better(row: Row, limit: float) -> float:
    found = judged(row) or 0.0
    return limit / found if by_value(row.name) else found / limit


def _said(row: Row) -> str:
    if by_value(row.name):
        return f"{figure(row.value)} {row.unit.split()[0]}"
    return f"{figure(row.ratio)} x" if (row.ratio or 0) >= 2 else f"{figure(row.ratio)}"
