"""Which endpoint is named to whom."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from imrs_server.domain.endpoint import Endpoint, EndpointState, preferred


def endpoint(name: str, **fields: object) -> Endpoint:
    known = {
        "endpoint_id": name,
        "model_id": "p/m",
        "base_url": f"http://{name}/v1",
        "state": EndpointState.HOT,
    }
    return Endpoint(**(known | fields))  # type: ignore[arg-type]


CALLERS = [f"tenant/agent-{number}" for number in range(4000)]


def named(*endpoints: Endpoint) -> list[str]:
    found = [preferred(endpoints, who) for who in CALLERS]
    return [each.endpoint_id for each in found if each is not None]


def test_nobody_is_named_where_there_is_none() -> None:
    assert preferred((), "somebody") is None


def test_of_many_callers_each_endpoint_gets_its_weight() -> None:
    counts = Counter(named(endpoint("one"), endpoint("two", weight=3)))
    assert counts["two"] / len(CALLERS) == pytest.approx(0.75, abs=0.03)


def test_when_one_goes_only_its_own_callers_move() -> None:
    places = [endpoint("one"), endpoint("two"), endpoint("three")]
    before, after = named(*places), named(*places[:2])
    assert all(old == new for old, new in zip(before, after, strict=True) if old != "three")


def test_who_can_serve_sooner_comes_first() -> None:
    states = [endpoint(each.value, state=each) for each in reversed(EndpointState)]
    while states:
        soonest = states[-1]
        assert set(named(*states)) == {soonest.endpoint_id}
        states.pop()
    assert set(named(replace(endpoint("down"), state=EndpointState.DOWN))) == {"down"}
