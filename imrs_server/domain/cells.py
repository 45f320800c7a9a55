"""Evidence of many models for one task, a few packed bytes for each: the index holds millions of them.

The bytes are as the database sends them, big-endian, and become arrays only where a table is made. Sums that
decay are held as four-byte floats, good for seven digits; those of the plain average in full.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from imrs_server.domain.evidence import Decay, Weights

Floats: TypeAlias = "NDArray[np.float64]"
Numbers: TypeAlias = "NDArray[np.int64]"
"""Models by number: any injective one will do, as long as all evidence is numbered alike."""

# Most ratings are explicit ones. What else there may be costs only where there is some: the calls of an agent
# and task of which one was recorded, and the other ratings of a model that has some.
COMMON = np.dtype(
    [
        ("model", ">i8"), ("last_time", ">i4"), ("raw_n", ">i4"), ("raw_s", ">f8"), ("explicit_n", ">f4"),
        ("explicit_s", ">f4"), ("explicit_q", ">f4"), ("decisions", ">f4"),
    ]
)  # fmt: skip
SERVED = np.dtype([("calls", ">f4"), ("errors", ">f4"), ("latency_n", ">f4"), ("latency_ms_sum", ">f4")])
RARE_SUMS = (
    "thumbs_up_n", "thumbs_up_s", "thumbs_down_n", "thumbs_down_s", "self_n", "self_s", "self_q",
    "implicit_n", "implicit_s", "implicit_q", "regenerate_n", "regenerate_s", "copy_n", "copy_s",
    "continue_n", "continue_s", "abandon_n", "abandon_s",
)  # fmt: skip
RARE = np.dtype([("model", ">i8"), *((name, ">f4") for name in RARE_SUMS)])

# A vote that was taken back may leave a rounding error behind, which is no rating.
_ROUNDING = 1e-6

# How a kind of rating is called among the weights.
_KINDS = {
    "thumbs_up": "thumbs_up",
    "thumbs_down": "thumbs_down",
    "self": "self_eval",
    "implicit": "implicit",
    "regenerate": "regenerate",
    "copy": "copy",
    "continue": "continued",
    "abandon": "abandon",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Evidence as it is read by weights at a time, one entry a model.

    ``n`` and ``s`` are the weighted count and sum of ratings, ``variance`` theirs, 0 without any. ``raw_n``
    and ``raw_s`` never decay. ``errors`` and ``latency_ms_sum`` only make sense as shares of what they sum.
    """

    n: Floats
    s: Floats
    variance: Floats
    raw_n: Floats
    raw_s: Floats
    decisions: Floats
    calls: Floats
    errors: Floats
    latency_n: Floats
    latency_ms_sum: Floats


FIGURES = tuple(Figures.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class Cells:
    """The evidence of one agent and task, or of a tenant and task.

    ``common`` are rows of COMMON, ``served`` rows of SERVED for the same models, or none, and ``rare`` rows
    of RARE for some of them. Times are seconds since 2026.
    """

    common: bytes = b""
    served: bytes = b""
    rare: bytes = b""

    @property
    def newest(self) -> int:
        """When the newest of its sums was made; 0 without any."""
        times = np.frombuffer(self.common, COMMON)["last_time"]
        return int(times.max()) if len(times) else 0

    def figures(self, models: Numbers, weigh: Weights, decay: Decay) -> Figures:
        """What is known of some models, in their order; zeros where nothing is."""
        read = _read_once if len(self.common) > MANY_BYTES else Cells.read
        numbers, known = read(self, weigh, decay)
        columns = (getattr(known, name) for name in FIGURES)
        return Figures(**dict(zip(FIGURES, look_up(models, numbers, columns), strict=True)))

    def read(self, weigh: Weights, decay: Decay) -> tuple[Numbers, Figures]:
        """All models of which something is known, rising, and what.

        Sums of floats depend on the order of their parts, and the database has none: this one is the same
        on every server.
        """
        common = np.frombuffer(self.common, COMMON)
        rising = np.argsort(common["model"].astype(np.int64))
        common = common[rising]
        served = np.frombuffer(self.served, SERVED)[rising] if self.served else np.zeros(len(common), SERVED)
        rare = np.zeros(len(common), RARE)
        if self.rare:
            some = np.frombuffer(self.rare, RARE)
            rare[np.searchsorted(common["model"], some["model"])] = some
        n, s, q = (weigh.explicit * common[f"explicit_{sum_}"].astype(np.float64) for sum_ in "nsq")
        if self.rare:
            for kind, name in _KINDS.items():
                weight: float = getattr(weigh, name)
                kind_n, kind_s = (rare[f"{kind}_{sum_}"].astype(np.float64) for sum_ in "ns")
                n += weight * kind_n
                s += weight * kind_s
                q += weight * _squares(rare, kind, kind_n, kind_s)
        rated = n > _ROUNDING
        counted = np.where(rated, n, 1.0)
        left = decay.factors(common["last_time"].astype(np.float64))
        return common["model"].astype(np.int64), Figures(
            n=np.where(rated, n * left, 0.0),
            s=np.where(rated, s * left, 0.0),
            variance=np.where(rated, np.maximum(q / counted - (s / counted) ** 2, 0.0), 0.0),
            raw_n=common["raw_n"].astype(np.float64),
            raw_s=common["raw_s"].astype(np.float64),
            decisions=np.maximum(common["decisions"] * left, 0.0),
            calls=served["calls"] * left,
            errors=served["errors"] * left,
            latency_n=served["latency_n"] * left,
            latency_ms_sum=served["latency_ms_sum"] * left,
        )


# A tenant's evidence is read for the tables of all its agents.
MANY_BYTES = 20_000


@lru_cache(maxsize=32)
def _read_once(cells: Cells, weigh: Weights, decay: Decay) -> tuple[Numbers, Figures]:
    return cells.read(weigh, decay)


def look_up(wanted: Numbers, rising: Numbers, columns: Iterable[Floats]) -> Iterator[Floats]:
    """The entries of columns whose models are wanted, in that order; 0 for a model that is not there."""
    if not len(rising):
        yield from (np.zeros(len(wanted)) for _ in columns)
        return
    at = np.minimum(np.searchsorted(rising, wanted), len(rising) - 1)
    found = rising[at] == wanted
    yield from (each[at] * found for each in columns)


def _squares(rare: NDArray[Any], kind: str, n: Floats, s: Floats) -> Floats:
    """Sums of squares. A signal carries one rating, so its squares follow from its two other sums."""
    if f"{kind}_q" in RARE_SUMS:
        squares: Floats = rare[f"{kind}_q"].astype(np.float64)
        return squares
    return np.divide(s * s, n, out=np.zeros_like(n), where=n > 0)


NO_CELLS = Cells()
