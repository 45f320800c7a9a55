"""Options of routing policies: how models are ranked, wherever that is set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli.arguments import DurationType, EnumType, entries, number

if TYPE_CHECKING:
    from imrs_server.cli.resource import Decorator

_Policy: Final = pb.RoutingPolicy
_SHARE: Final = click.FloatRange(0, 1)
_OPTIONS: Final[dict[str, Decorator]] = {
    "priority_weight": click.option("--priority-weight", type=_SHARE, help="Of the priority in the score."),
    "experience_weight": click.option(
        "--experience-weight", type=_SHARE, help="Of the ratings in the score."
    ),
    "scoring": click.option("--scoring", type=EnumType(_Policy.Scoring), help="How ratings become a score."),
    "exploration": click.option(
        "--exploration", type=EnumType(_Policy.Exploration), help="How little-known models get a chance."
    ),
    "exploration_rate": click.option(
        "--exploration-rate", type=_SHARE, help="Share of requests that explore, with epsilon."
    ),
    "cost_preference": click.option(
        "--cost-preference", type=EnumType(_Policy.CostPreference), help="Between similar models."
    ),
    "similarity_margin": click.option(
        "--similarity-margin", type=_SHARE, help="Scores this near to the best are similar."
    ),
    "half_life": click.option(
        "--half-life", type=DurationType(), help="When a rating weighs half, such as 45d; 0: never."
    ),
    "max_cost_tier": click.option(
        "--max-tier", "max_cost_tier", type=EnumType(pb.Model.CostTier), help="The dearest tier allowed."
    ),
    "session_affinity": click.option(
        "--affinity/--no-affinity", "session_affinity", default=None, help="Conversations keep a model."
    ),
    "require_credentials": click.option(
        "--require-key/--no-require-key", "require_credentials", default=None, help="Only with a key."
    ),
    "max_latency_ms": click.option(
        "--max-latency", "max_latency_ms", type=click.IntRange(1), help="Milliseconds on average."
    ),
    "max_error_rate": click.option("--max-error-rate", type=_SHARE, help="Share of calls that failed."),
    "signal_ratings": click.option(
        "--signal-rating", "signal_ratings", multiple=True, callback=entries(number), metavar="SIGNAL=RATING",
        help="0 to 1, such as COPY=0.9; without a rating, no longer set.",
    ),
    "feedback_weights": click.option(
        "--feedback-weight", "feedback_weights", multiple=True, callback=entries(number),
        metavar="TYPE=WEIGHT", help="0 to 100, of a type or a signal, such as CONTINUE=0.5; likewise.",
    ),
}  # fmt: skip


def options(path: str, *, without: str = "") -> dict[str, Decorator]:
    """Of the policy at a path of what has it, all but one perhaps."""
    return {f"{path}.{name}": option for name, option in _OPTIONS.items() if name != without}
