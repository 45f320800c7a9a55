"""The examples are agents' loops that work against `imrs dev`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from tests.support import scripts
from tests.support.dev import Dev
from tests.support.model_server import EXAMPLES, model_server
from tests.support.pools import NOBODY
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

PROMPT = "Write a Python function that parses a date"


@dataclass(frozen=True, slots=True)
class Newcomer:
    """An agent that nobody else asks for, with the models of the demo data that need no key."""

    dev: Dev
    admin: ImrsClient
    agent_id: str
    token: str

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        variables = self.dev.variables | {"IMRS_TOKEN_AGENT": self.token}
        return scripts.run(EXAMPLES / script, *words, variables=variables)

    def rated(self, model_id: str) -> list[tuple[int, int, float]]:
        """How often it was called and rated, and how well."""
        request = pb.ListPerformanceRequest(agent_id=self.agent_id, model_id=model_id, task_type="code")
        found = self.admin.feedback.ListPerformance(request).performance
        return [(each.usage_count, each.rating_count, each.avg_rating) for each in found]


@pytest.fixture
def newcomer(dev: Dev) -> Iterator[Newcomer]:
    agent_id = f"agent-{new_id()}"
    local = pb.ModelFilter(provider_id="ollama", model_type=pb.Model.Type.CHAT)
    with dev.client("TENANT_ADMIN") as tenant:
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=agent_id)))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, filter=local))
        token = tenant.admin.IssueToken(pb.IssueTokenRequest(roles=["agent"], agent_id=agent_id)).token
        dev.settled(tenant)
        api_base = address(dev)
        yield Newcomer(dev, tenant, agent_id, token)
        # Others talk to the same server.
        move(dev, api_base)
        tenant.admin.DeleteAgent(pb.DeleteAgentRequest(agent_id=agent_id))


def address(dev: Dev) -> str:
    """Where the models are called."""
    with dev.client("PLATFORM_ADMIN") as platform:
        return platform.admin.GetProvider(pb.GetProviderRequest(provider_id="ollama")).api_base


def move(dev: Dev, api_base: str) -> None:
    """Have the models called elsewhere."""
    provider = pb.Provider(provider_id="ollama", api_base=api_base)
    with dev.client("PLATFORM_ADMIN") as platform:
        platform.admin.UpdateProvider(pb.UpdateProviderRequest(provider=provider))
        dev.settled(platform)


def test_an_agent_asks_calls_records_and_rates(newcomer: Newcomer) -> None:
    with model_server() as url:
        move(newcomer.dev, f"{url}/v1")
        done = newcomer.run("agent.py", PROMPT)
    assert done.stderr == ""
    model_id, _, said = done.stdout.strip().partition(" (code): ")
    assert said == f"{model_id.removeprefix('ollama/')} heard: {PROMPT}"
    eventually(lambda: newcomer.rated(model_id) == [(1, 1, 1.0)])


def test_models_that_do_not_answer_are_passed_over_and_named(newcomer: Newcomer) -> None:
    move(newcomer.dev, NOBODY)
    done = newcomer.run("agent.py", PROMPT)
    assert done.returncode == 1
    *failed, last = done.stderr.splitlines()
    assert last == "no model answered"
    assert len(failed) == 4
    assert all(line.startswith("ollama/") for line in failed)


def test_an_agent_that_decides_by_itself(newcomer: Newcomer, tmp_path: Path) -> None:
    done = newcomer.run("local_agent.py", str(tmp_path / "votes.spool"), "3")
    assert (done.returncode, done.stderr) == (0, "")
    *_, last = done.stdout.splitlines()
    model_id, _, said = last.partition(", revision ")
    assert re.fullmatch(r"\d+, fresh, \d+\.\d s old", said)
    assert "/" in model_id
