"""Pages of any List method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from google.protobuf.message import Message


def items(response: Message) -> Any:
    """The items of a page: the response's first list of messages."""
    for field in response.DESCRIPTOR.fields:
        if field.message_type and field.is_repeated:
            return getattr(response, field.name)
    raise TypeError(f"{response.DESCRIPTOR.name} is not the answer of a List method")
