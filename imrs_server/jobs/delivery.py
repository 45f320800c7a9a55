"""One round of deliveries: which items arrive, which are bad, and whether anybody is there at all.

A batch that is not taken is halved until the item is found that spoils it. An item is blamed only while
others arrive: as long as nothing does, it is the other side that is away, and nothing is held against items.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from imrs_server.adapters.somabrain import Away, BatchFailed, BatchRefused
from imrs_server.storage.outbox import Claimed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imrs_server.adapters.somabrain import Rejection

_REFUSED_IN_A_ROW = 10


@dataclass(slots=True, kw_only=True)
class Round:
    """What became of the items of one round, each in exactly one list."""

    arrived: list[Claimed] = field(default_factory=list)
    bad: list[tuple[Claimed, str]] = field(default_factory=list)
    failed: list[tuple[Claimed, str]] = field(default_factory=list)
    left: list[Claimed] = field(default_factory=list)
    """Not tried to the end, for no fault of theirs."""
    away: Away | None = None


def deliver(
    items: Sequence[Claimed],
    send: Callable[[Sequence[Claimed]], Mapping[str, Rejection]],
    go_on: Callable[[], bool] = lambda: True,
) -> Round:
    """Send items, one batch a tenant, as long as ``go_on`` says so.

    ``send`` gets items of one tenant, returns those that were rejected by key, and raises BatchRefused,
    BatchFailed and Away.
    """
    found = Round()
    waiting = deque(_batches(items))
    # Halving a batch down to one item fails this often in a row before its neighbour is tried.
    patience = len(items).bit_length() + 2
    in_a_row = 0
    while waiting and found.away is None and go_on():
        batch = waiting.popleft()
        try:
            rejected = send(batch)
        except Away as away:
            found.away = away
            waiting.appendleft(batch)
        except (BatchRefused, BatchFailed) as trouble:
            if len(batch) > 1:
                middle = len(batch) // 2
                waiting.extendleft((batch[middle:], batch[:middle]))
            elif isinstance(trouble, BatchRefused):
                found.bad.append((batch[0], trouble.detail))
            else:
                found.failed.append((batch[0], trouble.detail))
            in_a_row += isinstance(trouble, BatchFailed)
            if in_a_row > patience or (not found.arrived and len(found.bad) >= _REFUSED_IN_A_ROW):
                found.away = Away(trouble.detail)
        else:
            in_a_row = 0
            _sort(batch, rejected, found)
    found.left += [each for batch in waiting for each in batch]
    if found.failed and not found.arrived and found.away is None:
        found.away = Away(found.failed[0][1])
    return _without_blame(found) if found.away and not found.arrived else found


def _batches(items: Sequence[Claimed]) -> list[list[Claimed]]:
    by_tenant = sorted(items, key=lambda each: each.tenant_id)
    return [list(batch) for _, batch in groupby(by_tenant, key=lambda each: each.tenant_id)]


def _sort(batch: Sequence[Claimed], rejected: Mapping[str, Rejection], found: Round) -> None:
    for each in batch:
        why = rejected.get(each.key)
        if why is None:
            found.arrived.append(each)
        elif why.again:
            found.failed.append((each, why.detail))
        else:
            found.bad.append((each, why.detail))


def _without_blame(found: Round) -> Round:
    blamed = [each for each, _ in (*found.bad, *found.failed)]
    return Round(left=[*found.left, *blamed], away=found.away)
