"""What is known of models: sums over ratings, decisions and calls, and how they are read.

A sum decays by half in each half-life, forward (Cormode, Shkapenyuk, Srivastava and Xu 2009): it is kept as
of its newest event, so events may come in any order, and reading it at a later time is one factor for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

    from imrs_server.domain.routing import RoutingPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A row of ``evidence``: by kind of rating the sums of 1, of r and, of some, of r^2.

    ``raw_n`` and ``raw_s`` are the sums behind the plain average and never decay. The others are as of
    ``last_time``, in seconds since 1970. ``decisions`` counts how often the model was chosen, ``calls`` and
    what follows the calls that were reported.
    """

    last_time: float = 0.0
    raw_n: int = 0
    raw_s: float = 0.0
    explicit_n: float = 0.0
    explicit_s: float = 0.0
    explicit_q: float = 0.0
    thumbs_up_n: float = 0.0
    thumbs_up_s: float = 0.0
    thumbs_down_n: float = 0.0
    thumbs_down_s: float = 0.0
    self_n: float = 0.0
    self_s: float = 0.0
    self_q: float = 0.0
    implicit_n: float = 0.0
    implicit_s: float = 0.0
    implicit_q: float = 0.0
    regenerate_n: float = 0.0
    regenerate_s: float = 0.0
    copy_n: float = 0.0
    copy_s: float = 0.0
    continue_n: float = 0.0
    continue_s: float = 0.0
    abandon_n: float = 0.0
    abandon_s: float = 0.0
    decisions: float = 0.0
    calls: float = 0.0
    errors: float = 0.0
    latency_n: float = 0.0
    latency_ms_sum: float = 0.0


NOTHING = Evidence()

# A tenant's task types beyond these are counted together.
MAX_TASK_TYPES = 1000
OTHER_TASKS = "other"

Cells: TypeAlias = Mapping[str, Evidence]
"""Evidence by model_id."""


@dataclass(frozen=True, slots=True)
class Decay:
    """How much sums count at a time, in seconds since 1970; a half-life of 0 is no decay."""

    time: float = 0.0
    half_life_seconds: float = 0.0

    def factor(self, last_time: float) -> float:
        """What is left of a sum as of ``last_time``."""
        if self.half_life_seconds <= 0 or self.time <= last_time:
            return 1.0
        return float(2.0 ** -((self.time - last_time) / self.half_life_seconds))


NO_DECAY = Decay()


def decay(cells: Iterable[Cells], half_life: timedelta | None) -> Decay:
    """Decay as of the newest event among cells: of their own time, so that equal evidence is read equally
    by every server, whatever its clock.
    """
    newest = max((each.last_time for some in cells for each in some.values()), default=0.0)
    return Decay(newest, half_life.total_seconds() if half_life else 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each kind of rating counts."""

    explicit: float = 1.0
    thumbs_up: float = 1.0
    thumbs_down: float = 1.0
    self_eval: float = 0.3
    implicit: float = 0.3
    regenerate: float = 0.3
    copy: float = 0.3
    continued: float = 0.0
    abandon: float = 0.3

    def sums(self, evidence: Evidence, decay: Decay = NO_DECAY) -> tuple[float, float]:
        """Weighted count and weighted sum of ratings."""
        n = (
            self.explicit * evidence.explicit_n
            + self.thumbs_up * evidence.thumbs_up_n
            + self.thumbs_down * evidence.thumbs_down_n
            + self.self_eval * evidence.self_n
            + self.implicit * evidence.implicit_n
            + self.regenerate * evidence.regenerate_n
            + self.copy * evidence.copy_n
            + self.continued * evidence.continue_n
            + self.abandon * evidence.abandon_n
        )
        # A vote that was taken back may leave a rounding error behind, which is no rating.
        if n <= 1e-9:
            return 0.0, 0.0
        s = (
            self.explicit * evidence.explicit_s
            + self.thumbs_up * evidence.thumbs_up_s
            + self.thumbs_down * evidence.thumbs_down_s
            + self.self_eval * evidence.self_s
            + self.implicit * evidence.implicit_s
            + self.regenerate * evidence.regenerate_s
            + self.copy * evidence.copy_s
            + self.continued * evidence.continue_s
            + self.abandon * evidence.abandon_s
        )
        left = decay.factor(evidence.last_time)
        return n * left, s * left

    def variance(self, evidence: Evidence) -> float:
        """Weighted variance of the ratings; 0 where there is none.

        Signals carry one rating each, so the sum of their squares follows from the two other sums.
        """
        n, s = self.sums(evidence)
        if not n:
            return 0.0
        q = (
            self.explicit * evidence.explicit_q
            + self.self_eval * evidence.self_q
            + self.implicit * evidence.implicit_q
            + self.thumbs_up * _square(evidence.thumbs_up_n, evidence.thumbs_up_s)
            + self.thumbs_down * _square(evidence.thumbs_down_n, evidence.thumbs_down_s)
            + self.regenerate * _square(evidence.regenerate_n, evidence.regenerate_s)
            + self.copy * _square(evidence.copy_n, evidence.copy_s)
            + self.continued * _square(evidence.continue_n, evidence.continue_s)
            + self.abandon * _square(evidence.abandon_n, evidence.abandon_s)
        )
        return max(q / n - (s / n) ** 2, 0.0)


DEFAULT_WEIGHTS = Weights()


def weights(policy: RoutingPolicy) -> Weights:
    """The weights of a policy over the default ones.

    A weight for a type stands for its signals too, unless they are named. CONTINUE only counts by its own
    name: whoever goes on has hardly said anything.
    """
    named = policy.feedback_weights
    if not named:
        return DEFAULT_WEIGHTS
    explicit = named.get("EXPLICIT", DEFAULT_WEIGHTS.explicit)
    implicit = named.get("IMPLICIT", DEFAULT_WEIGHTS.implicit)
    return Weights(
        explicit=named.get("SCORE", explicit),
        thumbs_up=named.get("THUMBS_UP", explicit),
        thumbs_down=named.get("THUMBS_DOWN", explicit),
        self_eval=named.get("EVALUATION", named.get("SELF_EVAL", DEFAULT_WEIGHTS.self_eval)),
        implicit=implicit,
        regenerate=named.get("REGENERATE", implicit),
        copy=named.get("COPY", implicit),
        continued=named.get("CONTINUE", DEFAULT_WEIGHTS.continued),
        abandon=named.get("ABANDON", implicit),
    )


def _square(n: float, s: float) -> float:
    return s * s / n if n > 0 else 0.0
