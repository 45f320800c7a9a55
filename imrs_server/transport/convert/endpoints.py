"""Endpoints, both ways."""

from __future__ import annotations

from imrs_client import v1 as pb
from imrs_server.domain.endpoint import Endpoint, EndpointState
from imrs_server.transport.convert import common


def to_proto(endpoint: Endpoint) -> pb.Endpoint:
    return pb.Endpoint(
        endpoint_id=endpoint.endpoint_id,
        model_id=endpoint.model_id,
        base_url=endpoint.url,
        weight=endpoint.weight,
        state=common.number(pb.Endpoint.State, endpoint.state),
        in_flight=endpoint.in_flight,
        ttl=common.to_duration(endpoint.ttl),
        memory_bytes=endpoint.memory_bytes or 0,
        load_error=endpoint.load_error,
        last_used_time=common.to_timestamp(endpoint.last_used_time),
    )


def endpoint(message: pb.Endpoint) -> Endpoint:
    return Endpoint(
        endpoint_id=message.endpoint_id,
        model_id=message.model_id,
        base_url=message.base_url.rstrip("/"),
        weight=message.weight or 1,
        ttl=common.duration(message, "ttl"),
    )


def state(number: int) -> EndpointState | None:
    return common.member(EndpointState, pb.Endpoint.State, number)
