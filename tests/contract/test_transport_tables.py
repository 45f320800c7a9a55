"""The transport's tables speak of every method and every field of the contract, and of nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport import access, rules, validation

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

SERVICES: dict[str, ServiceDescriptor] = {
    service.name: service
    for file in (
        pb.admin_service_pb2, pb.catalog_service_pb2, pb.route_service_pb2, pb.feedback_service_pb2
    )
    for service in file.DESCRIPTOR.services_by_name.values()
}  # fmt: skip


def request_fields() -> dict[str, FieldDescriptor]:
    """``Message.field`` of everything a request can carry that anybody reads."""
    found: dict[str, FieldDescriptor] = {}
    waiting: list[Descriptor] = [m.input_type for s in SERVICES.values() for m in s.methods]
    seen: set[str] = set()
    while waiting:
        message = waiting.pop()
        if message.full_name in seen or message.GetOptions().map_entry:
            continue
        seen.add(message.full_name)
        for field in message.fields:
            found[f"{message.name}.{field.name}"] = field
            rule = validation.rule_of(message.name, field.name)
            if field.message_type and rule in (rules.anything, None):
                waiting.append(field.message_type)
    return found


def test_every_field_of_every_request_has_a_rule() -> None:
    missing = [name for name in request_fields() if validation.rule_of(*name.split(".")) is None]
    assert missing == []


def test_every_rule_is_of_a_field_that_exists() -> None:
    names = set(request_fields())
    bare = {name.split(".")[1] for name in names}
    unused = [key for key in validation.TABLE if key not in (names if "." in key else bare)]
    assert unused == []


def test_required_fields_exist() -> None:
    for message, paths in validation.REQUIRED.items():
        for path in paths:
            descriptor = getattr(pb, message).DESCRIPTOR
            for name in path.split("."):
                field = descriptor.fields_by_name[name]
                descriptor = field.message_type


def test_every_method_has_its_roles() -> None:
    served = {name: {method.name for method in service.methods} for name, service in SERVICES.items()}
    assert {name: set(methods) for name, methods in access.ROLES.items()} == served
