"""One round of deliveries: who is blamed for what, and who never is."""

from __future__ import annotations

from itertools import count
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.adapters.somabrain import Away, BatchFailed, BatchRefused, Rejection
from imrs_server.jobs.delivery import Round, deliver
from imrs_server.storage.outbox import Claimed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Fault = type[BatchFailed] | type[BatchRefused]


def claimed(number: int, tenant: int = 1) -> Claimed:
    return Claimed(
        tenant_id=UUID(int=tenant), item_id=UUID(int=number), key=str(number), payload={}, attempts=0
    )


ITEMS = [claimed(number) for number in range(100)]


class Sink:
    """Takes batches without the keys of ``spoilt``, and remembers what it was sent."""

    def __init__(self, spoilt: Mapping[str, Fault] | None = None) -> None:
        self._spoilt = spoilt or {}
        self.batches: list[list[Claimed]] = []
        self.taken: list[str] = []

    def __call__(self, items: Sequence[Claimed]) -> Mapping[str, Rejection]:
        self.batches.append(list(items))
        for each in items:
            if each.key in self._spoilt:
                raise self._spoilt[each.key]("no")
        self.taken += [each.key for each in items]
        return {}


def keys(items: Sequence[Claimed]) -> set[str]:
    return {each.key for each in items}


def blamed(found: Round) -> set[str]:
    return {each.key for each, _ in (*found.bad, *found.failed)}


def test_a_good_batch_is_one_request() -> None:
    sink = Sink()
    assert deliver(ITEMS, sink).arrived == ITEMS
    assert len(sink.batches) == 1


@pytest.mark.parametrize("fault", [BatchRefused, BatchFailed])
@pytest.mark.parametrize("place", [0, 1, 42, 98, 99])
def test_one_spoilt_item_is_found_and_the_others_arrive(place: int, fault: Fault) -> None:
    sink = Sink({str(place): fault})
    found = deliver(ITEMS, sink)
    assert keys(found.arrived) == keys(ITEMS) - {str(place)}
    assert blamed(found) == {str(place)}
    assert [each for each, _ in found.bad] == ([ITEMS[place]] if fault is BatchRefused else [])
    assert found.away is None
    assert len(sink.batches) <= 15


@given(
    spoilt=st.dictionaries(st.sampled_from(sorted(keys(ITEMS))), st.sampled_from([BatchRefused, BatchFailed]))
)
def test_every_item_ends_in_one_place_and_nobody_is_blamed_for_another(spoilt: dict[str, Fault]) -> None:
    sink = Sink(spoilt)
    found = deliver(ITEMS, sink)
    ends = [*found.arrived, *(each for each, _ in (*found.bad, *found.failed)), *found.left]
    assert sorted(each.key for each in ends) == sorted(keys(ITEMS))
    assert sorted(sink.taken) == sorted(keys(found.arrived))
    assert blamed(found) <= spoilt.keys()


@pytest.mark.parametrize("fault", [BatchRefused, BatchFailed])
def test_who_takes_nothing_is_away_and_no_item_is_blamed(fault: Fault) -> None:
    sink = Sink({each.key: fault for each in ITEMS})
    found = deliver(ITEMS, sink)
    assert found.away is not None
    assert keys(found.left) == keys(ITEMS)
    assert blamed(found) == set()
    assert len(sink.batches) < 30


def test_a_lone_item_over_which_it_fails_is_not_blamed_before_others_arrive() -> None:
    found = deliver(ITEMS[:1], Sink({"0": BatchFailed}))
    assert found.left == ITEMS[:1]
    assert found.away is not None


def test_a_lone_item_that_it_refuses_is_bad() -> None:
    found = deliver(ITEMS[:1], Sink({"0": BatchRefused}))
    assert found.bad == [(ITEMS[0], "no")]
    assert found.away is None


def test_rounds_in_another_order_get_past_neighbours_that_all_fail() -> None:
    chance = Random(7)
    spoilt: dict[str, Fault] = {str(number): BatchFailed for number in range(20)}
    waiting, blame = list(ITEMS), set[str]()
    for rounds in count(1):
        chance.shuffle(waiting)
        found = deliver(waiting, Sink(spoilt))
        blame |= blamed(found)
        waiting = found.left
        if not waiting:
            break
        assert rounds < 50
    assert blame == spoilt.keys()


def test_away_ends_the_round_and_what_arrived_before_has_arrived() -> None:
    two = [claimed(1, tenant=1), claimed(2, tenant=2), claimed(3, tenant=3)]
    away = Away("later", 7.0)

    def send(items: Sequence[Claimed]) -> Mapping[str, Rejection]:
        if items[0].key == "2":
            raise away
        return {}

    found = deliver(two, send)
    assert (keys(found.arrived), keys(found.left)) == ({"1"}, {"2", "3"})
    assert found.away is away


def test_each_tenant_has_a_request_of_its_own() -> None:
    sink = Sink()
    deliver([claimed(number, tenant=number % 3) for number in range(9)], sink)
    assert [{each.tenant_id.int for each in batch} for batch in sink.batches] == [{0}, {1}, {2}]


def test_single_items_may_be_rejected_in_a_batch_that_is_taken() -> None:
    why = {"1": Rejection("bad"), "2": Rejection("busy", again=True)}
    found = deliver(ITEMS[:4], lambda _: why)
    assert keys(found.arrived) == {"0", "3"}
    assert found.bad == [(ITEMS[1], "bad")]
    assert found.failed == [(ITEMS[2], "busy")]


def test_it_ends_between_requests_when_it_shall() -> None:
    may = iter([True, False])
    found = deliver([claimed(1, tenant=1), claimed(2, tenant=2)], Sink(), lambda: next(may))
    assert (keys(found.arrived), keys(found.left), found.away) == ({"1"}, {"2"}, None)
