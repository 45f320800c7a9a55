"""What a benchmark hands in: figures, and why there is none."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One figure. ``ratio`` is how much better it is than the baseline, measured in the same run.

    ``beside`` says what the baseline is, or under which circumstances the figure was taken.
    """

    name: str
    value: float
    unit: str
    baseline: float | None = None
    ratio: float | None = None
    beside: str = ""


class Skipped(Exception):
    """There is nothing to measure with here; the message says what is missing, and how to get it."""


def percentile(values: Sequence[float], percent: int) -> float:
    """The value below which so many percent of the sample lie."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def faster(name: str, took: Sequence[float], baseline: Sequence[float], unit: str, beside: str) -> Row:
    """Durations by rounds in which both took turns: medians, and the median of the rounds' ratios."""
    ratio = statistics.median(other / mine for mine, other in zip(took, baseline, strict=True))
    value, beaten = statistics.median(took), statistics.median(baseline)
    return Row(name=name, value=value, unit=unit, baseline=beaten, ratio=ratio, beside=beside)


def more(name: str, rates: Sequence[float], baseline: Sequence[float], unit: str, beside: str) -> Row:
    """Rates by rounds in which both took turns: medians, and the median of the rounds' ratios."""
    ratio = statistics.median(mine / other for mine, other in zip(rates, baseline, strict=True))
    value, beaten = statistics.median(rates), statistics.median(baseline)
    return Row(name=name, value=value, unit=unit, baseline=beaten, ratio=ratio, beside=beside)
