"""What a panel is made of: lines, each a query in PromQL with the name that it has in the legend."""

from __future__ import annotations

from dataclasses import dataclass, replace

AT = 'instance=~"$instance"'
RATE = "[$__rate_interval]"
DAY = "[24h]"


@dataclass(frozen=True)
class Line:
    """A query. Its legend is its labels, unless it is ``named``."""

    expr: str
    legend: str = ""

    def named(self, legend: str) -> Line:
        return replace(self, legend=legend)

    def __truediv__(self, other: Line) -> Line:
        return replace(self, expr=f"{self.expr} / {other.expr}")

    def __rmul__(self, factor: int) -> Line:
        return replace(self, expr=f"{factor} * {self.expr}")


class Panel:
    """Lines over time. ``alarm`` is the value from which a figure is red, or, with ``below``, under which."""

    kind = "timeseries"
    width, height = 12, 8

    def __init__(
        self,
        title: str,
        *lines: Line,
        unit: str = "short",
        description: str = "",
        stacked: bool = False,
        alarm: float | None = None,
        below: bool = False,
    ) -> None:
        self.title = title
        self.lines = lines
        self.unit = unit
        self.description = description
        self.stacked = stacked
        self.alarm = alarm
        self.below = below


class Figure(Panel):
    """One number, the newest."""

    kind = "stat"
    width, height = 4, 4


def series(name: str, *, where: str = "", window: str = "") -> str:
    """The series of the chosen servers, and of what else ``where`` matches."""
    matchers = f"{AT}, {where}" if where else AT
    return f"{name}{{{matchers}}}{window}"


def each(name: str) -> Line:
    """A gauge of each server by itself."""
    return Line(series(name), _labels("instance"))


def over(how: str, name: str, *, by: str = "", where: str = "") -> Line:
    """A gauge, put together over servers: ``sum``, ``max`` or ``min``."""
    group = f" by ({by}) " if by else ""
    return Line(f"{how}{group}({series(name, where=where)})", _labels(by))


def rate(name: str, *, by: str = "", where: str = "") -> Line:
    """A counter a second, added up over servers."""
    group = f" by ({by})" if by else ""
    return Line(f"sum{group} (rate({series(name, where=where, window=RATE)}))", _labels(by))


def increase(name: str, window: str = RATE, *, where: str = "") -> Line:
    """What a counter has grown by, added up over servers."""
    return Line(f"sum(increase({series(name, where=where, window=window)}))")


def quantile(share: float, name: str, *, by: str = "", where: str = "") -> Line:
    """Of a histogram, over servers; named after the share unless it is told apart by labels."""
    group = f"le, {by}" if by else "le"
    buckets = series(f"{name}_bucket", where=where, window=RATE)
    legend = _labels(by) or f"p{share * 100:g}"
    return Line(f"histogram_quantile({share}, sum by ({group}) (rate({buckets})))", legend)


def _labels(by: str) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)
