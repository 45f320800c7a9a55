"""What people and models say to each other is in no log, whatever becomes of the call.

Looked at is all that a server writes at DEBUG, with what every library has to say, a line for every call and
one for every decision.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client import ImrsClient, ImrsError
from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support import patience
from tests.support.chatting import breaks_off, refuses, says, streams
from tests.support.child import child
from tests.support.provider import FakeProvider, answer
from tests.support.service import serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Vault
    from tests.support.provider import Behaviour

WORD = "PROMPT5c81e0"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
METADATA = (("x-request-id", "named-by-its-caller"), ("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"))


def struct(**fields: Any) -> Any:
    made = pb.CompleteRequest().response_format
    made.update(fields)
    return made


def completion(**changes: Any) -> pb.CompleteRequest:
    tool = {"name": "look_up", "description": WORD, "parameters": {"type": "object"}}
    return pb.CompleteRequest(
        route=pb.RouteRequest(agent_id="bot", message=WORD),
        messages=[
            pb.ChatMessage(role="system", content=f"Never say {WORD}"),
            pb.ChatMessage(role="user", content=f"What is {WORD}?"),
        ],
        tools=[struct(type="function", function=tool)],
        metadata=struct(note=WORD),
        **changes,
    )


def walk(bot: ImrsClient, upstream: FakeProvider) -> list[str | None]:
    """Every method that takes what somebody says, with every failure; how the calls of Complete ended."""
    route = pb.RouteRequest(
        agent_id="bot",
        message=f"Explain {WORD}",
        attachments=[pb.Attachment(filename=f"{WORD}.pdf", mime_type="application/pdf")],
    )
    decision = bot.route.Route(route, metadata=METADATA)
    bot.route.ExplainRoute(route)
    bot.route.BatchRoute(pb.BatchRouteRequest(requests=[route, pb.RouteRequest(agent_id=WORD, message=WORD)]))
    bot.route.DetectTask(pb.DetectTaskRequest(message=WORD))
    message = pb.Message(decision_id=decision.decision_id, metadata=struct(note=WORD))
    bot.feedback.RecordMessage(pb.RecordMessageRequest(message=message))
    bot.rate(decision.decision_id, 1.0, user_id="u", comment=WORD)
    for unfit in (pb.RouteRequest(agent_id=f"{WORD} !", message=WORD), pb.RouteRequest(task_type=f"{WORD}?")):
        with pytest.raises(ImrsError):
            bot.route.Route(unfit)

    echo = json.dumps({"error": {"message": f"cannot say {WORD}", "code": WORD}}).encode()
    behaviours: dict[str, Behaviour] = {
        "says": says(WORD),
        "streams": streams(WORD, f"more {WORD}"),
        "breaks off": breaks_off(WORD),
        "refuses": refuses(400, "context_length_exceeded", f"{WORD} is too long"),
        "filters": refuses(400, "content_filter", f"{WORD} is not nice"),
        "limits": refuses(429, "rate_limit_exceeded", WORD, retry_after="0"),
        "fails": answer(echo, status=500),
        "talks nonsense": answer(f"<html>{WORD}</html>".encode()),
        "streams nonsense": answer(f"data: {WORD}\n\n".encode(), kind="text/event-stream"),
        "knows no such model": refuses(404, "model_not_found", WORD),
    }
    ends: list[str | None] = []
    for name, each in behaviours.items():
        upstream.script(each)
        request = completion(stream="stream" in name or "breaks" in name, max_attempts=1)
        with suppress(ImrsError):
            ends += [event.WhichOneof("event") for event in bot.route.Complete(request)][-1:]
    return ends


def test_nothing_that_was_said_is_logged(
    database: str, vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMRS_ACCESS_LOG", "true")
    monkeypatch.setenv("IMRS_DECISION_LOG", "debug")
    with FakeProvider(b"") as upstream, serving(database, vault) as service:
        provider = pb.Provider(
            provider_id="p", provider_type=pb.Provider.Type.CUSTOM, api_base=upstream.url, api_key="a key"
        )
        service.platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        model = pb.Model(provider_id="p", external_id="m", capabilities=["text", "function_calling"])
        service.platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        tenant = service.tenant
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/m"]))
        with child(service.settings, tmp_path) as (_, address):
            token = service.token(Role.TENANT_ADMIN)
            with patience.client(address, token) as bot:
                ends = walk(bot, upstream)
            output = tmp_path / "output"
            eventually(lambda: output.read_bytes().count(b'"event": "decision"') >= len(ends))
            # It goes on writing: the last line may be half a one.
            log = output.read_text().rpartition("\n")[0]
    # The test has tested something: models answered, and calls and decisions were logged.
    assert ends.count("completed") == 2
    assert WORD in str([each.body for each in upstream.requests])
    lines = [json.loads(each) for each in log.splitlines() if each.startswith("{")]
    [route] = [each for each in lines if each["event"] == "call" and "request_id" in each]
    assert (route["request_id"], route["trace_id"]) == ("named-by-its-caller", TRACE_ID)
    assert route["method"] == "/imrs.v1.RouteService/Route"
    assert "DEBUG" in log
    assert [each for each in log.splitlines() if WORD in each] == []
