"""What a replica answers from what it was told."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from imrs_client import (
    FailedPrecondition,
    ImrsClient,
    InvalidArgument,
    NoSnapshot,
    OnlyOnServer,
    Replica,
    Unavailable,
    v1,
)
from imrs_client.ids import time_of
from imrs_client.ranked import Policy, RemovedBy
from tests.support.tables import table
from tests.unit.client.replica.conftest import FAIR, GOOD, Played
from tests.unit.transport.test_snapshots import AGENT, content


def test_it_answers_as_route_does_and_says_where_from(replica: Replica) -> None:
    made = replica.route(task_type="code", request_id="r")
    assert (made.selected.model_id, [each.model_id for each in made.fallbacks]) == ("p/good", ["q/fair"])
    assert (made.reason, made.candidates_total, made.candidates_eligible) == (v1.Decision.SCORE, 2, 2)
    assert (made.tenant_id, made.agent_id, made.request_id) == (str(AGENT.tenant_id), "bot", "r")
    assert (made.index_revision, made.stale, made.propensity) == (5, False, None)
    assert 0 <= made.age_seconds < 30
    assert time_of(made.decision_id) == made.create_time
    assert made.task == v1.TaskDetection(
        task_type="code", confidence=v1.TaskDetection.HIGH, source=v1.TaskDetection.REQUEST
    )
    proto = made.to_proto()
    assert (proto.decision_id, proto.selected, proto.index_revision) == (made.decision_id, made.selected, 5)
    assert not proto.HasField("propensity")
    assert "p/good SCORE revision=5" in repr(made)


def test_ids_are_of_one_decision_each(replica: Replica) -> None:
    assert len({replica.route(task_type="code").decision_id for _ in range(100)}) == 100


def test_a_request_or_its_fields_are_the_same(replica: Replica) -> None:
    request = v1.RouteRequest(required_capabilities=["text"], max_fallbacks=0, request_id="r")
    for made in (
        replica.route(request),
        replica.route(request),
        replica.route(required_capabilities=["text"], max_fallbacks=0, request_id="r"),
    ):
        assert (made.selected.model_id, len(made.fallbacks), made.request_id) == ("p/good", 0, "r")
    assert replica.route(message="review this python script").task.task_type == "code"
    warm = v1.Parameters(temperature=0.5)
    assert replica.route(parameters=warm).selected.parameters.temperature == 0.5
    assert not replica.route().selected.parameters.HasField("temperature")


def test_what_no_model_passes_is_refused_with_the_filters_that_removed_them(replica: Replica) -> None:
    with pytest.raises(FailedPrecondition) as raised:
        replica.route(required_capabilities=["vision"])
    assert raised.value.reason == "NO_ELIGIBLE_MODEL"
    assert raised.value.metadata == {"agent_id": "bot", str(RemovedBy.CAPABILITY): "2"}


def test_what_the_server_would_refuse_is_refused(replica: Replica) -> None:
    def fields(request: v1.RouteRequest | None = None, **given: Any) -> set[str]:
        with pytest.raises(InvalidArgument) as raised:
            replica.route(request, **given)
        assert raised.value.reason == "INVALID_REQUEST"
        return {each.field for each in raised.value.violations}

    assert fields(agent_id="other") == {"agent_id"}
    assert fields(tenant_id="22222222-2222-7222-8222-222222222222") == {"tenant_id"}
    assert fields(task_type="No", min_context_length=-1, max_fallbacks=101, max_latency_ms=0) == {
        "task_type",
        "min_context_length",
        "max_fallbacks",
        "max_latency_ms",
    }
    assert fields(v1.RouteRequest(model_type=77)) == {"model_type"}  # type: ignore[arg-type]  # unknown
    with pytest.raises(Unavailable) as raised:
        replica.route(min_revision=6)
    assert raised.value.reason == "REVISION_NOT_REACHED"
    assert replica.route(min_revision=5, agent_id="bot").index_revision == 5


def test_a_task_type_that_is_not_sent_is_the_servers(played: Played, replica: Replica) -> None:
    played.say_whole(content({"*": table(GOOD)}, omitted_task_types=("poetry",)), 6)
    assert replica.wait_for_revision(6, 20)
    with pytest.raises(OnlyOnServer, match=r"client\.choose"):
        replica.route(task_type="poetry")
    assert replica.route(task_type="code").selected.model_id == "p/good"


def test_chance_draws_from_what_the_request_says(played: Played, replica: Replica) -> None:
    policy = Policy(exploration_rate=1.0, cheaper_when_similar=False)
    played.say_whole(content({"*": table(GOOD, replace(FAIR, estimate=0.5), policy=policy)}), 6)
    assert replica.wait_for_revision(6, 20)

    def chosen(**fields: Any) -> set[str]:
        return {replica.route(task_type="code", **fields).selected.model_id for _ in range(60)}

    assert chosen() == {"p/good", "q/fair"}
    assert len(chosen(seed=3)) == len(chosen(request_id="r")) == 1
    assert replica.route().propensity is not None


def test_before_anything_is_known_it_says_what_to_do(client: ImrsClient) -> None:
    replica = Replica(client)
    with pytest.raises(NoSnapshot, match="wait_until_ready"):
        replica.route(task_type="code")
    with pytest.raises(TimeoutError, match="no snapshot"):
        replica.wait_until_ready(0.01)
    assert (replica.status.revision, replica.status.age_seconds, replica.status.stale) == (0, math.inf, True)


def test_before_anything_is_known_the_default_model_answers(played: Played, client: ImrsClient) -> None:
    with Replica(client, "bot", default_model="ollama/llama3/8b") as replica:
        made = replica.route(message="review this python script")
        assert (made.selected.model_id, made.selected.external_id) == ("ollama/llama3/8b", "llama3/8b")
        assert (made.reason, made.stale, made.index_revision) == (v1.Decision.DEFAULT, True, 0)
        assert (made.task.task_type, made.age_seconds, list(made.fallbacks)) == ("code", math.inf, [])
        with pytest.raises(NoSnapshot):
            replica.route(excluded_models=["ollama/*"])
        with pytest.raises(Unavailable):
            replica.route(min_revision=1)
        played.say_whole()
        replica.wait_until_ready(20)
        assert replica.route().selected.model_id == "p/good"
    with pytest.raises(ValueError, match="provider_id/external_id"):
        Replica(client, default_model="llama3")
