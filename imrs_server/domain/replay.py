"""Decisions taken again under another policy: what would have changed, what it would have cost, how good it
would have been.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID
from zlib import crc32

from imrs_client.query import Query
from imrs_server.domain import off_policy
from imrs_server.domain.cost_difference import CostDifference, Tokens
from imrs_server.domain.off_policy import Chances, Estimate, MeanRatings, Trial
from imrs_server.domain.routing import RoutingPolicy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.domain.pricing import Price

# Below these the log cannot answer how good. Simulated, the error of an estimate is three to four points at
# this size, and about ten at a tenth of it.
LEAST_SAMPLE_SIZE = 200
LEAST_COVERAGE = 0.8

MOST_EXAMPLES = 20

_CERTAIN = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Logged:
    """A decision of the log.

    ``query``, without its conversation, is None where it was not kept; ``propensity`` where nothing was left
    to chance, else ``propensities`` has all models that could have been drawn. ``rating`` is that of an
    answer of this very model, ``tokens`` those of its call.
    """

    decision_id: UUID
    task_type: str
    model_id: str
    query: Query | None
    conversation_id: str = ""
    agent_class: str = ""
    propensity: float | None = None
    propensities: Chances = field(default_factory=dict)
    rating: float | None = None
    tokens: Tokens | None = None

    @property
    def support(self) -> frozenset[str]:
        """The models that the log can speak for."""
        return frozenset({self.model_id, *self.propensities})


@dataclass(frozen=True, slots=True)
class Retaken:
    """What would have been decided, and with which probabilities; no model where none was eligible."""

    model_id: str = ""
    chances: Chances = field(default_factory=dict)


NO_MODEL = Retaken()


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherPrice:
    """What a model would cost an agent, in USD per 1M tokens; None is what it costs now."""

    model_id: str
    input_price_usd: Decimal | None = None
    output_price_usd: Decimal | None = None

    def over(
        self, input_price_usd: Decimal | None, output_price_usd: Decimal | None
    ) -> tuple[Decimal | None, Decimal | None]:
        """Both prices, where it says nothing as they were."""
        return (
            input_price_usd if self.input_price_usd is None else self.input_price_usd,
            output_price_usd if self.output_price_usd is None else self.output_price_usd,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What would be different. ``policy`` goes over the agent's; None leaves it as it is."""

    policy: RoutingPolicy | None = None
    added_models: tuple[str, ...] = ()
    removed_models: tuple[str, ...] = ()
    prices: tuple[OtherPrice, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A decision that would have been another; ``replayed_model_id`` is empty for none."""

    decision_id: UUID
    task_type: str
    logged_model_id: str
    replayed_model_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What a replay found. Shares are of ``replayed``, 0 to 1; ratings are means, 0 to 1.

    ``estimates`` are empty, and ``detail`` says why, unless the log can answer. ``model_estimate`` goes by
    the mean ratings of models alone: it takes no account of which requests they were given. ``unserved``
    would have had no model, ``skipped`` could not be taken again, of ``unpriced`` the price or the size is
    not known.
    """

    replayed: int = 0
    changed_share: float = 0.0
    coverage: float = 0.0
    estimates: tuple[Estimate, ...] = ()
    detail: str = ""
    rated: int = 0
    logged_rating: float | None = None
    model_estimate: float | None = None
    cost_difference_usd: Decimal = Decimal(0)
    unpriced: int = 0
    unserved: int = 0
    skipped: int = 0
    examples: tuple[Example, ...] = ()

    @property
    def identifiable(self) -> bool:
        return not self.detail


class Tally:
    """Takes decisions one by one and keeps sums, and of each rated one what an estimate needs."""

    def __init__(self) -> None:
        self._replayed = 0
        self._changed = 0
        self._by_chance = 0
        self._unserved = 0
        self._skipped = 0
        self._covered = 0.0
        self._covered_changes = 0.0
        self._examples: list[Example] = []
        self._trials: list[Trial] = []
        self._targets: defaultdict[tuple[str, str], float] = defaultdict(float)
        self._costs = CostDifference()

    def skip(self) -> None:
        """Count a decision that cannot be taken again."""
        self._skipped += 1

    def add(self, logged: Logged, retaken: Retaken) -> None:
        """Count a decision and what would have been; the newest first, for they make the examples."""
        covered = sum(retaken.chances.get(model_id, 0.0) for model_id in logged.support)
        self._replayed += 1
        self._covered += covered
        self._by_chance += logged.propensity is not None
        if retaken.model_id != logged.model_id:
            self._changed += 1
            self._covered_changes += covered
            self._show(logged, retaken)
        if not retaken.model_id:
            self._unserved += 1
            return
        self._costs.add(logged.task_type, logged.model_id, retaken.model_id, logged.tokens)
        for model_id, chance in retaken.chances.items():
            self._targets[logged.task_type, model_id] += chance
        if logged.rating is not None:
            self._trials.append(_trial(logged, logged.rating, retaken))

    def _show(self, logged: Logged, retaken: Retaken) -> None:
        if len(self._examples) < MOST_EXAMPLES:
            self._examples.append(
                Example(
                    decision_id=logged.decision_id,
                    task_type=logged.task_type,
                    logged_model_id=logged.model_id,
                    replayed_model_id=retaken.model_id,
                )
            )

    def models(self) -> frozenset[str]:
        """Every model whose price matters."""
        return self._costs.models()

    def report(self, before: Mapping[str, Price], after: Mapping[str, Price]) -> Replay:
        """What came out, by the prices of what was decided and of what would have been."""
        trials = self._trials
        detail = self._doubt()
        estimates = () if detail else (off_policy.doubly_robust(trials), off_policy.snips(trials))
        difference, unpriced = self._costs.usd(before, after)
        return Replay(
            replayed=self._replayed,
            changed_share=self._share(self._changed),
            coverage=self._share(self._covered),
            estimates=tuple(each for each in estimates if each is not None),
            detail=detail,
            rated=len(trials),
            logged_rating=sum(each.rating for each in trials) / len(trials) if trials else None,
            model_estimate=self._by_models(),
            cost_difference_usd=difference,
            unpriced=unpriced,
            unserved=self._unserved,
            skipped=self._skipped,
            examples=tuple(self._examples),
        )

    def _doubt(self) -> str:
        """Why the log cannot answer how good; empty where it can."""
        if not self._trials:
            return "none of the decisions was rated"
        if not self._by_chance:
            return "nothing was left to chance: only decisions under EPSILON speak for other choices"
        share = self._share(self._covered)
        if share < LEAST_COVERAGE:
            return f"the log speaks for {share:.0%} of the decisions; {LEAST_COVERAGE:.0%} are needed"
        changes = self._covered_changes / self._changed if self._changed else 1.0
        if changes < LEAST_COVERAGE:
            return f"the log speaks for {changes:.0%} of the changes; {LEAST_COVERAGE:.0%} are needed"
        size = off_policy.effective_sample_size(self._trials)
        if size < LEAST_SAMPLE_SIZE:
            return f"the ratings are worth {size:.0f} of this policy's own; {LEAST_SAMPLE_SIZE} are needed"
        return ""

    def _by_models(self) -> float | None:
        if not self._trials:
            return None
        means = MeanRatings((each.task_type, each.model_id, each.rating) for each in self._trials)
        expected = sum(mass * means.of(*cell) for cell, mass in self._targets.items())
        return expected / sum(self._targets.values())

    def _share(self, count: float) -> float:
        return count / self._replayed if self._replayed else 0.0


def _trial(logged: Logged, rating: float, retaken: Retaken) -> Trial:
    return Trial(
        logged.task_type,
        logged.model_id,
        rating,
        logged.propensity or _CERTAIN,
        retaken.chances,
        # The bits of the id alone are a counter where one server decides much in a millisecond.
        crc32(logged.decision_id.bytes) & 1,
    )
