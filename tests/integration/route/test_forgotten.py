"""What a server remembers of models and endpoints does not outlive them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.vault import Vault
from imrs_server.domain.chat import ChatFailure, FailureKind
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.endpoint import Endpoint
from imrs_server.index.warm import Index
from imrs_server.storage.database import Database
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.loading import Loading
from imrs_server.use_cases.pool import Pool
from tests.support.clock import Clock
from tests.support.state import model, state

if TYPE_CHECKING:
    from imrs_server.index.state import State

NOWHERE = Database("postgresql://nobody@127.0.0.1:9/none")


def knowing(found: State) -> Index:
    index = Index()
    index.confirm(found)
    return index


def endpoint(name: str) -> Endpoint:
    return Endpoint(endpoint_id=name, model_id="p/m", base_url=f"http://127.0.0.1:9/{name}")


def test_endpoints_that_are_gone_are_forgotten_once_their_calls_have_ended() -> None:
    here, there = endpoint("here"), endpoint("there")
    index = knowing(state(model("m"), endpoints={"p/m": (here, there)}))
    vault = Vault("http://127.0.0.1:9", role_id=str, secret_id=str)
    pool = Pool(index, Loading(NOWHERE, vault, GuardedClient()), Breakers(NOWHERE, index))
    for each in (here, there):
        pool.begin(each.endpoint_id)
    pool.end("here")
    assert pool.take_news() == {"here": 0, "there": 1}

    index.confirm(state(model("m"), endpoints={"p/m": (here,)}, revision=8))

    assert pool.take_news() == {"there": 1}
    pool.end("there")
    assert pool.take_news() == {"there": 0}
    assert pool.take_news() == {}
    assert pool._loads.keys() == {"here"}


def test_how_long_a_model_takes_is_forgotten_with_it() -> None:
    clock = Clock()
    index = knowing(state(model("m"), model("n")))
    breakers = Breakers(NOWHERE, index, clock=clock)
    for name in ("p/m", "p/n"):
        breakers.succeeded(breakers.begin(SelectedModel(model_id=name, provider_id="p"), own_key=False))
    breakers.forget()
    assert breakers._usual_seconds.keys() == {"p/m", "p/n"}
    index.confirm(state(model("n"), revision=8))
    breakers.forget()
    assert breakers._usual_seconds.keys() == {"p/n"}


@pytest.mark.parametrize("kind", [FailureKind.OVERLOADED, FailureKind.RATE_LIMITED])
def test_what_is_over_is_forgotten_too(kind: FailureKind) -> None:
    clock = Clock()
    breakers = Breakers(NOWHERE, knowing(state(model("m"))), clock=clock)
    trial = breakers.begin(SelectedModel(model_id="p/m", provider_id="p"), own_key=False)
    breakers.failed(trial, ChatFailure(kind, "no", retry_after_seconds=None))
    breakers.forget()
    assert {**breakers._tallies, **breakers._own}
    clock.pass_by(301)
    breakers.forget()
    assert not {**breakers._tallies, **breakers._own}
