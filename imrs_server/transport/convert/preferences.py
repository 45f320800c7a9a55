"""Preferences, both ways."""

from __future__ import annotations

from imrs_client import v1 as pb
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import etag
from imrs_server.transport.convert import common


def to_proto(preference: Preference) -> pb.Preference:
    return pb.Preference(
        agent_class=preference.agent_class,
        model_ids=preference.model_ids,
        parameters=common.to_parameters(preference.parameters),
        etag=etag(preference.version),
    )


def preference(message: pb.Preference) -> Preference:
    return Preference(
        agent_class=message.agent_class,
        model_ids=tuple(message.model_ids),
        parameters=common.parameters(message.parameters),
    )
