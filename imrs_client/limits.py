"""What keeps a model from requests for a while, however good it is: it cools down, or the money is short.

Standard library only, and no clock: when a limit ends, it is taken away, and that is a revision of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Cooling:
    """A model that failed of late. It is given ``share`` of the requests, from 0 to below 1.

    ``detail`` is for people: why, and until when.
    """

    detail: str
    share: float = 0.0


class Funds(StrEnum):
    """What is left of a budget."""

    SPARING = "SPARING"
    SPENT = "SPENT"


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget that is nearly spent, or is. ``keeps_free`` says that free models do not count on it."""

    funds: Funds
    detail: str
    keeps_free: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """What holds for the models of one agent; ``cooling`` by model_id."""

    cooling: Mapping[str, Cooling] = field(default_factory=dict)
    budget: Budget | None = None

    @property
    def spares(self) -> bool:
        """Whether the cheaper of similar models is wanted."""
        return self.budget is not None and self.budget.funds is Funds.SPARING

    @property
    def spent(self) -> Budget | None:
        """The budget, where nothing is left of it."""
        return self.budget if self.budget is not None and self.budget.funds is Funds.SPENT else None

    @property
    def draws(self) -> bool:
        """Whether chance decides who is sent to a model that recovers."""
        return any(each.share > 0 for each in self.cooling.values())


UNLIMITED = Limits()
