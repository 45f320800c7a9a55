"""Levels of the routing policy: the strongest wins field by field, and is named."""

from __future__ import annotations

from imrs_server.domain import routing
from imrs_server.domain.routing import RoutingPolicy, Scoring

LEVELS = {
    "BUILT_IN": RoutingPolicy(priority_weight=0.3, scoring=Scoring.POOLED, require_credentials=False),
    "TENANT": RoutingPolicy(priority_weight=0.0, signal_ratings={"COPY": 0.9, "ABANDON": 0.1}),
    "AGENT": RoutingPolicy(signal_ratings={"COPY": 0.0}, require_credentials=True),
}


def test_the_strongest_level_that_sets_a_field_wins_also_with_zero() -> None:
    assert routing.merge(*LEVELS.values()) == RoutingPolicy(
        priority_weight=0.0,
        scoring=Scoring.POOLED,
        require_credentials=True,
        signal_ratings={"COPY": 0.0, "ABANDON": 0.1},
    )


def test_each_value_names_its_level() -> None:
    assert routing.origins(LEVELS) == {
        "priority_weight": "TENANT",
        "scoring": "BUILT_IN",
        "require_credentials": "AGENT",
        "signal_ratings.COPY": "AGENT",
        "signal_ratings.ABANDON": "TENANT",
    }
