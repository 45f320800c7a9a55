"""Agent messages and domain agents, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_server.domain.provider import State, etag
from imrs_server.transport.convert import common, routing
from imrs_server.transport.convert.masks import Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from imrs_server.domain.agent import Agent, ModelOverride


def to_proto(agent: Agent) -> pb.Agent:
    return pb.Agent(
        agent_id=agent.agent_id,
        tenant_id=str(agent.tenant_id),
        display_name=agent.display_name,
        agent_class=agent.agent_class,
        use_case=agent.use_case,
        tags=agent.tags,
        labels=agent.labels,
        metadata=common.to_struct(agent.metadata or None),
        capsule=common.to_struct(agent.capsule),
        default_model_id=agent.default_model_id,
        parameters=common.to_parameters(agent.parameters),
        routing=routing.to_proto(agent.routing),
        override=_to_override(agent.override),
        fallback_model_ids=common.to_string_list(agent.fallback_model_ids),
        state=common.number(pb.Agent.State, agent.state),
        create_time=common.to_timestamp(agent.create_time),
        update_time=common.to_timestamp(agent.update_time),
        delete_time=common.to_timestamp(agent.delete_time),
        etag=etag(agent.version),
    )


def fields(message: pb.Agent, mask: Sequence[str] = ()) -> dict[str, Any]:
    """The fields that a mask names, or those that are set, as domain values. Raises InvalidRequest."""
    return _MUTABLE.changes(message, mask)


def state(number: int) -> State | None:
    return common.member(State, pb.Agent.State, number)


def _to_override(override: ModelOverride | None) -> pb.ModelOverride | None:
    if override is None:
        return None
    return pb.ModelOverride(
        model_id=override.model_id,
        set_by=override.set_by,
        set_time=common.to_timestamp(override.set_time),
    )


_READERS: Mapping[str, Callable[[pb.Agent], Any]] = {
    "display_name": lambda message: message.display_name,
    "agent_class": lambda message: message.agent_class,
    "use_case": lambda message: message.use_case,
    "tags": lambda message: tuple(message.tags),
    "labels": lambda message: dict(message.labels),
    "metadata": lambda message: common.struct(message, "metadata") or {},
    "capsule": lambda message: common.struct(message, "capsule"),
    "default_model_id": lambda message: message.default_model_id,
    "parameters": lambda message: common.parameters(message.parameters),
    "routing": lambda message: routing.policy(message.routing),
    "fallback_model_ids": lambda message: common.string_list(message, "fallback_model_ids"),
    "state": lambda message: state(message.state) or State.ACTIVE,
}
_MUTABLE = Mutable(name="agent", readers=_READERS, to_proto=to_proto)
