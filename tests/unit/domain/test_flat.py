"""Things taken apart into fields by paths, and put together again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from imrs_server.domain.flat import duration_text, flatten, money_text, nest, top, unflatten

PLAIN = {
    "display_name": "x",
    "parameters": {"temperature": 0.5, "stop": [], "extra": {"a.b": None}},
    "routing": {"half_life": "P45D", "signal_ratings": {"COPY": 1}, "shadow": {"scoring": "SRS"}},
    "labels": {"a.b": "c", "team": "d"},
    "metadata": {"deep": {"er": 1}},
    "input_price_usd": "0.600000000",
    "capsule": None,
}


def test_what_is_nested_has_paths_and_everything_else_is_one_value() -> None:
    assert flatten(PLAIN) == {
        "display_name": "x",
        "parameters.temperature": 0.5,
        "parameters.stop": [],
        "parameters.extra": {"a.b": None},
        "routing.half_life": "45d",
        "routing.signal_ratings": {"COPY": 1},
        "routing.shadow.scoring": "SRS",
        "labels.a.b": "c",
        "labels.team": "d",
        "metadata": {"deep": {"er": 1}},
        "input_price_usd": "0.6",
    }


def test_paths_go_back_to_where_they_came_from() -> None:
    flat = flatten(PLAIN)
    assert flatten(nest(flat)) == flat
    assert nest(flat)["labels"] == PLAIN["labels"]
    assert unflatten(flat)["routing"]["half_life"] == timedelta(days=45)
    assert [top(each) for each in ("labels.a.b", "metadata", "routing.shadow.scoring")] == [
        "labels",
        "metadata",
        "routing",
    ]


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(days=400), "400d"),
        (timedelta(hours=36), "36h"),
        (timedelta(seconds=90), "90s"),
        (timedelta(minutes=5), "5m"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(0), "0s"),
    ],
)
def test_lengths_of_time_are_written_by_the_largest_unit_that_fits(length: timedelta, text: str) -> None:
    assert duration_text(length) == text
    assert unflatten({"sync_interval": text}) == {"sync_interval": length}


def test_money_is_written_in_one_way() -> None:
    assert [money_text(each) for each in ("1.50", Decimal("1E-9"), "100", Decimal("0E-9"))] == [
        "1.5",
        "0.000000001",
        "100",
        "0",
    ]
