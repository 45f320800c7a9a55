"""Batches: answered item by item and in order, where a bad item fails alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import grpc

from imrs_client import v1 as pb
from imrs_server.domain.errors import InvalidRequest, Unavailable
from imrs_server.transport.errors import as_domain
from imrs_server.transport.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

A = TypeVar("A")
B = TypeVar("B")
W = TypeVar("W")


def answer_each(
    method: str, requests: Iterable[Any], answer: Callable[[Any], A], failed: Callable[[pb.ItemError], A]
) -> list[A]:
    """An answer for each request, checked like a call of its own.

    Raises Unavailable: what is down for one item is down for all, and each would wait for it.
    """
    return [_attempt(method, request, answer, failed) for request in requests]


def answer_together(
    method: str,
    requests: Iterable[Any],
    begin: Callable[[Any], B],
    do: Callable[[Sequence[B]], Sequence[W | Exception]],
    answer: Callable[[W], A],
    failed: Callable[[pb.ItemError], A],
) -> list[A]:
    """As ``answer_each``, but everything that could begin is done at once.

    Raises Unavailable: what is down for one item is down for all.
    """
    begun = [_attempt(method, each, begin, _Failed) for each in requests]
    done = iter(do([each for each in begun if not isinstance(each, _Failed)]))
    outcomes = [each if isinstance(each, _Failed) else next(done) for each in begun]
    for outcome in outcomes:
        if isinstance(outcome, Unavailable):
            raise outcome
    return [
        failed(outcome.error)
        if isinstance(outcome, _Failed)
        else failed(to_item_error(outcome, method))
        if isinstance(outcome, Exception)
        else answer(outcome)
        for outcome in outcomes
    ]


@dataclass(frozen=True, slots=True)
class _Failed:
    """An item that could not begin."""

    error: pb.ItemError


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


def _attempt(
    method: str, request: Any, answer: Callable[[Any], A], failed: Callable[[pb.ItemError], B]
) -> A | B:
    try:
        validate(request)
        return answer(request)
    except Unavailable:
        raise
    except Exception as error:  # noqa: BLE001  (every failure becomes the item's)
        return failed(to_item_error(error, method))
