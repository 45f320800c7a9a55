"""What a client knows of every method: how long it may take, and whether it may be repeated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from google.protobuf.descriptor_pb2 import MethodOptions

from imrs_client.v1 import (
    admin_service_pb2,
    catalog_service_pb2,
    feedback_service_pb2,
    route_service_pb2,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import MethodDescriptor

FILES: Final = (admin_service_pb2, catalog_service_pb2, route_service_pb2, feedback_service_pb2)

# None is for streams that last.
TIMEOUTS_SECONDS: Final[dict[str, float | None]] = {
    "Route": 1,
    "DetectTask": 1,
    "ExplainRoute": 2,
    "BatchRoute": 5,
    "StreamRoutes": None,
    "WatchAgent": None,
    "Complete": 600,
    "Embed": 60,
    "RecordMessage": 2,
    "SubmitFeedback": 2,
    "RevokeFeedback": 2,
    "CheckProvider": 20,
    "LoadEndpoint": 70,
    "UnloadEndpoint": 70,
    "SyncProvider": 60,
    "RevertSync": 60,
    "ApplyConfig": 60,
    "UndoConfig": 60,
    "ExportConfig": 60,
    "ReplayDecisions": 60,
}
OTHER_TIMEOUT_SECONDS: Final = 10.0

RETRY: Final = {
    "maxAttempts": 5,
    "initialBackoff": "0.05s",
    "maxBackoff": "1s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
# Half of the tokens gone, as after 50 failures in a row, and retries stop until calls succeed again.
THROTTLE: Final = {"maxTokens": 100, "tokenRatio": 0.5}


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """`path` as it travels, `/imrs.v1.RouteService/Route`; `timeout_seconds` is None where there is none."""

    path: str
    name: str
    timeout_seconds: float | None
    repeatable: bool


def _method(found: MethodDescriptor) -> Method:
    return Method(
        path=f"/{found.containing_service.full_name}/{found.name}",
        name=found.name,
        timeout_seconds=TIMEOUTS_SECONDS.get(found.name, OTHER_TIMEOUT_SECONDS),
        repeatable=found.GetOptions().idempotency_level != MethodOptions.IDEMPOTENCY_UNKNOWN,
    )


METHODS: Final = {
    method.path: method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in map(_method, service.methods)
}


def service_config() -> str:
    """The gRPC service config: which methods are tried again when the server is not there."""
    repeatable = [method.path.split("/")[1:] for method in METHODS.values() if method.repeatable]
    names = [{"service": service, "method": name} for service, name in repeatable]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": RETRY}], "retryThrottling": THROTTLE})
