"""Every service of the contract, and everything that a request can carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport import rules, validation

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, FieldDescriptor, ServiceDescriptor

SERVICES: dict[str, ServiceDescriptor] = {
    service.name: service
    for file in (
        pb.admin_service_pb2, pb.catalog_service_pb2, pb.route_service_pb2, pb.feedback_service_pb2
    )
    for service in file.DESCRIPTOR.services_by_name.values()
}  # fmt: skip


def messages() -> dict[str, Descriptor]:
    """Requests, and what is in them that anybody reads, by name."""
    found: dict[str, Descriptor] = {}
    waiting: list[Descriptor] = [m.input_type for s in SERVICES.values() for m in s.methods]
    while waiting:
        message = waiting.pop()
        if message.name in found:
            continue
        found[message.name] = message
        waiting += [
            field.message_type
            for field in message.fields
            if field.message_type is not None
            and validation.is_walked(field)
            and validation.rule_of(message.name, field.name) is not rules.output
        ]
    return found


def fields() -> dict[str, FieldDescriptor]:
    """``Message.field`` of each of these."""
    return {f"{name}.{field.name}": field for name, each in messages().items() for field in each.fields}


def below(message: Descriptor, name: str) -> str:
    """The name of the message that a field holds."""
    found = message.fields_by_name[name].message_type
    assert found is not None
    return found.name
