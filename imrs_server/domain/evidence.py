"""How evidence is read: what each kind of rating counts, and what time leaves of it.

A sum decays by half in each half-life, forward (Cormode, Shkapenyuk, Srivastava and Xu 2009): it is kept as
of its newest event, so events may come in any order, and reading it at a later time is one factor for all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from imrs_server.domain.routing import RoutingPolicy

# A tenant's task types beyond these are counted together.
MAX_TASK_TYPES = 1000
OTHER_TASKS = "other"


@dataclass(frozen=True, slots=True)
class Decay:
    """How much sums count at a time, in seconds since 2026; a half-life of 0 is no decay."""

    time: float = 0.0
    half_life_seconds: float = 0.0

    def factors(self, last_times: NDArray[np.float64]) -> NDArray[np.float64]:
        """What is left of sums as of ``last_times``."""
        if self.half_life_seconds <= 0:
            return np.ones_like(last_times)
        factors: NDArray[np.float64] = 2.0 ** -(
            np.maximum(self.time - last_times, 0.0) / self.half_life_seconds
        )
        return factors


NO_DECAY = Decay()


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
