"""An endpoint: one of the places that serve a model, and what can be done with the model there."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import log
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class EndpointState(StrEnum):
    """HOT: the model is loaded. LOADING, COLD: not yet, not. DOWN: the place does not answer."""

    HOT = "HOT"
    LOADING = "LOADING"
    COLD = "COLD"
    DOWN = "DOWN"


_READINESS = {state: position for position, state in enumerate(EndpointState)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A row of ``endpoints``.

    ``base_url`` is where somebody said that it is, ``placed_url`` where the manager of a pool put the model,
    empty for there. ``ttl`` is the idle time after which the model is unloaded, None keeps it.

    ``in_flight`` are calls that run now, over all servers, as far as they were counted when it was read;
    ``memory_bytes`` is None where nobody says. ``busy`` is whether somebody loads or unloads it now.
    """

    endpoint_id: str
    model_id: str
    base_url: str
    placed_url: str = ""
    weight: int = 1
    state: EndpointState = EndpointState.COLD
    in_flight: int = 0
    ttl: timedelta | None = None
    memory_bytes: int | None = None
    load_error: str = ""
    last_used_time: datetime | None = None
    busy: bool = False
    version: int = 1

    @property
    def url(self) -> str:
        """Where it is called."""
        return self.placed_url or self.base_url

    @property
    def readiness(self) -> int:
        """The lower the sooner it can serve."""
        return _READINESS[self.state]


def preferred(endpoints: Iterable[Endpoint], who: str) -> Endpoint | None:
    """The endpoint that should serve ``who``: of those that can serve soonest one by weight, always the same.

    Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): of many callers each endpoint gets its
    share, and when one goes, only its own move.
    """
    return min(endpoints, key=lambda each: (each.readiness, _distance(each, who)), default=None)


def _distance(endpoint: Endpoint, who: str) -> float:
    digest = hashlib.blake2b(f"{who}\0{endpoint.endpoint_id}".encode(), digest_size=8).digest()
    share = (int.from_bytes(digest) + 1) / (2**64 + 1)
    return -log(share) / endpoint.weight
