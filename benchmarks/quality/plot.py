"""The figures as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.quality import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from benchmarks.quality.figures import Summary
    from benchmarks.quality.lane import Lane
    from benchmarks.quality.table import Table

BINS = 20
INK, OURS, THEIRS, QUIET = "#24292f", "#0b6e99", "#c2571a", "#8b949e"
STYLE = {
    "font.size": 10,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
}


def draw(
    path: Path, title: str, table: Table, arms: Mapping[str, Sequence[Lane]], rows: Sequence[Summary]
) -> None:
    """Learning curves; cells that are stuck; the best model's share where it falls or arrives half way."""
    with plt.style.context(["default", STYLE]):
        figure, axes = plt.subplots(1, 3, figsize=(14, 4.6), width_ratios=(2.2, 1, 1.6), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=13)
        _learning(axes[0], arms, rows)
        _stuck(axes[1], rows)
        _adapting(axes[2], table, arms)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=130)
        plt.close(figure)


def _learning(axes: Axes, arms: Mapping[str, Sequence[Lane]], rows: Sequence[Summary]) -> None:
    for name, colour in (("pooled", OURS), ("srs", THEIRS)):
        if name in arms:
            lanes = arms[name]
            curves = np.array([figures.curve(each.plan, each.picks, BINS) for each in lanes])
            _band(axes, _middles(len(lanes[0].plan)), curves, colour, name)
    for row in rows:
        # Below its line, for the oracle's name stands right above.
        side = {"static priority": "bottom", "best single model": "top", "oracle per task": "bottom"}.get(
            row.name
        )
        if side:
            axes.axhline(row.whole, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(
                row.name, (0.01, row.whole), xycoords=("axes fraction", "data"), va=side, color=QUIET
            )
    axes.set(title="Score earned", xlabel="requests", ylabel="% of the oracle")
    axes.legend(frameon=False, loc="lower right")


def _stuck(axes: Axes, rows: Sequence[Summary]) -> None:
    shown = [(row.name, row.stuck) for row in rows if row.name in {"pooled", "srs"} and row.stuck is not None]
    names = [name for name, _ in shown]
    bars = axes.bar(names, [stuck for _, stuck in shown], color=[_colour(name) for name in names], width=0.6)
    axes.bar_label(bars, fmt="%.0f %%", padding=2)
    axes.set(title="Agents' tasks stuck at a poor model", ylabel="% of cells", ylim=(0, 100))


def _adapting(axes: Axes, table: Table, arms: Mapping[str, Sequence[Lane]]) -> None:
    for name, label, colour in (
        ("pooled best falls", "loses 60 % of its quality half way", THEIRS),
        ("pooled best arrives", "arrives half way", OURS),
    ):
        if name in arms:
            lanes = arms[name]
            shares = np.array([figures.share(each, table.best_model, BINS) for each in lanes])
            _band(axes, _middles(len(lanes[0].plan)), shares, colour, label)
            axes.axvline(len(lanes[0].plan) / 2, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(
        title="The best model's share, when it ...", xlabel="requests", ylabel="% of requests", ylim=(0, 100)
    )
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="upper left")


def _band(axes: Axes, x: NDArray[np.float64], curves: NDArray[np.float64], colour: str, name: str) -> None:
    """The mean over seeds, and all between the worst and the best seed."""
    axes.fill_between(x, curves.min(axis=0), curves.max(axis=0), color=colour, alpha=0.15, linewidth=0)
    axes.plot(x, curves.mean(axis=0), color=colour, linewidth=2, label=name)


def _middles(requests: int) -> NDArray[np.float64]:
    return np.asarray((np.arange(BINS) + 0.5) * requests / BINS)


def _colour(name: str) -> str:
    return OURS if name == "pooled" else THEIRS
