"""The benchmarks' table: which figures there are, and when one is good enough."""

from __future__ import annotations

import json
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from benchmarks import document, parts, report
from benchmarks.bounds import BOUNDS, holds
from benchmarks.rows import Row, faster, more

if TYPE_CHECKING:
    from pathlib import Path

# What others read out of bench.json.
FIXED = {
    "route_bare",
    "route_full",
    "workers",
    "decision_mean_us",
    "decision_p99_us",
    "batch_cpu",
    "replica",
    "litellm_router",
    "index_build_s",
    "index_build_mib",
    "route_p95_ms",
    "propagation_p99_ms",
    "feedback_batch",
    "models_page_p95_ms",
}


def test_each_fixed_figure_has_a_bound_and_a_part_that_gives_it() -> None:
    given = {name for names in parts.PARTS.values() for name in names}
    assert given >= FIXED
    assert BOUNDS.keys() >= FIXED
    assert given >= BOUNDS.keys()
    assert all(find_spec(f"benchmarks.{part}") for part in parts.PARTS)


def test_parts_are_named_by_themselves_or_by_their_figures() -> None:
    assert parts.named([]) == list(parts.PARTS)
    assert parts.named(["route_full", "decision", "route_bare"]) == ["decision", "calls"]
    with pytest.raises(parts.UnknownPart, match="speed"):
        parts.named(["speed"])


@pytest.mark.parametrize(
    ("name", "value", "ratio", "verdict"),
    [
        ("decision_mean_us", 2.9, None, "aim"),
        ("decision_mean_us", 9.9, None, "holds"),
        ("decision_mean_us", 10.1, 99.0, "MISSED"),
        ("route_bare", 5000.0, 0.97, "aim"),
        ("route_bare", 5000.0, 0.9, "holds"),
        ("route_bare", 5000.0, 0.89, "MISSED"),
        ("route_bare", 5000.0, None, "MISSED"),
        ("index_build_mib", 250.0, None, "holds"),
        ("anything", 1.0, 1.0, ""),
    ],
)
def test_a_unit_is_judged_by_value_and_all_else_by_ratio(
    name: str, value: float, ratio: float | None, verdict: str
) -> None:
    row = Row(name=name, value=value, unit="u", ratio=ratio)
    assert report.verdict(row) == verdict
    assert holds(row) == (verdict != "MISSED")


def test_ratios_say_how_much_better_and_are_medians_of_rounds() -> None:
    """A round that something else disturbed, for one or both, does not move them."""
    assert faster("f", [1.0, 2.0, 90.0], [10.0, 20.0, 90.0], "us", "").ratio == 10
    assert more("m", [10.0, 20.0, 3.0], [1.0, 2.0, 3.0], "calls/s", "").ratio == 10


def test_what_is_kept_has_five_fields(tmp_path: Path) -> None:
    report.keep([Row(name="a", value=1.5, unit="us", baseline=3.0, ratio=2.0, beside="b")], tmp_path / "new")
    kept = json.loads((tmp_path / "new" / "bench.json").read_text())
    assert kept == [{"name": "a", "value": 1.5, "unit": "us", "ratio": 2.0, "baseline": 3.0}]


def test_figures_are_put_between_the_marks_of_a_page() -> None:
    page = "before\n<!-- bench: route_bare index_build_s -->\nold\n<!-- bench end -->\nafter\n"
    rows = [
        {"name": "route_bare", "value": 5123.4, "unit": "calls/s", "ratio": 0.951, "baseline": 5400.0},
        {"name": "index_build_s", "value": 4.21, "unit": "s", "ratio": None, "baseline": None},
    ]
    written = document.filled(page, rows)
    assert written.startswith("before\n<!-- bench: route_bare index_build_s -->\n")
    assert written.endswith("<!-- bench end -->\nafter\n")
    assert "old" not in written
    assert "| `route_bare` | 5,123 calls/s | 5,400 | **0.951** | 0.9 | 0.97 |" in written
    assert "| `index_build_s` | **4.21 s** |  |  | 8 | 3 |" in written
    assert document.filled(written, rows) == written


def test_a_page_that_names_a_figure_nobody_measured_is_refused() -> None:
    with pytest.raises(document.NotMeasured, match="route_full"):
        document.filled("<!-- bench: route_full -->\n<!-- bench end -->\n", [])
