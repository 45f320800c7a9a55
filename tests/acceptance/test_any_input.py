"""Whatever passes the validation table, the server and the database take: no value makes a fault of ours.

Each field of each request in turn, the others being good, gets values at and beyond every edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import v1 as pb
from imrs_client.errors import from_rpc_error
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.principal import Role
from imrs_server.transport.validation import validate
from tests.support import patience, requests
from tests.support.refusals import API, furnished
from tests.support.service import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
    from google.protobuf.message import Message

    from tests.conftest import Vault
    from tests.support.refusals import World

    Metadata = tuple[tuple[str, str], ...]

WIDE = "\U0001f600"
TEXTS = (
    "", "\0", "*", "%_\\", "create_time desc", "999999999", "\u202e", "a" * 64, WIDE * 64, WIDE * 255,
    "p/" + WIDE * 253, WIDE * 4000, WIDE * 8000, "/" + "x" * 1999,
    "https://models.example.com/" + "y" * 2021, str(uuid4()),
)  # fmt: skip
WHOLE = (-(2**63), -(2**31), -1, 0, 1, 100, 10**9, 2**31 - 1, 2**63 - 1)
BROKEN = (float("nan"), float("inf"), -1.0, 0.0, 1.0, 1e308)
MOMENTS = (
    (-62_135_596_801, 0), (-62_135_596_800, 0), (-1, 0), (0, 0), (0, -1), (0, 10**9), (10**7, 1),
    (253_402_300_799, 999_999_999), (253_402_300_800, 0),
)  # fmt: skip
PATHS: tuple[list[str], ...] = (["*"], [""], ["a.b.c"], ["etag"], [WIDE * 100] * 100, ["\0"])
KEYS = ("", "\0", "COPY", "code", WIDE * 255)
JSON: tuple[Any, ...] = (
    {}, {"": ""}, {"a": "\0"}, {"a": float("nan")}, {"a": [1e308, None, [[]]]}, {"body": 1},
    {"body": {"allowed_models": [WIDE, "[", "*", 1]}}, {"body": {"allowed_models": {"x": ["**"]}}},
    {"a": "x" * 65_000},
)  # fmt: skip

NEW = "new"
"""Stands for the id of what a call creates: another one each time."""

Edit = Callable[[Any], object]
"""Puts one value into one field of a message."""


def good(world: World) -> dict[str, Message]:
    """A request for each method that would do, or nearly; what ends things is asked of things of its own."""
    agent = pb.Agent(agent_id="coder")
    provider = pb.Provider(provider_id="p", api_base=API)
    model = pb.Model(model_id="p/m1")
    route = pb.RouteRequest(agent_id="coder", attachments=[pb.Attachment()])
    report = pb.RecordMessageRequest(message=pb.Message(agent_id="coder", model_id="p/m1"))
    vote = pb.SubmitFeedbackRequest(message_id=world.message_id, rating=0.5)
    found: list[Message] = [
        pb.CreateProviderRequest(provider=pb.Provider(provider_id=NEW, api_base=API)),
        pb.UpdateProviderRequest(provider=provider),
        pb.CreateAgentRequest(agent=pb.Agent(agent_id=NEW)),
        pb.UpdateAgentRequest(agent=agent),
        pb.CloneAgentRequest(agent_id="coder", new_agent_id=NEW),
        pb.EnableAgentModelsRequest(agent_id="coder", filter=pb.ModelFilter(), validate_only=True),
        pb.DisableAgentModelsRequest(agent_id="idle", filter=pb.ModelFilter()),
        pb.UpdateAgentModelRequest(
            agent_model=pb.AgentModel(agent_id="coder", model_id="p/m1", enabled=True)
        ),
        pb.SetModelOverrideRequest(agent_id="coder", model_id="p/m1"),
        pb.SetPreferenceRequest(preference=pb.Preference(agent_class="*", model_ids=["p/m1"])),
        pb.SetBudgetRequest(budget=pb.Budget(agent_id="coder", window=Duration(seconds=3600))),
        pb.GetDefaultsRequest(scope=pb.Defaults.TENANT),
        pb.UpdateDefaultsRequest(defaults=pb.Defaults(scope=pb.Defaults.TENANT)),
        pb.CreateModelRequest(model=pb.Model(provider_id="p", external_id=NEW)),
        pb.UpdateModelRequest(model=model),
        pb.BulkUpdateModelsRequest(
            filter=pb.ModelFilter(), update=pb.BulkUpdateModelsRequest.Update(priority=1), validate_only=True
        ),
        pb.ListModelChangesRequest(provider_id="p"),
        route,
        pb.BatchRouteRequest(requests=[route]),
        pb.CompleteRequest(
            route=pb.RouteRequest(agent_id="coder"), messages=[pb.ChatMessage(role="user", content="Hello")]
        ),
        pb.EmbedRequest(route=pb.RouteRequest(agent_id="coder"), inputs=["Hello"]),
        report,
        pb.BatchRecordMessagesRequest(requests=[report]),
        vote,
        pb.BatchSubmitFeedbackRequest(requests=[vote]),
        pb.SetTenantRequest(tenant=pb.Tenant(tenant_id=str(world.service.tenant_id))),
        pb.ListAgentModelsRequest(agent_id="coder"),
        pb.ListAgentRulesRequest(agent_id="coder"),
        pb.GetAgentRequest(agent_id="coder"),
    ]
    return {type(each).__name__: each for each in found}


def edges(field: FieldDescriptor) -> Iterator[Any]:
    """Values for one field, or for one item of it."""
    if field.type == field.TYPE_STRING:
        yield from TEXTS
    elif field.type == field.TYPE_BYTES:
        yield b"\xff" * 10
    elif field.enum_type is not None:
        yield from (*(each.number for each in field.enum_type.values), 99, -1)
    elif field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
        bound = 2**31 if field.cpp_type == field.CPPTYPE_INT32 else 2**63
        yield from (each for each in WHOLE if -bound <= each < bound)
    elif field.cpp_type == field.CPPTYPE_DOUBLE:
        yield from BROKEN
    else:
        yield True


def edits(message: Descriptor, seen: set[str]) -> Iterator[tuple[str, Edit]]:
    """Every edge of every field, and of the messages in it that were not ``seen`` before."""
    for field in message.fields:
        for name, edit in _edits_of(field, seen):
            yield f"{field.name}{name}", edit


def _edits_of(field: FieldDescriptor, seen: set[str]) -> Iterator[tuple[str, Edit]]:
    name, below = field.name, field.message_type
    if below is None:
        for value in edges(field):
            yield f"={value!r:.40}", partial(_repeat if field.is_repeated else _set, name, value)
    elif below.GetOptions().map_entry:
        kind = below.fields_by_name["value"]
        values = list([["", WIDE, "-x", "("]] if kind.message_type else edges(kind))
        for key, value in [(key, values[-1]) for key in KEYS] + [("code", value) for value in values]:
            yield f"[{key!r:.20}]={value!r:.40}", partial(_put, name, key, value)
    elif below.full_name.startswith("google.protobuf."):
        for known in _known(below.name):
            yield f"={known!s:.40}", partial(_copy, name, known)
    elif below.full_name not in seen:
        if below.name != "StringList":
            seen.add(below.full_name)
        for path, edit in edits(below, seen):
            yield f".{path}", partial(_within, name, edit)


def _known(kind: str) -> Iterator[Message]:
    """Values of a message of google.protobuf."""
    if kind == "Struct":
        for value in JSON:
            found = Struct()
            found.update(value)
            yield found
    elif kind == "FieldMask":
        yield from (FieldMask(paths=paths) for paths in PATHS)
    else:
        cls = Timestamp if kind == "Timestamp" else Duration
        yield from (cls(seconds=seconds, nanos=nanos) for seconds, nanos in MOMENTS)


def _set(name: str, value: Any, message: Any) -> None:
    setattr(message, name, value)


def _repeat(name: str, value: Any, message: Any) -> None:
    message.ClearField(name)
    getattr(message, name).extend([value, value])


def _put(name: str, key: str, value: Any, message: Any) -> None:
    if isinstance(value, list):
        getattr(message, name)[key].values.extend(value)
    else:
        getattr(message, name)[key] = value


def _copy(name: str, value: Message, message: Any) -> None:
    message.ClearField(name)
    holder = getattr(message, name)
    if message.DESCRIPTOR.fields_by_name[name].is_repeated:
        holder = holder.add()
    holder.CopyFrom(value)
    holder.SetInParent()


def _within(name: str, edit: Edit, message: Any) -> None:
    holder = getattr(message, name)
    if message.DESCRIPTOR.fields_by_name[name].is_repeated:
        holder = holder[0] if holder else holder.add()
    else:
        holder.SetInParent()
    edit(holder)


@pytest.fixture
def world(database: str, vault: Vault) -> Iterator[World]:
    with serving(database, vault, provider_allow=()) as service:
        yield furnished(service, database)


@pytest.mark.long
def test_no_value_of_any_field_is_a_fault_of_ours(world: World) -> None:
    service = world.service
    everybody = service.token(*Role, tenant_id=service.tenant_id, agent_id="coder")
    metadata = (("authorization", f"Bearer {everybody}"),)
    known, seen = good(world), set[str]()
    faults, told = [], Counter[str]()
    with grpc.insecure_channel(service.app.address) as channel:
        for path, method in built(channel, metadata):
            call: Any = channel.stream_stream(path)
            for name, request in asked(method, known, seen):
                reason = answered(call, request, metadata)
                told[reason] += 1
                if reason in {"", "INTERNAL"}:
                    faults.append(f"{path} {name}"[:200])
    assert faults == []
    assert told["OK"] > 1000


def built(channel: grpc.Channel, metadata: Metadata) -> Iterator[tuple[str, MethodDescriptor]]:
    """Methods to try: not those that call a network, nor those whose items others have tried."""
    for methods in requests.SERVICES.values():
        for method in methods.methods:
            path = f"/{methods.full_name}/{method.name}"
            skipped = method.name in {"SyncProvider", "CheckProvider", "StreamRoutes"}
            if not skipped and answered(channel.stream_stream(path), None, metadata) != "NOT_BUILT":
                yield path, method


def asked(
    method: MethodDescriptor, known: dict[str, Message], seen: set[str]
) -> Iterator[tuple[str, Message]]:
    number = count()
    base = known.get(method.input_type.name) or GetMessageClass(method.input_type)()
    for name, edit in edits(method.input_type, seen):
        request = type(base)()
        request.CopyFrom(base)
        edit(request)
        _renew(request, str(next(number)))
        # What the table refuses goes no further, and tests of its own see to that.
        with suppress(InvalidRequest):
            validate(request)
            yield name, request


def _renew(message: Any, number: str) -> None:
    for field, value in message.ListFields():
        if value == NEW:
            setattr(message, field.name, NEW + number)
        elif field.name in {"agent", "provider", "model"}:
            _renew(value, number)


def answered(call: Any, request: Message | None, metadata: Metadata) -> str:
    """The reason, OK where there is none, empty where an error has none."""
    data = request.SerializeToString() if request else b""
    try:
        answers = call(iter([data]), timeout=patience.SECONDS, metadata=metadata)
        next(answers)  # one is enough where they never end
        answers.cancel()
    except grpc.RpcError as error:
        return from_rpc_error(error).reason
    return "OK"
