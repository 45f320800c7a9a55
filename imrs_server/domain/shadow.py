"""The policy on trial: what it would have chosen where another one decided."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imrs_client.decide import NothingEligible, decide
from imrs_client.limits import Limits
from imrs_client.ranked import RankedTable

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_client.query import Query


@dataclass(frozen=True, slots=True)
class Shadow:
    """``table`` is ranked by the policy on trial; ``limits`` are those of what serves, for it would have had
    no others.
    """

    table: RankedTable
    limits: Limits

    @property
    def draws(self) -> bool:
        """Whether equal requests may differ in what it would have chosen."""
        return self.table.policy.exploration_rate > 0

    def choice(self, query: Query, decision_id: UUID) -> str:
        """The model_id for what was asked in a decision; empty where nothing was eligible.

        Where what served drew nothing, the policy on trial draws by the decision's id.
        """
        if self.draws and not query.chance:
            query = replace(query, chance=str(decision_id))
        try:
            found = decide(self.table, query, self.limits)
        except NothingEligible:
            return ""
        return self.table.candidates[found.selected].model_id


def beside(table: RankedTable | None, limits: Limits) -> Shadow | None:
    """None where no policy is on trial."""
    return None if table is None else Shadow(table, limits)
