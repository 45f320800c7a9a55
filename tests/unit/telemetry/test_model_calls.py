"""Tokens, cost and results of model calls, as they are counted."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client.ids import new_id
from imrs_server.domain.message import Message, Outcome
from imrs_server.telemetry.agent_labels import AgentLabels
from imrs_server.telemetry.metrics import Metrics
from imrs_server.telemetry.model_calls import ModelCalls

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime.now(UTC)
CALL = Message(
    tenant_id=new_id(),
    message_id=new_id(),
    partition_time=NOW,
    agent_id="coder",
    model_id="acme/large",
    task_type="code",
    latency_ms=1500,
    prompt_tokens=100,
    completion_tokens=50,
    cost_usd=Decimal("0.001"),
    create_time=NOW,
)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics({})


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    metrics.fold()
    return metrics.registry.get_sample_value(name, labels)


def test_tokens_cost_and_latency_are_counted_by_agent(metrics: Metrics) -> None:
    calls = ModelCalls(metrics, AgentLabels())
    calls.recorded(CALL)
    calls.recorded(replace(CALL, cost_usd=None))
    calls.recorded(replace(CALL, agent_id="writer"))
    assert value(metrics, "llm_tokens_total", agent="coder", type="prompt") == 200
    assert value(metrics, "llm_tokens_total", agent="coder", type="completion") == 100
    assert value(metrics, "llm_cost_usd_total", agent="coder") == pytest.approx(0.001)
    assert value(metrics, "llm_unpriced_calls_total", agent="coder") == 1
    assert value(metrics, "llm_latency_seconds_sum", agent="coder") == 3.0
    assert value(metrics, "llm_latency_seconds_bucket", agent="coder", le="1.0") == 0
    assert value(metrics, "llm_latency_seconds_bucket", agent="coder", le="2.5") == 2
    assert value(metrics, "llm_tokens_total", agent="writer", type="prompt") == 100
    assert value(metrics, "imrs_model_calls_total", provider="acme", result="ok") == 3


def test_a_call_that_is_told_again_adds_what_is_new_of_it(metrics: Metrics) -> None:
    calls = ModelCalls(metrics, AgentLabels())
    calls.recorded(replace(CALL, completion_tokens=0, cost_usd=None))
    calls.recorded(CALL, replace(CALL, completion_tokens=0, cost_usd=None))
    calls.recorded(replace(CALL, prompt_tokens=1), CALL)
    assert value(metrics, "llm_tokens_total", agent="coder", type="prompt") == 100
    assert value(metrics, "llm_tokens_total", agent="coder", type="completion") == 50
    assert value(metrics, "llm_cost_usd_total", agent="coder") == pytest.approx(0.001)
    assert value(metrics, "llm_latency_seconds_count", agent="coder") == 1


def test_history_is_not_counted_as_if_it_happened_now(metrics: Metrics) -> None:
    calls = ModelCalls(metrics, AgentLabels())
    calls.recorded(replace(CALL, create_time=NOW - timedelta(days=300)))
    assert value(metrics, "llm_tokens_total", agent="coder", type="prompt") is None
    assert value(metrics, "imrs_model_calls_total", provider="acme", result="ok") is None


@pytest.mark.parametrize(
    ("outcome", "kind", "result"),
    [
        (Outcome.OK, "", "ok"),
        (Outcome.CANCELLED, "", "cancelled"),
        (Outcome.TIMEOUT, "", "timeout"),
        (Outcome.ERROR, "rate_limited", "rate_limited"),
        (Outcome.ERROR, "", "error"),
        (Outcome.ERROR, "whatever an agent likes to say", "error"),
    ],
)
def test_results_are_few(metrics: Metrics, outcome: Outcome, kind: str, result: str) -> None:
    ModelCalls(metrics, AgentLabels()).recorded(replace(CALL, outcome=outcome, error_kind=kind))
    assert value(metrics, "imrs_model_calls_total", provider="acme", result=result) == 1


def test_without_token_tracking_only_results_are_counted(metrics: Metrics) -> None:
    ModelCalls(metrics, AgentLabels(), by_agent=False).recorded(CALL)
    assert value(metrics, "imrs_model_calls_total", provider="acme", result="ok") == 1
    assert value(metrics, "llm_tokens_total", agent="coder", type="prompt") is None


def test_agents_beyond_the_first_ones_are_counted_together(metrics: Metrics) -> None:
    calls = ModelCalls(metrics, AgentLabels(most=2))
    for agent_id in ("a", "b", "c", "d", "a"):
        calls.recorded(replace(CALL, agent_id=agent_id))
    found = {agent: value(metrics, "llm_tokens_total", agent=agent, type="prompt") for agent in "abcd"}
    assert found == {"a": 200, "b": 100, "c": None, "d": None}
    assert value(metrics, "llm_tokens_total", agent="other", type="prompt") == 200


_WORKER = """
import sys
from pathlib import Path
from imrs_server.telemetry.agent_labels import AgentLabels
labels = AgentLabels(Path(sys.argv[1]), most=50)
print(*(f"{n}={labels.of(f'agent-{n}')}" for n in range(int(sys.argv[2]), 200)))
"""


def test_workers_agree_on_the_first_agents(tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-c", _WORKER, tmp_path]
    workers = [subprocess.Popen([*command, each], stdout=subprocess.PIPE, text=True) for each in ("0", "25")]
    named = [
        {each for each in worker.communicate()[0].split() if not each.endswith("=other")}
        for worker in workers
    ]
    assert all(worker.returncode == 0 for worker in workers)
    assert len(named[0] | named[1]) == 50
    # Who starts anew, as a worker that replaces another, knows what the others know.
    assert AgentLabels(tmp_path, most=50).of("agent-199") == "other"
