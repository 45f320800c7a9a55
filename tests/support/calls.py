"""Every method of the API, called by its name, and all that the caller gets to see."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from imrs_client import v1 as pb
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import MethodDescriptor

    from imrs_server.domain.principal import Role
    from tests.support.service import Service

METHODS: dict[str, MethodDescriptor] = {
    f"{service.name}/{method.name}": method
    for file in (
        pb.admin_service_pb2, pb.catalog_service_pb2, pb.route_service_pb2, pb.feedback_service_pb2
    )
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}  # fmt: skip

ENDLESS = frozenset({"RouteService/WatchAgent"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a call ended. ``reason`` is OK or the reason of the error, also of the first item of a batch."""

    reason: str
    code: str = "OK"
    answers: tuple[Message, ...] = ()
    status: bytes = b""
    trailing: tuple[tuple[str, str | bytes], ...] = ()

    @property
    def answer(self) -> Any:
        return self.answers[0]

    def __bytes__(self) -> bytes:
        """Everything that the caller gets to see."""
        seen = [self.code.encode(), self.status, *(each.SerializeToString() for each in self.answers)]
        return b"\0".join(seen) + repr(self.trailing).encode()


class Caller:
    """Calls as the bearer of a token, and sees what is on the wire."""

    def __init__(self, service: Service, *roles: Role, **claims: Any) -> None:
        """Without a role, without a token."""
        self._channel = grpc.insecure_channel(service.app.address)
        service.stack.callback(self._channel.close)
        token = service.token(*roles, **claims) if roles else ""
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def __call__(self, name: str, request: Message) -> Outcome:
        service, _, method = name.partition("/")
        stub = getattr(getattr(pb, f"{service}Stub")(self._channel), method)
        descriptor = METHODS[name]
        given = iter([request]) if descriptor.client_streaming else request
        try:
            if descriptor.server_streaming:
                stream = stub(given, metadata=self._metadata, timeout=patience.SECONDS)
                # What never ends is left after the first answer.
                answers, call = tuple(islice(stream, 1 if name in ENDLESS else None)), stream
                call.cancel()
            else:
                answer, call = stub.with_call(given, metadata=self._metadata, timeout=patience.SECONDS)
                answers = (answer,)
        except grpc.RpcError as error:
            return _failed(error)
        return Outcome(reason=_reason(answers), answers=answers, trailing=_shown(call.trailing_metadata()))


def _failed(error: Any) -> Outcome:
    trailing = dict(error.trailing_metadata())
    status = trailing.get("grpc-status-details-bin", b"")
    info = error_details_pb2.ErrorInfo()
    for detail in status_pb2.Status.FromString(status).details:
        detail.Unpack(info)
    return Outcome(
        reason=info.reason or error.code().name,
        code=f"{error.code().name} {error.details()}",
        status=status,
        trailing=_shown(error.trailing_metadata()),
    )


def _shown(metadata: Iterable[tuple[str, str | bytes]]) -> tuple[tuple[str, str | bytes], ...]:
    """The trailing metadata but the status, which is compared by itself, and the revision, which moves."""
    return tuple((k, v) for k, v in metadata if k not in ("grpc-status-details-bin", "imrs-revision"))


def _reason(answers: tuple[Any, ...]) -> str:
    """OK, unless the first item of a batch or stream says otherwise."""
    for answer in answers:
        if isinstance(answer, pb.Decision | pb.Message | pb.Feedback):
            return answer.error.reason or "OK"
        for name in ("decisions", "messages", "feedback"):
            for item in getattr(answer, name, ()):
                return item.error.reason or "OK"
    return "OK"
