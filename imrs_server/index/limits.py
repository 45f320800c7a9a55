"""What keeps models from requests for a while, and what of it is an agent's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from imrs_client.limits import UNLIMITED, Budget, Cooling, Funds, Limits
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.model import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class AllLimits:
    """``models`` and ``providers`` cool, by their ids; ``budgets`` are those that are spent or nearly so, the
    tenant's under an empty agent_id.
    """

    models: Mapping[str, Cooling] = field(default_factory=dict)
    providers: Mapping[str, Cooling] = field(default_factory=dict)
    budgets: Mapping[Key, Budget] = field(default_factory=dict)

    def of(self, key: Key, models: Iterable[Model]) -> Limits:
        """Those of an agent with such models."""
        cooling = self._cooling(models) if self.models or self.providers else {}
        budget = self._budget(key) if self.budgets else None
        return Limits(cooling, budget) if cooling or budget else UNLIMITED

    def _cooling(self, models: Iterable[Model]) -> dict[str, Cooling]:
        """Where a model cools and its provider too, the one that gets less says so."""
        found: dict[str, Cooling] = {}
        for each in models:
            known = (self.models.get(each.model_id), self.providers.get(each.provider_id))
            coldest = min((one for one in known if one), key=lambda one: one.share, default=None)
            if coldest is not None:
                found[each.model_id] = coldest
        return found

    def _budget(self, key: Key) -> Budget | None:
        """The scarcer of the agent's and the tenant's."""
        known = (self.budgets.get(key), self.budgets.get(Key(key.tenant_id, "")))
        return min((one for one in known if one), key=_scarcity, default=None)


def _scarcity(budget: Budget) -> tuple[bool, bool]:
    return budget.funds is not Funds.SPENT, budget.keeps_free


NO_LIMITS = AllLimits()
