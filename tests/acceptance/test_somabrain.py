"""SRS FR-04.4: what is rated here is known to SomaBrain, whatever happens on the way."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from pydantic import SecretStr

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_client.ids import new_id, time_of
from imrs_server.domain.principal import Role
from tests.support import patience, schema
from tests.support.child import child
from tests.support.service import Service, serving
from tests.support.somabrain import TOKEN, FakeSomaBrain
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault


@pytest.fixture
def sink() -> Iterator[FakeSomaBrain]:
    with FakeSomaBrain() as started:
        yield started


@contextmanager
def telling(database: str, vault: Vault, sink: FakeSomaBrain) -> Iterator[Service]:
    options: dict[str, Any] = {
        "somabrain_url": sink.url,
        "somabrain_token": SecretStr(TOKEN),
        "somabrain_namespace": "ratings",
    }
    with serving(database, vault, **options) as service:
        yield service


@pytest.fixture
def service(database: str, vault: Vault, sink: FakeSomaBrain) -> Iterator[Service]:
    with telling(database, vault, sink) as found:
        furnish(found)
        yield found


def furnish(service: Service) -> None:
    """An agent ``coder`` with a model of its own."""
    platform, tenant = service.platform, service.tenant
    provider = pb.Provider(
        provider_id="p", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(provider_id="p", external_id="m", capabilities=["text"])
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="coder")))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="coder", model_ids=["p/m"]))
    service.settled(tenant)


def call(agent: ImrsClient, **fields: Any) -> pb.Message:
    return agent.record(agent_id="coder", model_id="p/m", task_type="code", **fields)


def rate(user: ImrsClient, message_id: str, rating: float, **fields: Any) -> pb.Feedback:
    request = pb.SubmitFeedbackRequest(message_id=message_id, rating=rating, **fields)
    return user.feedback.SubmitFeedback(request)


def waiting(database: str) -> int:
    with psycopg.connect(database) as connection:
        found = connection.execute("select count(*) from outbox").fetchone()
    assert found is not None
    return int(found[0])


def end_leases(database: str) -> None:
    """Let the minute be over for which a server that died had claimed what it was sending."""
    with psycopg.connect(database) as connection:
        connection.execute("update outbox set next_time = now()")


def test_fr_04_4_feedback_is_synced_to_somabrain(
    service: Service, sink: FakeSomaBrain, database: str
) -> None:
    agent, user = service.agent("coder"), service.user
    message = call(agent)
    vote = rate(user, message.message_id, 0.75, comment="SENTINEL my own words")
    eventually(lambda: sink.value(vote.feedback_id) is not None)
    memory = sink.memories[str(service.tenant_id), vote.feedback_id]
    told = memory["value"]
    assert (told["rating"], told["feedback_type"], told["signal"]) == (0.75, "EXPLICIT", "SCORE")
    assert (told["agent_id"], told["task_type"], told["model_id"]) == ("coder", "code", "p/m")
    assert told["message_id"] == message.message_id
    assert memory["importance"] == 1.0
    assert {"agent:coder", "task:code", "model:p/m"} <= set(memory["tags"])

    copied = user.feedback.SubmitFeedback(
        pb.SubmitFeedbackRequest(message_id=message.message_id, signal=pb.Feedback.Signal.COPY)
    )
    judged = agent.feedback.SubmitFeedback(
        pb.SubmitFeedbackRequest(
            message_id=message.message_id, signal=pb.Feedback.Signal.EVALUATION, rating=0.5
        )
    )
    eventually(lambda: all(sink.value(each.feedback_id) is not None for each in (copied, judged)))
    assert sink.value(copied.feedback_id)["feedback_type"] == "IMPLICIT"
    assert sink.value(judged.feedback_id)["feedback_type"] == "SELF_EVAL"
    eventually(lambda: waiting(database) == 0)
    assert not any(b"SENTINEL" in each.body for each in sink.requests)


def test_an_amended_rating_goes_out_again_and_a_revoked_one_without_a_rating(
    service: Service, sink: FakeSomaBrain
) -> None:
    user = service.user
    message = call(service.agent("coder"))
    vote = rate(user, message.message_id, 0.0)
    again = rate(user, message.message_id, 1.0)
    assert again.feedback_id == vote.feedback_id
    eventually(lambda: (sink.value(vote.feedback_id) or {}).get("rating") == 1.0)
    user.feedback.RevokeFeedback(pb.RevokeFeedbackRequest(feedback_id=vote.feedback_id))
    eventually(lambda: sink.value(vote.feedback_id)["rating"] is None)
    assert len(sink.memories) == 1


def test_a_vote_that_waits_is_told_when_its_message_comes(service: Service, sink: FakeSomaBrain) -> None:
    agent, user = service.agent("coder"), service.user
    message_id = str(new_id())
    early = rate(user, message_id, 0.5)
    assert early.pending
    other = rate(user, call(agent).message_id, 1.0)
    eventually(lambda: sink.value(other.feedback_id) is not None)
    assert sink.value(early.feedback_id) is None
    call(agent, message_id=message_id)
    eventually(lambda: sink.value(early.feedback_id) is not None)
    assert sink.value(early.feedback_id)["model_id"] == "p/m"


def test_a_vote_that_waits_is_told_when_the_decision_lands(
    service: Service, sink: FakeSomaBrain, database: str
) -> None:
    decision_id = new_id()
    vote = rate(service.user, str(decision_id), 0.5)
    assert vote.pending
    landed = {"decision_id": decision_id, "create_time": time_of(decision_id), "agent_id": "coder"}
    with psycopg.connect(database) as connection:
        schema.insert(connection, "decisions", tenant_id=service.tenant_id, **landed)
    eventually(lambda: (sink.value(vote.feedback_id) or {}).get("agent_id") == "coder")


def test_a_vote_on_a_decision_is_told_and_told_anew_when_its_call_was_another(
    service: Service, sink: FakeSomaBrain
) -> None:
    agent = service.agent("coder")
    decision = agent.choose(task_type="code")
    vote = rate(service.user, decision.decision_id, 1.0)
    eventually(lambda: (sink.value(vote.feedback_id) or {}).get("task_type") == "code")
    agent.record(decision_id=decision.decision_id, task_type="analysis")
    eventually(lambda: sink.value(vote.feedback_id)["task_type"] == "analysis")


def test_what_was_acknowledged_is_told_by_another_server_when_the_first_one_is_killed(
    database: str, vault: Vault, sink: FakeSomaBrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMRS_SOMABRAIN_URL", sink.url)
    monkeypatch.setenv("IMRS_SOMABRAIN_TOKEN", TOKEN)
    with serving(database, vault, somabrain_url="") as quiet:
        furnish(quiet)
        message = call(quiet.agent("coder"))
        sink.status = 503
        with child(quiet.settings, tmp_path) as (_, address):
            with patience.client(address, quiet.token(Role.USER)) as user:
                vote = rate(user, message.message_id, 1.0)
            eventually(lambda: len(sink.requests) > 1)
        assert waiting(database) == 1
        sink.status = None
        end_leases(database)
        with child(quiet.settings, tmp_path):
            eventually(lambda: sink.value(vote.feedback_id) is not None)
            eventually(lambda: waiting(database) == 0)
    log = (tmp_path / "output").read_bytes()
    assert b"DEBUG" in log
    assert TOKEN.encode() not in log


def test_the_token_is_in_no_log_whatever_the_answer(
    database: str, vault: Vault, sink: FakeSomaBrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMRS_SOMABRAIN_URL", sink.url)
    monkeypatch.setenv("IMRS_SOMABRAIN_TOKEN", TOKEN)
    with serving(database, vault, somabrain_url="") as quiet:
        furnish(quiet)
        message = call(quiet.agent("coder"))
        sink.status = 401
        with child(quiet.settings, tmp_path) as (_, address):
            with patience.client(address, quiet.token(Role.USER)) as user:
                rate(user, message.message_id, 1.0)
            eventually(lambda: b"somabrain.away" in (tmp_path / "output").read_bytes())
    log = (tmp_path / "output").read_bytes()
    assert b"it refuses the key" in log
    assert TOKEN.encode() not in log
    assert sink.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_nothing_is_written_where_nobody_is_to_be_told(database: str, vault: Vault) -> None:
    with serving(database, vault) as service:
        furnish(service)
        user = service.user
        vote = rate(user, call(service.agent("coder")).message_id, 1.0)
        user.feedback.RevokeFeedback(pb.RevokeFeedbackRequest(feedback_id=vote.feedback_id))
        message_id = str(new_id())
        rate(user, message_id, 0.5)
        call(service.agent("coder"), message_id=message_id)
        assert waiting(database) == 0
