"""The protos are what was agreed (reviewed_protos.py), and keep the rules that no linter knows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    MethodDescriptorProto,
    MethodOptions,
)

import imrs_client.v1
from tests.contract import reviewed_protos as reviewed

if TYPE_CHECKING:
    from collections.abc import Iterator

UNSIGNED = {
    FieldDescriptorProto.TYPE_UINT32,
    FieldDescriptorProto.TYPE_UINT64,
    FieldDescriptorProto.TYPE_FIXED32,
    FieldDescriptorProto.TYPE_FIXED64,
}


def methods(files: list[FileDescriptorProto]) -> Iterator[tuple[str, MethodDescriptorProto, str]]:
    """Service, method and the method's comment."""
    for file in files:
        comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        for at, service in enumerate(file.service):
            for number, method in enumerate(service.method):
                yield service.name, method, comments.get((6, at, 2, number), "")


def messages(files: list[FileDescriptorProto]) -> dict[str, DescriptorProto]:
    """Every message by its name below the package, `CompleteEvent.Delta`, but for the entries of maps."""

    def below(prefix: str, found: DescriptorProto) -> Iterator[tuple[str, DescriptorProto]]:
        yield prefix + found.name, found
        for nested in found.nested_type:
            if not nested.options.map_entry:
                yield from below(f"{prefix}{found.name}.", nested)

    return dict(pair for file in files for each in file.message_type for pair in below("", each))


def enums(files: list[FileDescriptorProto]) -> dict[str, EnumDescriptorProto]:
    """Every enum by its name below the package, `Provider.Type`."""
    top = {enum.name: enum for file in files for enum in file.enum_type}
    nested = {
        f"{name}.{enum.name}": enum for name, found in messages(files).items() for enum in found.enum_type
    }
    return top | nested


def fields(message: DescriptorProto) -> list[str]:
    return [field.name + "?" * field.proto3_optional for field in message.field]


def short(type_name: str) -> str:
    return type_name.removeprefix(".imrs.v1.").removeprefix(".")


def test_the_protos_import_nothing_but_google_protobuf(files: list[FileDescriptorProto]) -> None:
    foreign = {name for file in files for name in file.dependency if not name.startswith("imrs/v1/")}
    assert all(name.startswith("google/protobuf/") for name in foreign)


def test_services_and_methods_are_the_reviewed_ones(files: list[FileDescriptorProto]) -> None:
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for service, method, _ in methods(files):
        answer = "stream " * method.server_streaming + short(method.output_type)
        level = MethodOptions.IdempotencyLevel.Name(method.options.idempotency_level)
        found.setdefault(service, {})[method.name] = (answer, level)
    assert found == reviewed.METHODS


def test_requests_are_named_after_their_method_but_for_the_reviewed_ones(
    files: list[FileDescriptorProto],
) -> None:
    asked = {
        method.name: "stream " * method.client_streaming + short(method.input_type)
        for _, method, _ in methods(files)
    }
    assert {
        name: request for name, request in asked.items() if request != f"{name}Request"
    } == reviewed.REQUESTS


def test_every_method_states_whether_it_may_be_repeated(files: list[FileDescriptorProto]) -> None:
    silent = [m.name for _, m, _ in methods(files) if not m.options.HasField("idempotency_level")]
    assert silent == []


def test_every_method_says_who_may_call_it_and_with_which_errors_it_answers(
    files: list[FileDescriptorProto],
) -> None:
    codes = {reason: code for code, reasons in reviewed.REASONS.items() for reason in reasons.split()}
    roles = {"platform_admin", "tenant_admin", "agent", "user"}
    for _, method, comment in methods(files):
        callers = re.search(r"^ Callers: (.+)\.$", comment, re.MULTILINE)
        assert callers, method.name
        assert set(callers[1].split(", ")) <= roles, method.name
        listed = comment.partition("\n Errors:\n")[2]
        errors = re.findall(r"^ - (\w+) (\w+): \S", listed, re.MULTILINE)
        assert errors, method.name
        assert len(errors) == listed.count("\n - ") + listed.startswith(" - "), method.name
        assert {reason: codes[reason] for _, reason in errors} == {r: code for code, r in errors}, method.name


def test_every_service_lists_the_errors_that_any_method_may_answer(files: list[FileDescriptorProto]) -> None:
    for file in files:
        comments = {tuple(each.path): each.leading_comments for each in file.source_code_info.location}
        for at in range(len(file.service)):
            found = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", comments[6, at]))
            assert found >= {"TOKEN_MISSING", "TOKEN_INVALID", "TOKEN_EXPIRED", "ROLE_REQUIRED", "NOT_BUILT"}
            assert "OVERLOADED" in comments[6, at]
            assert "INTERNAL" in comments[6, at]


def test_every_field_says_whether_it_is_asked_for_or_answered(files: list[FileDescriptorProto]) -> None:
    starts = ("Required. ", "Optional. ", "Output only. ", "Input only. ")
    for file in files:
        comments = {
            tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location
        }
        for path, comment in comments.items():
            # (4, message, [3, nested]..., 2, field); one of a oneof is covered by what the oneof says.
            if path[:1] != (4,) or len(path) % 2 or path[-2] != 2 or set(path[2:-2:2]) - {3}:
                continue
            found = file.message_type[path[1]]
            for nested in path[3:-2:2]:
                found = found.nested_type[nested]
            field = found.field[path[-1]]
            in_oneof = field.HasField("oneof_index") and not field.proto3_optional
            assert in_oneof or comment.startswith(starts), f"{found.name}.{field.name}"


def test_lists_are_paged_and_name_their_items(files: list[FileDescriptorProto]) -> None:
    found = messages(files)
    lists = [method.name for _, method, _ in methods(files) if method.name.startswith("List")]
    assert sorted(lists) == sorted(reviewed.LISTS)
    for name, answers in reviewed.LISTS.items():
        asked = fields(found[f"{name}Request"])
        assert {"page_size", "page_token", "order_by"} <= set(asked), name
        expected = [answers[0], "next_page_token", "total_size", *answers[1:]]
        assert fields(found[f"{name}Response"]) == expected, name
        assert ("start_time" in asked) == ("end_time" in asked), name


def test_updates_take_the_resource_and_a_mask(files: list[FileDescriptorProto]) -> None:
    found = messages(files)
    updates = [method for _, method, _ in methods(files) if method.name.startswith("Update")]
    assert len(updates) == 5
    for method in updates:
        asked = {field.name: short(field.type_name) for field in found[short(method.input_type)].field}
        assert asked["update_mask"] == "google.protobuf.FieldMask"
        assert short(method.output_type) in asked.values()


@pytest.mark.parametrize("name", list(reviewed.FIELDS))
def test_messages_have_the_reviewed_fields(files: list[FileDescriptorProto], name: str) -> None:
    assert fields(messages(files)[name]) == reviewed.FIELDS[name].split()


def test_enums_have_the_reviewed_short_names(files: list[FileDescriptorProto]) -> None:
    found = enums(files)
    reasons = found.pop("ErrorReason")
    assert all("." in name for name in found), "ErrorReason is the only enum at the top level"
    expected = {}
    for name, values in reviewed.ENUMS.items():
        zero = re.sub(r"(?<!^)(?=[A-Z])", "_", name.rpartition(".")[2]).upper() + "_UNSPECIFIED"
        expected[name] = dict(enumerate([zero, *values.split()]))
    assert {
        name: {value.number: value.name for value in enum.value} for name, enum in found.items()
    } == expected
    listed = " ".join(reviewed.REASONS.values()).split()
    assert [value.name for value in reasons.value] == ["ERROR_REASON_UNSPECIFIED", *listed]


def test_every_reason_states_its_code_and_an_example(files: list[FileDescriptorProto]) -> None:
    [file] = [file for file in files if file.enum_type]
    comments = {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}
    codes = {reason: code for code, reasons in reviewed.REASONS.items() for reason in reasons.split()}
    for at, value in enumerate(file.enum_type[0].value):
        if value.number:
            comment = comments[5, 0, 2, at]
            assert comment.startswith(f"{codes[value.name]}. "), value.name
            assert "Example metadata: {" in comment, value.name


def test_numbers_are_signed_and_secrets_are_redacted(files: list[FileDescriptorProto]) -> None:
    for name, message in messages(files).items():
        for field in message.field:
            assert field.type not in UNSIGNED, f"{name}.{field.name}"
            secret = field.name in {"api_key", "token"}
            assert field.options.debug_redact == secret, f"{name}.{field.name}"


def test_money_is_text(files: list[FileDescriptorProto]) -> None:
    money = [
        field
        for message in messages(files).values()
        for field in message.field
        if field.name.endswith("_usd")
    ]
    assert len(money) > 10
    assert {field.type for field in money} == {FieldDescriptorProto.TYPE_STRING}


def test_the_client_exports_every_name(files: list[FileDescriptorProto]) -> None:
    top = {name for name in messages(files) | enums(files) if "." not in name}
    assert top <= set(imrs_client.v1.__all__)
    assert {f"{name}Stub" for name in reviewed.METHODS} <= set(imrs_client.v1.__all__)
    assert all(hasattr(imrs_client.v1, name) for name in imrs_client.v1.__all__)
