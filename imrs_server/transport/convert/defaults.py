"""Defaults and rules of task detection, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client import v1 as pb
from imrs_client.tasks import Rules
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.provider import etag
from imrs_server.transport.convert import common, routing
from imrs_server.transport.convert.masks import Mutable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def to_proto(defaults: Defaults) -> pb.Defaults:
    return pb.Defaults(
        scope=common.number(pb.Defaults.Scope, defaults.scope),
        parameters=common.to_parameters(defaults.parameters),
        routing=routing.to_proto(defaults.routing),
        default_model_id=defaults.default_model_id,
        task_rules=to_rules(defaults.task_rules),
        etag=etag(defaults.version),
    )


def fields(message: pb.Defaults, mask: Sequence[str]) -> dict[str, Any]:
    """The fields that a mask names, or those that are set, as domain values. Raises InvalidRequest."""
    return _MUTABLE.changes(message, mask)


def scope(number: int) -> Scope | None:
    return common.member(Scope, pb.Defaults.Scope, number)


def to_rules(rules: Rules) -> pb.TaskRules:
    return pb.TaskRules(
        tools=rules.tools,
        mime_types=rules.mime_types,
        words={task_type: pb.StringList(values=words) for task_type, words in rules.words.items()},
    )


def _rules(message: pb.TaskRules) -> Rules:
    return Rules(
        tools=dict(message.tools),
        mime_types=dict(message.mime_types),
        words={task_type: tuple(words.values) for task_type, words in message.words.items()},
    )


_READERS: Mapping[str, Callable[[pb.Defaults], Any]] = {
    "parameters": lambda message: common.parameters(message.parameters),
    "routing": lambda message: routing.policy(message.routing),
    "default_model_id": lambda message: message.default_model_id,
    "task_rules": lambda message: _rules(message.task_rules),
}
_MUTABLE = Mutable(name="defaults", readers=_READERS, to_proto=to_proto)
