"""Batches: answered item by item and in order, where a bad item fails alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest, Unavailable
from imrs_server.transport.errors import as_domain
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

A = TypeVar("A")


def answer_each(
    method: str, requests: Iterable[Any], answer: Callable[[Any], A], failed: Callable[[pb.ItemError], A]
) -> list[A]:
    """An answer for each request, checked like a call of its own.

    Raises Unavailable: what is down for one item is down for all, and each would wait for it.
    """
    return [_attempt(method, request, answer, failed) for request in requests]


def to_item_error(error: BaseException, method: str) -> pb.ItemError:
    """What the status of a call would have said."""
    known = as_domain(error, method)
    metadata = known.metadata
    if isinstance(known, InvalidRequest):
        metadata = {each.field: each.description for each in known.violations}
    return pb.ItemError(
        code=grpc.StatusCode[known.code].value[0],
        reason=known.reason,
        message=known.message,
        metadata=metadata,
    )


def _attempt(method: str, request: Any, answer: Callable[[Any], A], failed: Callable[[pb.ItemError], A]) -> A:
    try:
        validate(request)
        return answer(request)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001  (every failure becomes the item's)
        return failed(to_item_error(error, method))
