"""What keeps models from requests for a while, and what of it is an agent's matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imrs_client.limits import UNLIMITED, Budget, Cooling, Funds, Limits
from imrs_server.domain.breaker import Phase, SubjectKind
from imrs_server.domain.budget import Level, limited, shown
from imrs_server.storage.index import Key

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from uuid import UUID

    from imrs_server.domain.breaker import Breaker
    from imrs_server.domain.offer import Offer
    from imrs_server.storage.index import BudgetRow


@dataclass(frozen=True, slots=True, kw_only=True)
class AllLimits:
    """``models`` and ``providers`` cool, by their ids, and so do models for which ``pools`` have no place;
    ``budgets`` are those that are spent or nearly so, the tenant's under an empty agent_id, and ``budgeted``
    whoever has any.
    """

    models: Mapping[str, Cooling] = field(default_factory=dict)
    providers: Mapping[str, Cooling] = field(default_factory=dict)
    of_key: frozenset[str] = frozenset()
    """Those of both that cool for what the provider's key met, which is no matter of an agent's own one."""
    pools: Mapping[str, Cooling] = field(default_factory=dict)
    budgets: Mapping[Key, Budget] = field(default_factory=dict)
    budgeted: frozenset[Key] = frozenset()

    def of(self, key: Key, offers: Iterable[Offer]) -> Limits:
        """Those of an agent with such models."""
        cooling = self._cooling(offers) if self.models or self.providers or self.pools else {}
        budget = self._budget(key) if self.budgets else None
        return Limits(cooling, budget) if cooling or budget else UNLIMITED

    def budgeting(self, rows: Iterable[BudgetRow], keys: Collection[Key] | None = None) -> AllLimits:
        """The same with these budgets, which are all of the keys', or all there are."""
        read = list(rows)
        gone = frozenset(self.budgeted if keys is None else keys)
        budgets = {key: each for key, each in self.budgets.items() if key not in gone}
        for row in read:
            short = _short(row)
            if short is not None:
                budgets[row.key] = min((budgets.get(row.key, short), short), key=_scarcity)
        return replace(self, budgets=budgets, budgeted=(self.budgeted - gone) | {each.key for each in read})

    def has_budget(self, tenant_id: UUID, agent_id: str) -> bool:
        """Whether calls of an agent count on any budget."""
        return Key(tenant_id, "") in self.budgeted or Key(tenant_id, agent_id) in self.budgeted

    def cooled(self, breakers: Collection[Breaker]) -> AllLimits:
        """The same with these breakers; those of endpoints are the model pool's affair."""
        found: dict[SubjectKind, dict[str, Cooling]] = {SubjectKind.MODEL: {}, SubjectKind.PROVIDER: {}}
        for each in breakers:
            if each.kind in found and each.phase is not Phase.WATCHED:
                found[each.kind][each.subject_id] = Cooling(each.detail, each.share)
        after = replace(
            self,
            models=found[SubjectKind.MODEL],
            providers=found[SubjectKind.PROVIDER],
            of_key=frozenset(each.subject_id for each in breakers if each.cause.is_of_key),
        )
        # The very same where it is, so that nothing is made anew for it.
        return self if after == self else after

    def pooled(self, pools: Mapping[str, Cooling]) -> AllLimits:
        """The same with these models for which there is no place."""
        return self if pools == self.pools else replace(self, pools=pools)

    def _cooling(self, offers: Iterable[Offer]) -> dict[str, Cooling]:
        """Where a model cools and its provider too, the one that gets less says so."""
        found: dict[str, Cooling] = {}
        names, providers = self.models.keys() | self.pools.keys(), self.providers
        # Of thousands of agents with hundreds of models each, few have one that cools.
        for each in [
            one for one in offers if one.model.model_id in names or one.model.provider_id in providers
        ]:
            model_id, provider_id = each.model.model_id, each.model.provider_id
            known = [self.models.get(model_id), self.providers.get(provider_id)]
            if each.own_key is not None and self.of_key:
                both = (model_id, provider_id)
                known = [one for one, name in zip(known, both, strict=True) if name not in self.of_key]
            known.append(self.pools.get(model_id))
            coldest = min((one for one in known if one), key=lambda one: one.share, default=None)
            if coldest is not None:
                found[model_id] = coldest
        return found

    def _budget(self, key: Key) -> Budget | None:
        """The scarcer of the agent's and the tenant's."""
        known = (self.budgets.get(key), self.budgets.get(Key(key.tenant_id, "")))
        return min((one for one in known if one), key=_scarcity, default=None)


def _short(row: BudgetRow) -> Budget | None:
    if row.level is Level.WITHIN:
        return None
    owner = f"of agent {row.key.agent_id}" if row.key.agent_id else "of the tenant"
    limit = limited(row.limit_usd, row.limit_tokens, row.level)
    state = "nearly spent" if row.level is Level.SPARING else "spent"
    return Budget(
        Funds.SPARING if row.level is Level.SPARING else Funds.SPENT,
        f"the budget {owner}, {limit} until {shown(row.reset_time)}, is {state}",
        keeps_free=row.level is not Level.EXHAUSTED,
    )


def _scarcity(budget: Budget) -> tuple[bool, bool]:
    return budget.funds is not Funds.SPENT, budget.keeps_free


NO_LIMITS = AllLimits()
