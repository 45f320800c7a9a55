"""Calls without our client: any bytes, any metadata, any method name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc

from imrs_client.errors import ImrsError, from_rpc_error
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Sequence


def send(
    address: str, method: str, data: bytes = b"", metadata: Sequence[tuple[str, str | bytes]] = ()
) -> list[bytes]:
    """Send bytes as a request, as a stream of one where the method takes a stream; returns the answers.

    Raises ImrsError.
    """
    with grpc.insecure_channel(address) as channel:
        call: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(method)
        try:
            return list(call(iter([data]), timeout=patience.SECONDS, metadata=tuple(metadata)))
        except grpc.RpcError as error:
            raise from_rpc_error(error) from None


def refusal(
    address: str, method: str, data: bytes = b"", metadata: Sequence[tuple[str, str | bytes]] = ()
) -> ImrsError:
    """How a call that must fail fails."""
    try:
        answers = send(address, method, data, metadata)
    except ImrsError as error:
        return error
    raise AssertionError(f"{method} answered {answers!r}")
