"""Endpoints that go while a call is about to be sent to them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imrs_client.query import Query
from imrs_server.adapters.network import Deadline
from imrs_server.domain.chat import ChatMessage
from imrs_server.domain.completion import AttemptFailed, CompletionQuery
from imrs_server.domain.decision import RouteQuery
from imrs_server.domain.endpoint import Endpoint, EndpointState
from imrs_server.domain.errors import ProviderUnavailable
from imrs_server.index.warm import Index
from imrs_server.storage.database import Database
from imrs_server.use_cases.route import Router
from tests.support.completions import without_keys
from tests.support.principals import agent
from tests.support.state import PROVIDER, model, state

if TYPE_CHECKING:
    from imrs_server.index.state import State


def known(*endpoints: Endpoint, revision: int) -> State:
    provider = replace(PROVIDER, dialect="vllm", api_base="http://127.0.0.1:9/v1", key_version=None)
    places = {"p/m": endpoints} if endpoints else {}
    return state(model("m"), providers={"p": provider}, endpoints=places, revision=revision)


def test_a_model_whose_endpoints_went_is_not_asked_for_again_and_again() -> None:
    down = Endpoint(
        endpoint_id="e", model_id="p/m", base_url="http://127.0.0.1:9/v1", state=EndpointState.DOWN
    )
    database = Database("postgresql://nobody@127.0.0.1:9/none")
    index = Index()
    index.confirm(known(down, revision=7))
    completions = without_keys(database, index, Router(index, lambda _decision: None))
    query = CompletionQuery(
        route=RouteQuery(task_type="code", query=Query()),
        messages=(ChatMessage(role="user", content="Hello"),),
    )
    events = completions.complete(agent("a"), query, Deadline(30))
    next(events)
    assert isinstance(next(events), AttemptFailed)
    # It would be called all the same, as there is no other; but now it is gone.
    index.confirm(known(revision=8))
    assert isinstance(next(events), AttemptFailed)
    with pytest.raises(ProviderUnavailable):
        next(events)
