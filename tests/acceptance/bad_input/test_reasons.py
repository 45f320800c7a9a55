"""Bad calls: each kind has a status and a reason of its own, and nothing is stored."""

from __future__ import annotations

from uuid import uuid4

import pytest

from imrs_client.v1 import (
    Agent,
    CreateAgentRequest,
    CreateModelRequest,
    CreateProviderRequest,
    DeleteAgentRequest,
    EnableAgentModelsRequest,
    GetModelRequest,
    GetProviderRequest,
    ListAgentModelsRequest,
    ListModelsRequest,
    Model,
    Provider,
    UpdateAgentRequest,
    UpdateModelRequest,
    UpdateProviderRequest,
)
from tests.support.contents import counted
from tests.support.refusals import (
    API,
    MISSING,
    SECONDS,
    Call,
    World,
    admin,
    catalog,
    provider,
    rate,
    record,
    refused,
    route,
)

REFUSED: list[tuple[str, Call, str, str]] = [
    ("an unknown agent", route("tenant", agent_id="nobody"), "NOT_FOUND", "AGENT_NOT_FOUND"),
    (
        "an unknown agent's models",
        admin("tenant", "ListAgentModels", ListAgentModelsRequest(agent_id="nobody")),
        "NOT_FOUND",
        "AGENT_NOT_FOUND",
    ),
    (
        "a call of an unknown agent",
        record(agent_id="nobody"),
        "NOT_FOUND",
        "AGENT_NOT_FOUND",
    ),
    ("a call of an unknown model", record(model_id="p/m3"), "NOT_FOUND", "MODEL_NOT_FOUND"),
    ("a call of an unknown decision", record(agent_id="", model_id="", decision_id=MISSING),
     "NOT_FOUND", "DECISION_NOT_FOUND"),
    ("a vote on an unknown message", rate(message_id=MISSING, rating=1), "NOT_FOUND", "MESSAGE_NOT_FOUND"),
    ("a vote on an id that is no UUIDv7", rate(message_id=str(uuid4()), rating=1),
     "NOT_FOUND", "MESSAGE_NOT_FOUND"),
    ("an unknown provider", admin("platform", "GetProvider", GetProviderRequest(provider_id="q")),
     "NOT_FOUND", "PROVIDER_NOT_FOUND"),
    ("an unknown model", catalog("tenant", "GetModel", GetModelRequest(model_id="p/m3")),
     "NOT_FOUND", "MODEL_NOT_FOUND"),
    (
        "one unknown model among those to enable",
        admin("tenant", "EnableAgentModels",
              EnableAgentModelsRequest(agent_id="coder", model_ids=["p/m2", "p/m3"])),
        "NOT_FOUND",
        "MODEL_NOT_FOUND",
    ),
    ("a disabled provider", route("tenant", agent_id="idle"), "FAILED_PRECONDITION", "NO_ELIGIBLE_MODEL"),
    ("a provider that exists", provider(provider_id="p"), "ALREADY_EXISTS", "PROVIDER_EXISTS"),
    ("an agent that exists", admin("tenant", "CreateAgent", CreateAgentRequest(agent=Agent(agent_id="idle"))),
     "ALREADY_EXISTS", "AGENT_EXISTS"),
    (
        "a model that exists",
        catalog("platform", "CreateModel",
                CreateModelRequest(model=Model(provider_id="p", external_id="m1"))),
        "ALREADY_EXISTS",
        "MODEL_EXISTS",
    ),
    ("a revision of the future", route("coder", min_revision=10**9), "UNAVAILABLE", "REVISION_NOT_REACHED"),
    # Who may not.
    ("a user who creates a provider",
     admin("user", "CreateProvider", CreateProviderRequest(provider=Provider(provider_id="q", api_base=API))),
     "PERMISSION_DENIED", "ROLE_REQUIRED"),
    ("a tenant admin who creates a provider",
     admin("tenant", "CreateProvider",
           CreateProviderRequest(provider=Provider(provider_id="q", api_base=API))),
     "PERMISSION_DENIED", "ROLE_REQUIRED"),
    ("an agent that creates an agent",
     admin("coder", "CreateAgent", CreateAgentRequest(agent=Agent(agent_id="second"))),
     "PERMISSION_DENIED", "ROLE_REQUIRED"),
    ("a user who routes", route("user", agent_id="coder"), "PERMISSION_DENIED", "ROLE_REQUIRED"),
    ("a user who reads models", catalog("user", "ListModels", ListModelsRequest()),
     "PERMISSION_DENIED", "ROLE_REQUIRED"),
    ("an agent that names another", route("coder", agent_id="idle"), "PERMISSION_DENIED", "AGENT_MISMATCH"),
    ("an agent that reads another's models",
     admin("coder", "ListAgentModels", ListAgentModelsRequest(agent_id="idle")),
     "PERMISSION_DENIED", "AGENT_MISMATCH"),
    ("an agent that reports for another", record("coder", agent_id="idle"),
     "PERMISSION_DENIED", "AGENT_MISMATCH"),
    # Addresses.
    ("a private address", provider("https://10.0.0.1/v1"), "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("a loopback address", provider("https://127.0.0.1/v1"), "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("a loopback name", provider("https://localhost/v1"), "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("a metadata address", provider("https://169.254.169.254/"), "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("a pool at a private address", provider(pool_url="https://192.168.0.1"),
     "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("an address in clear text", provider("http://models.example.com/v1"),
     "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("an address with a password", provider("https://a:b@models.example.com/v1"),
     "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    ("a change to a private address",
     admin("platform", "UpdateProvider",
           UpdateProviderRequest(provider=Provider(provider_id="p", api_base="https://[::1]/v1"))),
     "INVALID_ARGUMENT", "ADDRESS_FORBIDDEN"),
    # What somebody else has changed meanwhile.
    ("a provider read before",
     admin("platform", "UpdateProvider",
           UpdateProviderRequest(provider=Provider(provider_id="p", display_name="P", etag="7f"))),
     "ABORTED", "ETAG_MISMATCH"),
    ("an agent read before",
     admin("tenant", "UpdateAgent",
           UpdateAgentRequest(agent=Agent(agent_id="coder", display_name="C", etag="nonsense"))),
     "ABORTED", "ETAG_MISMATCH"),
    ("an agent to delete read before",
     admin("tenant", "DeleteAgent", DeleteAgentRequest(agent_id="coder", etag="7f")),
     "ABORTED", "ETAG_MISMATCH"),
    ("a model read before",
     catalog("platform", "UpdateModel",
             UpdateModelRequest(model=Model(model_id="p/m1", priority=1, etag="7f"))),
     "ABORTED", "ETAG_MISMATCH"),
    ("a request_id with another body",
     admin("platform", "CreateProvider",
           CreateProviderRequest(provider=Provider(provider_id="q", api_base=API), request_id="p")),
     "ALREADY_EXISTS", "IDEMPOTENCY_MISMATCH"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "code", "reason"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED]
)
def test_bad_calls_have_reasons_of_their_own(world: World, call: Call, code: str, reason: str) -> None:
    error = refused(world, call)
    assert (error.code.name, error.reason) == (code, reason)


def test_an_agent_may_not_judge_another_agents_message(world: World) -> None:
    idle = world.service.agent("idle")
    error = refused(world, lambda world: idle.rate(world.message_id, 1.0, timeout_seconds=SECONDS))
    assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "AGENT_MISMATCH")


def test_what_a_disabled_provider_removes_is_counted(world: World) -> None:
    error = refused(world, route("tenant", agent_id="idle"))
    assert error.metadata == {"agent_id": "idle", "PROVIDER": "1"}


def test_a_repeat_gets_the_first_answer_again(world: World) -> None:
    once = rate("user", rating=0.25, comment="so so", request_id="twice")
    first = once(world)
    counted(world.dsn)
    before = world.stored
    assert once(world) == first
    assert world.stored == before
    error = refused(world, rate("user", rating=0.75, comment="so so", request_id="twice"))
    assert (error.reason, error.metadata) == ("IDEMPOTENCY_MISMATCH", {"request_id": "twice"})
    # Of somebody else, the same request_id is another one.
    assert rate("tenant", rating=0.75, comment="so so", request_id="twice")(world).rating == 0.75
    counted(world.dsn)
