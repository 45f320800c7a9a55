"""The transport's tables speak of every method and every field of the contract, and of nothing else."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from imrs_client import channel
from imrs_client import v1 as pb
from imrs_server.domain import errors
from imrs_server.transport import access, server, validation
from tests.support import requests

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorProto


def test_every_field_of_every_request_has_a_rule() -> None:
    missing = [name for name in requests.fields() if validation.rule_of(*name.split(".")) is None]
    assert missing == []


def test_what_clients_send_to_keep_a_connection_is_none_too_much_for_the_server() -> None:
    """Else it ends their connections, with the calls in hand: GOAWAY, too_many_pings."""
    clients, servers = dict(channel.options()), dict(server.OPTIONS)
    assert clients["grpc.keepalive_permit_without_calls"] == servers["grpc.keepalive_permit_without_calls"]
    allowed_ms = servers["grpc.http2.min_ping_interval_without_data_ms"]
    assert int(clients["grpc.keepalive_time_ms"]) >= 2 * allowed_ms


def test_grpc_knows_every_option() -> None:
    """It says nothing of one that it does not know."""
    found = find_spec("grpc._cython.cygrpc")
    assert found is not None
    assert found.origin is not None
    library = Path(found.origin).read_bytes()
    names = {name for name, _ in (*channel.options(), *server.OPTIONS)}
    assert [name for name in sorted(names) if name.encode() not in library] == []


def test_every_rule_is_of_a_field_that_exists() -> None:
    names = set(requests.fields())
    bare = {name.split(".")[1] for name in names}
    unused = [key for key in validation.TABLE if key not in (names if "." in key else bare)]
    assert unused == []


def test_required_fields_exist() -> None:
    messages = requests.messages()
    for message, paths in validation.REQUIRED.items():
        for path in paths:
            descriptor = messages[message]
            *parents, last = path.split(".")
            for name in parents:
                descriptor = messages[requests.below(descriptor, name)]
            assert last in {*descriptor.fields_by_name, *descriptor.oneofs_by_name}


def test_every_method_has_its_roles() -> None:
    served = {
        name: {method.name for method in service.methods} for name, service in requests.SERVICES.items()
    }
    assert {name: set(methods) for name, methods in access.ROLES.items()} == served


def test_reasons_name_the_metadata_that_errors_have(files: list[FileDescriptorProto]) -> None:
    told = {}
    for file in files:
        comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        for at, value in enumerate(file.enum_type[0].value if file.enum_type else ()):
            example = re.search(r"Example metadata: \{(.*)\}", comments[5, 0, 2, at])
            told[value.name] = set(re.findall(r"(\w+): ", example[1])) if example else set()
    classes = [each for each in vars(errors).values() if isinstance(each, type)]
    reasons = {
        each.reason: {name for _, name, _, _ in Formatter().parse(each.__doc__ or "") if name}
        for each in classes
        if issubclass(each, errors.DomainError) and "reason" in vars(each) and each is not errors.DomainError
    }
    reasons["INVALID_REQUEST"].discard("summary")
    assert len(reasons) > 30
    assert {reason: names for reason, names in reasons.items() if not names <= told[reason]} == {}
    assert set(told) == set(pb.ErrorReason.keys())
