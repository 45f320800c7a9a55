"""What a client fills in a request before it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from imrs_client.ids import new_id
from imrs_client.v1 import RouteRequest

if TYPE_CHECKING:
    from google.protobuf.message import Message

    Request = TypeVar("Request", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Which of its fields a request has, and which of them hold requests of their own."""

    tenant: bool
    key: bool
    nested: tuple[str, ...]
    keyed: bool
    """Whether it has a key itself or in a request inside it."""


_shapes: dict[str, Shape] = {}


def filled(request: Request, tenant_id: str) -> Request:
    """The request, copied where it lacks a tenant or an idempotency key, with these.

    The key is what makes it safe to try again: a repeat whose key is known gets the first answer.
    """
    if tenant_id or _shape(request.DESCRIPTOR).keyed:
        copy = type(request)()
        copy.CopyFrom(request)
        _fill(copy, tenant_id)
        return copy
    return request


def _fill(request: Any, tenant_id: str) -> None:
    shape = _shape(request.DESCRIPTOR)
    if shape.tenant and tenant_id and not request.tenant_id:
        request.tenant_id = tenant_id
    if shape.key and not request.request_id:
        request.request_id = str(new_id())
    for name in shape.nested:
        value = getattr(request, name)
        for each in [value] if hasattr(value, "DESCRIPTOR") else value:
            _fill(each, tenant_id)


def _shape(descriptor: Any) -> Shape:
    shape = _shapes.get(descriptor.full_name)
    if shape is None:
        fields = descriptor.fields_by_name
        messages = [field for field in descriptor.fields if field.message_type]
        nested = [field for field in messages if field.message_type.name.endswith("Request")]
        # A RouteRequest's request_id only correlates, and decides where chance does: it is the caller's own.
        key = "request_id" in fields and descriptor is not RouteRequest.DESCRIPTOR
        shape = _shapes[descriptor.full_name] = Shape(
            tenant="tenant_id" in fields,
            key=key,
            nested=tuple(field.name for field in nested),
            keyed=key or any(_shape(field.message_type).keyed for field in nested),
        )
    return shape
