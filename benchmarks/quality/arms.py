"""What is compared: policies, and what the world does to them."""

from __future__ import annotations

from dataclasses import dataclass, field

from imrs_client.v1 import RoutingPolicy

DEFAULT = RoutingPolicy()
SRS = RoutingPolicy(
    scoring=RoutingPolicy.SRS, exploration=RoutingPolicy.OFF, cost_preference=RoutingPolicy.NONE
)
ANY_COST = RoutingPolicy(cost_preference=RoutingPolicy.NONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A policy in a world.

    ``rated`` is the share of answers that get a rating, ``late`` how many requests later it comes. With
    ``falls`` the best model loses quality half way, with ``arrives`` it is only enabled half way. ``hurried``
    does not wait between two requests until the rating of the first is counted.
    """

    name: str
    policy: RoutingPolicy = field(default_factory=RoutingPolicy)
    rated: float = 1.0
    late: int = 0
    falls: bool = False
    arrives: bool = False
    hurried: bool = False


ARMS = (
    Arm(name="pooled"),
    Arm(name="srs", policy=SRS),
    Arm(name="pooled any cost", policy=ANY_COST),
    Arm(name="pooled hurried", hurried=True),
    Arm(name="pooled fifth rated", rated=0.2),
    Arm(name="srs fifth rated", policy=SRS, rated=0.2),
    Arm(name="pooled 500 late", late=500),
    Arm(name="srs 500 late", policy=SRS, late=500),
    Arm(name="pooled best falls", falls=True),
    Arm(name="pooled best arrives", arrives=True),
)
