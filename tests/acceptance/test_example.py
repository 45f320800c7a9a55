"""The example is an agent's loop that works against `imrs dev`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from imrs_client.v1 import ListPerformanceRequest, Performance, Provider, UpdateProviderRequest
from tests.support.model_server import EXAMPLES, model_server
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.dev import Dev

PROMPT = "Write a Python function that parses a date"


def test_an_agent_asks_calls_records_and_rates(dev: Dev) -> None:
    with model_server() as url, dev.client("PLATFORM_ADMIN") as platform:
        ollama = Provider(provider_id="ollama", api_base=f"{url}/v1")
        platform.admin.UpdateProvider(UpdateProviderRequest(provider=ollama))
        done = agent(dev, PROMPT)
    assert done.stderr == ""
    model_id, _, said = done.stdout.strip().partition(" (code): ")
    assert said == f"{model_id.removeprefix('ollama/')} heard: {PROMPT}"
    eventually(lambda: [(each.usage_count, each.rating_count) for each in rated(dev, model_id)] == [(1, 1)])
    (performance,) = rated(dev, model_id)
    assert performance.avg_rating == 1.0


def test_models_that_do_not_answer_are_passed_over_and_named(dev: Dev) -> None:
    with model_server() as url, dev.client("PLATFORM_ADMIN") as platform:
        ollama = Provider(provider_id="ollama", api_base=f"{url}/v1")
        platform.admin.UpdateProvider(UpdateProviderRequest(provider=ollama))
    done = agent(dev, PROMPT)  # the model server is gone
    assert done.returncode == 1
    *failed, last = done.stderr.splitlines()
    assert last == "no model answered"
    assert len(failed) == 4
    assert all(line.startswith("ollama/") for line in failed)


def test_an_agent_that_decides_by_itself(dev: Dev, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "local_agent.py"), str(tmp_path / "votes.spool"), "3"]
    environment = os.environ | dev.variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    *_, last = done.stdout.splitlines()
    model_id, _, said = last.partition(", revision ")
    assert re.fullmatch(r"\d+, fresh, \d+\.\d s old", said)
    assert "/" in model_id


def rated(dev: Dev, model_id: str) -> list[Performance]:
    with dev.client("TENANT_ADMIN") as tenant:
        request = ListPerformanceRequest(agent_id="coder", model_id=model_id, task_type="code")
        return list(tenant.feedback.ListPerformance(request).performance)


def agent(dev: Dev, prompt: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "agent.py", prompt],
        env=os.environ | dev.variables,
        capture_output=True,
        text=True,
        check=False,
    )
