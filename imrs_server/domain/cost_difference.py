"""What calls would have cost with other models, or at other prices."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from imrs_server.domain.pricing import UNPRICED, Price, cost_usd

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call or of several; ``cached`` are among ``prompt``."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.prompt + other.prompt, self.completion + other.completion, self.cached + other.cached
        )


@dataclass(slots=True)
class _Sum:
    """Calls, and the tokens of all of them together."""

    calls: int = 0
    tokens: Tokens = Tokens()

    def add(self, calls: int, tokens: Tokens) -> None:
        self.calls += calls
        self.tokens += tokens

    def scaled(self, calls: int) -> Tokens:
        """Tokens of so many calls like these."""
        each = (self.tokens.prompt, self.tokens.completion, self.tokens.cached)
        return Tokens(*(count * calls // self.calls for count in each))


class CostDifference:
    """Sums calls up by the model that was called and the one that would have been.

    A call of which nobody told the size is taken to be like others of its task type, else like any other.
    """

    def __init__(self) -> None:
        self._told: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
        self._by_task: defaultdict[str, _Sum] = defaultdict(_Sum)
        self._untold: Counter[tuple[str, str, str]] = Counter()

    def add(self, task_type: str, called: str, other: str, tokens: Tokens | None) -> None:
        """One call, and the model that would have been called."""
        if tokens is None:
            self._untold[task_type, called, other] += 1
        else:
            self._told[called, other].add(1, tokens)
            self._by_task[task_type].add(1, tokens)

    def models(self) -> frozenset[str]:
        """Every model whose price matters."""
        pairs = [*self._told, *((called, other) for _, called, other in self._untold)]
        return frozenset(name for pair in pairs for name in pair)

    def usd(self, before: Mapping[str, Price], after: Mapping[str, Price]) -> tuple[Decimal, int]:
        """What all calls would have cost more, in USD; and how many are left out, for nobody knows.

        ``before`` are the prices of what was called, ``after`` of what would have been.
        """
        total, left_out = Decimal(0), 0
        for (called, other), sums in self._sums().items():
            old, new = before.get(called, UNPRICED), after.get(other, UNPRICED)
            if (called, old) == (other, new):
                continue
            was, would_be = _cost_usd(old, sums.tokens), _cost_usd(new, sums.tokens)
            if was is None or would_be is None or not self._told:
                left_out += sums.calls
            else:
                total += would_be - was
        return total, left_out

    def _sums(self) -> Mapping[tuple[str, str], _Sum]:
        found: defaultdict[tuple[str, str], _Sum] = defaultdict(_Sum)
        anything = _Sum()
        for pair, sums in self._told.items():
            found[pair].add(sums.calls, sums.tokens)
            anything.add(sums.calls, sums.tokens)
        for (task_type, called, other), calls in self._untold.items():
            like = self._by_task.get(task_type, anything)
            found[called, other].add(calls, like.scaled(calls) if like.calls else Tokens())
        return found


def _cost_usd(price: Price, tokens: Tokens) -> Decimal | None:
    return cost_usd(
        price,
        prompt_tokens=tokens.prompt,
        completion_tokens=tokens.completion,
        cached_tokens=tokens.cached,
    )
