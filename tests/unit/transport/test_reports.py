"""What a client may report of its decisions."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest

from imrs_client import v1 as pb
from imrs_client.ids import new_id, time_of
from imrs_client.query import Query
from imrs_server.domain.decision import record
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.principal import Principal, Role
from imrs_server.transport.convert import reports, routes

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.decision import Decision

HERE = UUID(int=7)
CALLER = Principal(subject="a", tenant_id=HERE, roles=frozenset({Role.AGENT}), agent_id="a")


def report(**fields: Any) -> pb.Decision:
    decision_id = new_id()
    found = pb.Decision(
        decision_id=str(decision_id),
        task=pb.TaskDetection(
            task_type="code", confidence=pb.TaskDetection.LOW, source=pb.TaskDetection.NONE
        ),
        selected=pb.SelectedModel(model_id="p/high"),
        reason=pb.Decision.SCORE,
    )
    found.create_time.FromMilliseconds(decision_id.int >> 80)
    found.MergeFrom(pb.Decision(**fields))
    return found


def test_who_is_not_named_is_the_caller() -> None:
    told = report()
    made = reports.decision(told, CALLER)
    assert (made.tenant_id, made.agent_id) == (HERE, "a")
    assert made.create_time == time_of(told.decision_id)
    named = reports.decision(report(tenant_id=str(UUID(int=8)), agent_id="b"), CALLER)
    assert (named.tenant_id, named.agent_id) == (UUID(int=8), "b")


def test_what_route_answered_can_be_reported() -> None:
    told = report(request_id="r", index_revision=3, stale=True, propensity=0.5, candidates_total=2)
    made = reports.decision(told, CALLER)
    again = routes.to_proto(made)
    assert reports.decision(again, CALLER).create_time == made.create_time
    assert (again.request_id, again.index_revision, again.stale, again.propensity) == ("r", 3, True, 0.5)
    assert not reports.decision(report(), CALLER).stale


def batch(
    *decisions: pb.Decision, numbers: tuple[int, ...] = (), **request: Any
) -> pb.RecordDecisionsRequest:
    """Reports with one context, in which so much was asked."""
    context = pb.DecisionContext(
        request=pb.RouteRequest(**request), propensities={"p/high": 0.75, "p/mid": 0.25}
    )
    return pb.RecordDecisionsRequest(decisions=decisions, contexts=[context], context_numbers=numbers)


def with_context(told: pb.Decision, **request: Any) -> Decision:
    [context] = reports.contexts(batch(told, numbers=(1,), **request))
    return reports.decision(told, CALLER, context)


def test_what_was_asked_is_taken_over_without_its_text() -> None:
    told = report(task=pb.TaskDetection(required_capabilities=["vision"]))
    made = with_context(
        told, roles=["r"], agent_class="gold", conversation_id="c", message="secret", tools_used=["secret"]
    )
    assert made.query == Query(roles=frozenset({"r"}), capabilities=("vision",), conversation_id="c")
    assert (made.agent_class, made.conversation_id) == ("gold", "c")
    assert "secret" not in str(record(made))
    assert record(made).conversation_id == "c"


def test_what_is_not_told_is_not_taken_for_nothing() -> None:
    told = report()
    for request in (batch(told), batch(told, numbers=(0,)), pb.RecordDecisionsRequest(decisions=[told])):
        [context] = reports.contexts(request)
        assert reports.decision(told, CALLER, context).query is None
    assert with_context(told).query == Query()


def test_what_was_drawn_from_is_the_seed_or_the_name_of_the_request() -> None:
    drawn = report(propensity=0.75, request_id="r")
    assert with_context(drawn).query == Query(chance="r")
    assert with_context(drawn, seed=3).query == Query(chance="seed 3")
    assert with_context(drawn).propensities == {"p/high": 0.75, "p/mid": 0.25}
    certain = with_context(report(request_id="r"))
    assert (certain.query, certain.propensities) == (Query(), {})


def test_a_context_that_is_none_costs_nothing_but_itself() -> None:
    told = report()
    request = batch(told, told, numbers=(1, 2), required_capabilities=["Not a word"])
    request.contexts.add(request=pb.RouteRequest(model_type=99))  # type: ignore[arg-type]  # of a later version
    assert reports.contexts(request) == [None, None]
    request.contexts[0].CopyFrom(pb.DecisionContext(propensities={"p/high": 2.0}))
    assert reports.contexts(request) == [None, None]


@pytest.mark.parametrize("numbers", [(1,), (1, 1, 1), (1, 2)])
def test_numbers_that_do_not_fit_are_refused(numbers: tuple[int, ...]) -> None:
    with pytest.raises(InvalidRequest, match="context_numbers"):
        reports.contexts(batch(report(), report(), numbers=numbers))


def edit(name: str, value: Any) -> Callable[[pb.Decision], None]:
    def change(told: Any) -> None:
        *parents, last = name.split(".")
        for parent in parents:
            told = getattr(told, parent)
        setattr(told, last, value)

    return change


def without(name: str) -> Callable[[pb.Decision], None]:
    return lambda told: told.ClearField(name)  # type: ignore[arg-type]


def at(time: datetime) -> Callable[[pb.Decision], None]:
    return lambda told: told.create_time.FromDatetime(time)


BAD: dict[str, tuple[str, Callable[[pb.Decision], object]]] = {
    "no id": ("decision_id", without("decision_id")),
    "an id that is none": ("decision_id", edit("decision_id", "x")),
    "an id without a time": ("create_time", edit("decision_id", str(uuid4()))),
    "no time": ("create_time", without("create_time")),
    "another time": ("create_time", at(datetime(2026, 1, 1, tzinfo=UTC))),
    "a time out of all ranges": ("create_time", edit("create_time.seconds", 2**62)),
    "no task": ("task", without("task")),
    "a task type that is none": ("task.task_type", edit("task.task_type", "Code!")),
    "no confidence": ("task.confidence", edit("task.confidence", 0)),
    "a confidence that is none": ("Confidence", edit("task.confidence", 99)),
    "no model": ("selected", without("selected")),
    "a model that is none": ("selected.model_id", edit("selected.model_id", "high")),
    "a score that is none": ("selected.score", edit("selected.score", float("nan"))),
    "a fallback without a model": ("fallbacks.model_id", lambda told: told.fallbacks.add()),
    "too many fallbacks": (
        "fallbacks",
        lambda told: told.fallbacks.extend([pb.SelectedModel(model_id="p/m")] * 101),
    ),
    "no reason": ("reason", without("reason")),
    "a reason that is none": ("Reason", edit("reason", 99)),
    "a chance that is none": ("propensity", edit("propensity", 1.5)),
    "fewer than no candidates": ("candidates_total", edit("candidates_total", -1)),
    "a revision before the first": ("index_revision", edit("index_revision", -1)),
    "a request id of control characters": ("request_id", edit("request_id", "a\0")),
    "an agent that is none": ("agent_id", edit("agent_id", "-")),
    "a tenant that is none": ("tenant_id", edit("tenant_id", "me")),
}


@pytest.mark.parametrize("name", BAD)
def test_what_route_could_not_have_said_is_refused(name: str) -> None:
    field, change = BAD[name]
    told = report()
    change(told)
    with pytest.raises(InvalidRequest) as raised:
        reports.decision(told, CALLER)
    assert field in {each.field for each in raised.value.violations}
