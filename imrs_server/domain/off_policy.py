"""What another policy would have been worth, by the ratings of decisions that this one took.

Rated decisions whose probabilities are known speak for other choices: a choice that was rarely left to chance
counts for the many times that it was not. Two estimates, so that they can be compared:

- DR, doubly robust (Dudik, Langford and Li 2011): what the mean ratings of models predict, corrected by what
  the log says of their errors;
- SNIPS, self-normalised inverse propensity scoring (Swaminathan and Joachims 2015): the weighted mean rating.

Both suppose that being rated does not depend on how good the answer was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

# Two-sided, 95 %.
_NORMAL = 1.959964

# How many ratings one level further up is worth to the mean rating of a model.
_PRIOR_RATINGS = 10.0

Chances = Mapping[str, float]
"""Probability by model_id."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A rated decision: ``propensity`` is the probability with which its model was chosen, above 0.

    ``target`` says how the other policy would have chosen. ``fold`` (0 or 1) must be independent of
    everything else: ratings of one fold predict those of the other.
    """

    task_type: str
    model_id: str
    rating: float
    propensity: float
    target: Chances
    fold: int

    @property
    def weight(self) -> float:
        """For how many decisions of the other policy this one speaks."""
        return self.target.get(self.model_id, 0.0) / self.propensity


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean rating, 0 to 1, with its 95 % interval; ``method`` is ``dr`` or ``snips``."""

    method: str
    value: float
    lower: float
    upper: float
    effective_sample_size: float


class MeanRatings:
    """Predicts a rating from those of the model for the task, of the model, and of all, in this order."""

    def __init__(self, ratings: Iterable[tuple[str, str, float]]) -> None:
        """``ratings`` are (task_type, model_id, rating)."""
        cells: defaultdict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
        models: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for task_type, model_id, rating in ratings:
            for sums in (cells[task_type, model_id], models[model_id]):
                sums[0] += 1
                sums[1] += rating
        n, s = (sum(each[i] for each in models.values()) for i in (0, 1))
        self._overall = (s + 1) / (n + 2)
        self._models = {name: _shrunk(sums, self._overall) for name, sums in models.items()}
        self._cells = {key: _shrunk(sums, self._models[key[1]]) for key, sums in cells.items()}

    def of(self, task_type: str, model_id: str) -> float:
        found = self._cells.get((task_type, model_id))
        return self._models.get(model_id, self._overall) if found is None else found

    def under(self, task_type: str, chances: Chances) -> float:
        """The rating to expect where the model is chosen with these probabilities."""
        return sum(chance * self.of(task_type, model_id) for model_id, chance in chances.items())


def effective_sample_size(trials: Sequence[Trial]) -> float:
    """How many decisions of the other policy itself would tell as much: (sum of w)^2 / sum of w^2."""
    weights = [each.weight for each in trials]
    squares = sum(w * w for w in weights)
    return sum(weights) ** 2 / squares if squares else 0.0


def doubly_robust(trials: Sequence[Trial]) -> Estimate:
    """DR with predictions of the other fold. The interval is normal, by the variance of its terms."""
    predict = [
        MeanRatings((each.task_type, each.model_id, each.rating) for each in trials if each.fold != fold)
        for fold in (0, 1)
    ]
    terms = []
    for each in trials:
        means = predict[each.fold]
        error = each.rating - means.of(each.task_type, each.model_id)
        terms.append(means.under(each.task_type, each.target) + each.weight * error)
    n = len(terms)
    value = sum(terms) / n
    variance = sum((term - value) ** 2 for term in terms) / max(n - 1, 1)
    return _estimate("dr", value, sqrt(variance / n), trials)


def snips(trials: Sequence[Trial]) -> Estimate | None:
    """SNIPS; None where no decision has any weight.

    The interval is normal, by the variance of a ratio to first order (Owen 2013, Monte Carlo theory, methods
    and examples, section 9.2).
    """
    weighted = [(each.weight, each.rating) for each in trials]
    total = sum(w for w, _ in weighted)
    if not total:
        return None
    value = sum(w * rating for w, rating in weighted) / total
    variance = sum((w * (rating - value)) ** 2 for w, rating in weighted) / total**2
    return _estimate("snips", value, sqrt(variance), trials)


def _shrunk(sums: Sequence[float], towards: float) -> float:
    n, s = sums
    return (s + _PRIOR_RATINGS * towards) / (n + _PRIOR_RATINGS)


def _estimate(method: str, value: float, error: float, trials: Sequence[Trial]) -> Estimate:
    """Ratings are of 0 to 1, and so is their mean, whatever the noise of the weights says."""
    low, mid, high = (min(max(value + z * error, 0.0), 1.0) for z in (-_NORMAL, 0.0, _NORMAL))
    return Estimate(
        method=method,
        value=mid,
        lower=low,
        upper=high,
        effective_sample_size=effective_sample_size(trials),
    )
