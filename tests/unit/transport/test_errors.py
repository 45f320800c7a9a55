"""Errors as they travel: a status with its details, never longer than a client takes."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from google.rpc import error_details_pb2

from imrs_server.domain.errors import (
    AddressForbidden,
    DomainError,
    InvalidRequest,
    ModelNotFound,
    ProviderRateLimited,
    RuleNotFound,
    Violation,
)
from imrs_server.transport.errors import as_domain, to_status

TRAILER_BYTES = 8 << 10
WIDE = "\U0001f600"


def travels(error: DomainError) -> int:
    """Bytes in the trailers: the message percent-encoded, the whole status in Base64."""
    status = to_status(error)
    return len(quote(status.message)) + len(status.SerializeToString()) * 4 // 3


def test_what_is_at_fault_is_named_field_by_field() -> None:
    status = to_status(InvalidRequest(Violation("a", "must be set"), Violation("b", "must be 1")))
    info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info)
    assert status.details[1].Unpack(request)
    assert (status.code, info.domain, info.reason, dict(info.metadata)) == (
        3, "imrs.dev", "INVALID_REQUEST", {},
    )  # fmt: skip
    assert [(each.field, each.description) for each in request.field_violations] == [
        ("a", "must be set"),
        ("b", "must be 1"),
    ]


def test_waiting_is_said_to_the_millisecond() -> None:
    status = to_status(ProviderRateLimited(provider_id="p", retry_after_seconds=1.5))
    retry = error_details_pb2.RetryInfo()
    assert status.details[1].Unpack(retry)
    assert (retry.retry_delay.seconds, retry.retry_delay.nanos) == (1, 500_000_000)


def test_a_fault_of_ours_shows_its_id_and_nothing_else() -> None:
    secret = ValueError("postgresql://imrs:secret@db/imrs: select key from models")
    error = as_domain(secret, "/imrs.v1.AdminService/GetAgent")
    assert list(error.metadata) == ["error_id"]
    told = to_status(error).SerializeToString()
    assert b"secret" not in told
    assert b"select" not in told


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest(*[Violation(f"list[{i}].{WIDE * 99}", WIDE * 999) for i in range(10)]),
        ModelNotFound(model_id="p/" + WIDE * 253),
        RuleNotFound(rule_id="a" * 64, agent_id="a" * 64),
        AddressForbidden(address="a" * 2048, detail="x" * 2048),
    ],
    ids=["violations", "model", "rule", "address"],
)
def test_no_error_is_longer_than_a_client_takes(error: DomainError) -> None:
    assert travels(error) < TRAILER_BYTES


def test_an_id_is_told_whole() -> None:
    model_id = "p/" + WIDE * 253
    info = error_details_pb2.ErrorInfo()
    assert to_status(ModelNotFound(model_id=model_id)).details[0].Unpack(info)
    assert info.metadata["model_id"] == model_id
