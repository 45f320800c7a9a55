"""Agents and their models as a caller sees them: the real server on a port, behind its guard."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import field_mask_pb2
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from imrs_server.transport.call import REVISION
from imrs_server.transport.paging import Pager
from imrs_server.transport.server import SERVICES, Server
from imrs_server.transport.servicers.agent_models import AgentModelMethods
from imrs_server.transport.servicers.agents import AgentMethods
from imrs_server.transport.tokens import Trust, Verifier, issue
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.use_cases.agent_models import AgentModels
    from imrs_server.use_cases.agents import Agents

    Metadata = tuple[tuple[str, str], ...]

TRUST = Trust(secrets=(b"s" * 32,))


class Admin(AgentMethods, AgentModelMethods, pb.AdminServiceServicer):
    """Only what is tested here."""

    def __init__(self, agents: Agents, models: AgentModels) -> None:
        self.agents, self.agent_models, self.pager = agents, models, Pager(b"p" * 32)


@pytest.fixture
def admin(agents: Agents, models: AgentModels) -> Iterator[pb.AdminServiceStub]:
    servicers = {name: base() for name, (base, _) in SERVICES.items()}
    servicers["imrs.v1.AdminService"] = Admin(agents, models)
    server = Server("127.0.0.1:0", verifier=Verifier(TRUST), servicers=servicers, with_reflection=False)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield pb.AdminServiceStub(channel)
    server.stop(0)


def bearer(role: Role, agent_id: str | None = None) -> Metadata:
    token = issue(TRUST, roles=[role], subject=f"a {role}", tenant_id=HERE, agent_id=agent_id)
    return (("authorization", f"Bearer {token}"),)


TENANT_ADMIN = bearer(Role.TENANT_ADMIN)


def refusal(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Status and reason of a call that must fail."""
    with pytest.raises(grpc.RpcError) as raised:
        call()
    status = rpc_status.from_call(raised.value)  # type: ignore[arg-type]  # it is a Call too
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return raised.value.code(), info.reason


def test_an_agent_is_made_given_models_pinned_and_read(admin: pb.AdminServiceStub) -> None:
    agent = pb.Agent(agent_id="bot", routing=pb.RoutingPolicy(exploration=pb.RoutingPolicy.OFF))
    made, call = admin.CreateAgent.with_call(pb.CreateAgentRequest(agent=agent), metadata=TENANT_ADMIN)
    assert (made.tenant_id, made.state, made.etag) == (str(HERE), pb.Agent.ACTIVE, "1")
    free = pb.ModelFilter(cost_tier=pb.Model.FREE)
    enabled, then = admin.EnableAgentModels.with_call(
        pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/low"], filter=free, standing=True),
        metadata=TENANT_ADMIN,
    )
    assert (enabled.enabled_count, enabled.rule.filter) == (3, free)
    assert revision(then) > revision(call)
    pinned = admin.SetModelOverride(
        pb.SetModelOverrideRequest(agent_id="bot", model_id="p/low"), metadata=TENANT_ADMIN
    )
    assert (pinned.override.model_id, pinned.override.set_by) == ("p/low", "a tenant_admin")
    seen = admin.ListAgentModels(
        pb.ListAgentModelsRequest(page_size=2, effective=True), metadata=bearer(Role.AGENT, "bot")
    )
    assert [each.model_id for each in seen.models] == ["p/free-a", "p/free-b"]
    assert (seen.total_size, seen.total_enabled, seen.next_page_token != "") == (3, 3, True)
    assert seen.models[0].source == pb.AgentModel.RULE
    admin.DeleteAgentRule(
        pb.DeleteAgentRuleRequest(agent_id="bot", rule_id=enabled.rule.rule_id), metadata=TENANT_ADMIN
    )
    off = admin.DisableAgentModels(
        pb.DisableAgentModelsRequest(agent_id="bot", all=True), metadata=TENANT_ADMIN
    )
    assert off.disabled_count == 1


def test_masks_say_what_changes(admin: pb.AdminServiceStub) -> None:
    request = pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", tags=["a"], use_case="u"))
    admin.CreateAgent(request, metadata=TENANT_ADMIN)

    def update(*paths: str) -> pb.Agent:
        return admin.UpdateAgent(
            pb.UpdateAgentRequest(
                agent=pb.Agent(agent_id="bot", use_case="v"),
                update_mask=field_mask_pb2.FieldMask(paths=paths) if paths else None,
            ),
            metadata=TENANT_ADMIN,
        )

    assert (list(update().tags), update().use_case) == (["a"], "v")
    assert (list(update("tags").tags), update("*").use_case) == ([], "v")
    assert refusal(lambda: update("override")) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")


def test_parts_of_fields_change_and_the_rest_stays(admin: pb.AdminServiceStub) -> None:
    def update(agent: pb.Agent, *paths: str, etag: str = "", allow_missing: bool = False) -> pb.Agent:
        agent.agent_id, agent.etag = "bot", etag
        mask = field_mask_pb2.FieldMask(paths=paths)
        request = pb.UpdateAgentRequest(agent=agent, update_mask=mask, allow_missing=allow_missing)
        return admin.UpdateAgent(request, metadata=TENANT_ADMIN)

    first = pb.Agent(labels={"team": "search"}, parameters=pb.Parameters(temperature=0.5, top_p=0.9))
    made = update(first, "labels.team", "parameters.temperature", allow_missing=True)
    assert (dict(made.labels), made.parameters) == ({"team": "search"}, pb.Parameters(temperature=0.5))
    after = update(pb.Agent(labels={"floor": "2"}), "labels.floor", "parameters.temperature", etag=made.etag)
    assert (dict(after.labels), after.parameters) == ({"team": "search", "floor": "2"}, pb.Parameters())
    assert admin.GetAgent(pb.GetAgentRequest(agent_id="bot"), metadata=TENANT_ADMIN) == after
    assert refusal(lambda: update(pb.Agent(), "labels.floor", etag=made.etag)) == (
        grpc.StatusCode.ABORTED,
        "ETAG_MISMATCH",
    )
    halved = pb.Agent(routing=pb.RoutingPolicy(half_life=Duration(seconds=60)))
    assert refusal(lambda: update(halved, "routing.half_life"))[1] == "INVALID_REQUEST"


def test_parts_that_change_at_the_same_time_are_all_kept(admin: pb.AdminServiceStub) -> None:
    admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")), metadata=TENANT_ADMIN)

    def label(name: str) -> None:
        mask = field_mask_pb2.FieldMask(paths=[f"labels.{name}"])
        agent = pb.Agent(agent_id="bot", labels={name: "x"})
        admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent, update_mask=mask), metadata=TENANT_ADMIN)

    names = [f"l{i}" for i in range(20)]
    with ThreadPoolExecutor(5) as pool:
        list(pool.map(label, names))
    found = admin.GetAgent(pb.GetAgentRequest(agent_id="bot"), metadata=TENANT_ADMIN)
    assert sorted(found.labels) == sorted(names)


@pytest.mark.parametrize(
    ("request_", "metadata", "expected"),
    [
        (pb.GetAgentRequest(agent_id="x"), TENANT_ADMIN, ("NOT_FOUND", "AGENT_NOT_FOUND")),
        (pb.GetAgentRequest(agent_id="x" * 65), TENANT_ADMIN, ("INVALID_ARGUMENT", "INVALID_REQUEST")),
        (pb.GetAgentRequest(agent_id="x"), bearer(Role.USER), ("PERMISSION_DENIED", "ROLE_REQUIRED")),
        (
            pb.GetAgentRequest(agent_id="x", tenant_id="33333333-3333-7333-8333-333333333333"),
            TENANT_ADMIN,
            ("PERMISSION_DENIED", "TENANT_MISMATCH"),
        ),
    ],
)
def test_refusals_have_their_reason(
    admin: pb.AdminServiceStub, request_: pb.GetAgentRequest, metadata: Metadata, expected: tuple[str, str]
) -> None:
    code, reason = refusal(lambda: admin.GetAgent(request_, metadata=metadata))
    assert (code.name, reason) == expected


def test_an_unknown_model_is_named(admin: pb.AdminServiceStub) -> None:
    admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")), metadata=TENANT_ADMIN)
    request = pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/low", "p/none"])
    assert refusal(lambda: admin.EnableAgentModels(request, metadata=TENANT_ADMIN)) == (
        grpc.StatusCode.NOT_FOUND,
        "MODEL_NOT_FOUND",
    )


def revision(call: grpc.Call) -> int:
    return int(dict(call.trailing_metadata())[REVISION])
