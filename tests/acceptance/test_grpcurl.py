"""grpcurl does the main job with nothing but the server's reflection."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.domain.principal import Role
from tests.support import catalogue
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.service import Service

KEY = "sk-or-v1-a-key-that-must-not-leak"
MODELS = 400
SERVICES = {"AdminService", "CatalogService", "RouteService", "FeedbackService"}


@dataclass(frozen=True)
class Grpcurl:
    """The program, and the server that it talks to."""

    program: Path
    address: str

    def run(
        self, *words: str, token: str | None = None, body: Any = None
    ) -> subprocess.CompletedProcess[str]:
        header = ["-H", f"authorization: Bearer {token}"] if token else []
        data = [] if body is None else ["-d", json.dumps(body)]
        command = [str(self.program), "-plaintext", *header, *data, self.address, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def say(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(self, method: str, body: Any, token: str) -> list[dict[str, Any]]:
        """Every message of the answer."""
        done = self.run(f"imrs.v1.{method}", token=token, body=body)
        assert done.returncode == 0, done.stderr
        return list(messages(done.stdout))


def messages(text: str) -> Iterator[dict[str, Any]]:
    """The JSON objects that follow one another."""
    decoder = json.JSONDecoder()
    while text := text.lstrip():
        message, end = decoder.raw_decode(text)
        yield message
        text = text[end:]


@pytest.fixture
def grpcurl(service: Service, require_program: Callable[[str], Path]) -> Grpcurl:
    return Grpcurl(require_program("grpcurl"), service.app.address)


@pytest.fixture
def openrouter() -> Iterator[FakeProvider]:
    with FakeProvider(catalogue.openrouter_body(catalogue.openrouter_items()[:MODELS])) as found:
        yield found


def test_the_main_job(grpcurl: Grpcurl, service: Service, openrouter: FakeProvider) -> None:
    platform, tenant = service.token(Role.PLATFORM_ADMIN), service.token(Role.TENANT_ADMIN)
    bot = service.token(Role.AGENT, agent_id="coder")
    provider = {
        "provider_id": "openrouter",
        "provider_type": "OPENROUTER",
        "api_base": openrouter.url,
        "api_key": KEY,
    }
    (created,) = grpcurl.call("AdminService/CreateProvider", {"provider": provider}, platform)
    assert created["api_key_vault_path"] == "secret/llm/openrouter"
    assert "api_key" not in created

    *progress, last = grpcurl.call("AdminService/SyncProvider", {"provider_id": "openrouter"}, platform)
    assert progress
    assert int(last["result"]["models_discovered"]) == MODELS
    assert any(each.headers.get("authorization") == f"Bearer {KEY}" for each in openrouter.requests)

    grpcurl.call("AdminService/CreateAgent", {"agent": {"agent_id": "coder"}}, tenant)
    chat = {"agent_id": "coder", "filter": {"provider_id": "openrouter", "model_type": "CHAT"}}
    (enabled,) = grpcurl.call("AdminService/EnableAgentModels", chat, tenant)
    assert int(enabled["enabled_count"]) > 100
    service.caught_up()
    revision = service.app.index.revision

    (decision,) = grpcurl.call("RouteService/Route", {"message": "Write a Python function"}, bot)
    assert decision["task"]["task_type"] == "code"
    assert decision["selected"]["model_id"] in enabled["model_ids"]
    assert int(decision["index_revision"]) >= revision
    used = {"decision_id": decision["decision_id"], "latency_ms": 900, "prompt_tokens": 10}
    (message,) = grpcurl.call("FeedbackService/RecordMessage", {"message": used}, bot)
    assert message["model_id"] == decision["selected"]["model_id"]
    vote = {"message_id": message["message_id"], "signal": "THUMBS_UP"}
    (feedback,) = grpcurl.call("FeedbackService/SubmitFeedback", vote, service.token(Role.USER))
    assert (feedback["rating"], feedback["feedback_type"]) == (1, "EXPLICIT")


def test_everything_is_listed_and_described(grpcurl: Grpcurl) -> None:
    listed = grpcurl.say("list").split()
    assert {f"imrs.v1.{name}" for name in SERVICES} | {"grpc.health.v1.Health"} <= set(listed)
    assert "imrs.v1.RouteService.Route" in grpcurl.say("list", "imrs.v1.RouteService").split()
    described = grpcurl.say("describe", "imrs.v1.RouteService.Route")
    assert "rpc Route ( .imrs.v1.RouteRequest ) returns ( .imrs.v1.Decision )" in described
    assert "enum Signal" in grpcurl.say("describe", "imrs.v1.Feedback")
    assert '"status": "SERVING"' in grpcurl.say("grpc.health.v1.Health/Check")


def test_an_error_is_printed_with_its_details(grpcurl: Grpcurl, service: Service) -> None:
    tenant = service.token(Role.TENANT_ADMIN)
    done = grpcurl.run("imrs.v1.AdminService/GetAgent", token=tenant, body={"agent_id": "nobody"})
    assert done.returncode != 0
    assert "Code: NotFound" in done.stderr
    (details,) = messages(done.stderr.partition("1)")[2])
    assert details == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "domain": "imrs.dev",
        "reason": "AGENT_NOT_FOUND",
        "metadata": {"agent_id": "nobody"},
    }
    done = grpcurl.run("imrs.v1.AdminService/GetAgent", token=tenant, body={"agent_id": "no body"})
    assert "Code: InvalidArgument" in done.stderr
    assert "google.rpc.BadRequest" in done.stderr
    assert '"field":"agent_id"' in done.stderr
