"""RecordMessage, from the use case down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from imrs_client.ids import new_id, time_of
from imrs_server.domain.errors import (
    AgentMismatch,
    AgentNotFound,
    DecisionNotFound,
    IdempotencyMismatch,
    InvalidRequest,
    ModelNotFound,
    RoleRequired,
    TenantMismatch,
)
from imrs_server.domain.message import Outcome, Report
from imrs_server.storage.idempotency import Key
from tests.support.principals import ADMIN, PLATFORM, STRANGER, USER, agent
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from tests.integration.feedback.conftest import World


def test_what_is_left_out_comes_from_the_decision(world: World) -> None:
    decision_id = world.decide(conversation_id="c")

    message = world.record(agent("a"), decision_id=decision_id, latency_ms=1200)

    assert message.message_id == decision_id
    assert (message.agent_id, message.model_id, message.task_type) == ("a", "p/m", "code")
    assert (message.conversation_id, message.latency_ms, message.outcome) == ("c", 1200, Outcome.OK)
    assert message.partition_time == time_of(decision_id)
    assert world.message(decision_id)["token_count"] == 0


def test_what_is_said_wins_over_the_decision(world: World) -> None:
    decision_id, message_id = world.decide(), new_id()

    message = world.record(message_id=message_id, decision_id=decision_id, model_id="p/n", task_type="math")

    assert (message.message_id, message.decision_id) == (message_id, decision_id)
    assert (message.agent_id, message.model_id, message.task_type) == ("a", "p/n", "math")


def test_a_message_with_the_id_of_a_decision_is_linked_to_it(world: World) -> None:
    decision_id = world.decide()
    assert world.record(message_id=decision_id).decision_id == decision_id


def test_a_decision_that_is_still_in_the_log_is_written_out_first(world: World) -> None:
    decision_id = world.decide(landed=False)

    assert world.record(decision_id=decision_id).model_id == "p/m"
    assert world.flushes == 1


def test_a_decision_that_is_nowhere_is_missed_only_where_it_is_needed(world: World) -> None:
    with pytest.raises(DecisionNotFound):
        world.record(decision_id=new_id())
    assert world.record(decision_id=new_id(), agent_id="a", model_id="p/m").task_type == "general"
    assert len(world.query("select from messages")) == 1


def test_without_a_decision_agent_and_model_must_be_named_and_be_there(world: World) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.record()
    assert {each.field for each in caught.value.violations} == {"message.agent_id", "message.model_id"}
    with pytest.raises(AgentNotFound):
        world.called(agent_id="nobody")
    with pytest.raises(ModelNotFound):
        world.called(model_id="p/none")
    with pytest.raises(ModelNotFound):
        world.record(decision_id=world.decide(), model_id="p/none")
    assert world.query("select from messages") == []


def test_a_call_costs_what_its_tokens_cost_now(world: World) -> None:
    tokens = {"prompt_tokens": 1000, "completion_tokens": 100, "cached_tokens": 400}

    message = world.called(**tokens)

    assert message.cost_usd == Decimal("0.0024")
    stored = world.message(message.message_id)
    assert (stored["cost_usd"], stored["cost_priced"], stored["token_count"]) == (
        Decimal("0.0024"),
        True,
        1100,
    )


def test_an_agents_own_price_wins(world: World) -> None:
    world.insert("agent_models", input_price_usd=Decimal(1), output_price_usd=Decimal(1))
    assert world.called(prompt_tokens=1000, completion_tokens=1000).cost_usd == Decimal("0.002")


def test_an_unknown_price_is_unpriced_and_not_zero(world: World) -> None:
    message = world.called(model_id="p/n", prompt_tokens=1000)
    assert message.cost_usd is None
    assert not message.cost_priced


def test_the_same_report_again_is_the_stored_message(world: World) -> None:
    decision_id = world.decide()
    first = world.record(decision_id=decision_id, prompt_tokens=10)
    assert world.record(decision_id=decision_id, prompt_tokens=10) == first
    assert len(world.query("select from messages")) == 1


def test_a_better_report_wins_on_how_the_call_went(world: World) -> None:
    decision_id = world.decide()
    world.record(decision_id=decision_id)
    world.vote(decision_id, rating=0.75)

    again = world.record(
        decision_id=decision_id, outcome=Outcome.TIMEOUT, error_kind="timeout", prompt_tokens=1000
    )

    assert (again.outcome, again.error_kind, again.cost_usd) == (Outcome.TIMEOUT, "timeout", Decimal("0.002"))
    assert again.rating == 0.75
    stored = world.message(decision_id)
    assert (stored["outcome"], stored["prompt_tokens"], stored["rating"]) == ("TIMEOUT", 1000, 0.75)


def test_a_report_cannot_turn_a_call_into_another(world: World) -> None:
    message = world.called()
    with pytest.raises(InvalidRequest):
        world.called(message_id=message.message_id, model_id="p/n")
    with pytest.raises(AgentMismatch):
        world.record(agent("b"), message_id=message.message_id)


def test_an_agent_records_for_itself_only(world: World) -> None:
    with pytest.raises(AgentMismatch):
        world.record(agent("a"), agent_id="b", model_id="p/m")
    with pytest.raises(AgentMismatch):
        world.record(agent("b"), decision_id=world.decide())
    with pytest.raises(InvalidRequest):
        world.record(ADMIN, decision_id=world.decide(), agent_id="b")
    assert world.record(agent("b"), model_id="p/m").agent_id == "b"


def test_a_user_records_nothing(world: World) -> None:
    with pytest.raises(RoleRequired):
        world.record(USER, agent_id="a", model_id="p/m")


def test_tenants_do_not_meet(world: World) -> None:
    decision_id = world.decide()
    with pytest.raises(DecisionNotFound):
        world.record(STRANGER, decision_id=decision_id)
    with pytest.raises(TenantMismatch):
        world.record(STRANGER, HERE, decision_id=decision_id)
    with pytest.raises(InvalidRequest):
        world.record(PLATFORM, decision_id=decision_id)
    world.record(PLATFORM, HERE, decision_id=decision_id)
    world.record(STRANGER, message_id=decision_id, agent_id="a", model_id="p/n")
    assert {row["tenant_id"] for row in world.query("select tenant_id from messages")} == {HERE, ELSEWHERE}


def test_a_request_id_gets_the_first_answer_again(world: World) -> None:
    key = Key(method="RecordMessage", caller="ann", request_id="k", request_hash=bytes(32))
    report = Report(agent_id="a", model_id="p/m", prompt_tokens=1000)

    first = world.messages.record(ADMIN, None, report, key=key)

    assert world.messages.record(ADMIN, None, report, key=key) == first
    assert len(world.query("select from messages")) == 1
    with pytest.raises(IdempotencyMismatch):
        world.messages.record(
            ADMIN,
            None,
            report,
            key=replace(key, request_hash=bytes([1] * 32)),
        )


def test_one_id_is_one_message_however_many_record_it_at_once(world: World) -> None:
    message_id = UUID(int=77)
    with ThreadPoolExecutor(4) as pool:
        reports = [pool.submit(world.called, message_id=message_id, latency_ms=i) for i in range(8)]
    assert {each.result().message_id for each in reports} == {message_id}
    assert len(world.query("select from messages")) == 1


def test_the_partition_of_an_old_decision_is_made_when_its_message_comes(world: World) -> None:
    decision_id = world.decide(landed=False, time=datetime.now(UTC) - timedelta(days=100))
    world.query("select true as made from ensure_partition('decisions', %s)", time_of(decision_id))
    world.flush()

    assert world.record(decision_id=decision_id).partition_time == time_of(decision_id)
    assert world.vote(decision_id, rating=1.0).model_id == "p/m"
