"""What the protos say of a field is what is checked: bounds, patterns, what is required, what is answered."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.struct_pb2 import Struct

from imrs_client import v1 as pb
from imrs_server.transport import rules, validation
from tests.support import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import FieldDescriptor

    from imrs_server.transport.rules import Rule

# Their form is told once, in the comment of the resource, or in contract.
IDS = {
    validation.PROVIDER_ID, validation.AGENT_ID, validation.MODEL_ID, validation.UUID, validation.WORD,
}  # fmt: skip
OPAQUE = {"etag", "page_token", "order_by", "dialect"}

# The decisions of RecordDecisions go by what Route answers.
ANSWERED = {"Decision"}

UNITS = {"second": 1.0, "seconds": 1.0, "days": 86_400.0}
NUMBER = r"(\d[\d,.]*)"


def checked() -> Iterator[tuple[str, FieldDescriptor, Rule]]:
    """Every field that a request carries and somebody reads."""
    for name, field in requests.fields().items():
        rule = validation.rule_of(*name.split("."))
        assert rule is not None
        if rule is not rules.output and name.split(".")[0] not in ANSWERED:
            yield name, field, rule


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_what_is_only_answered_is_not_checked(comments: dict[str, str]) -> None:
    read = [name for name, _, _ in checked() if comments[name].startswith("Output only. ")]
    assert read == []


def test_what_is_required_is_said_to_be(comments: dict[str, str]) -> None:
    messages = requests.messages()
    enforced = set()
    for message, paths in validation.REQUIRED.items():
        for path in paths:
            descriptor = messages[message]
            *parents, last = path.split(".")
            for name in parents:
                enforced.add(f"{descriptor.name}.{name}")
                descriptor = messages[requests.below(descriptor, name)]
            enforced.add(f"{descriptor.name}.{last}")
    said = {name for name, _, _ in checked() if comments[name].startswith("Required. ")}
    # A batch may be empty. The id of a model is required in updates only, and of a part its oneof is.
    batches = {name for name in said if name.endswith("Request.requests")} | {
        "RecordDecisionsRequest.decisions"
    }
    assert enforced - said == {"Model.model_id", "Part.content"}
    assert said - enforced == batches


def test_the_length_of_a_text_is_told(comments: dict[str, str]) -> None:
    silent = []
    for name, field, rule in checked():
        if field.type != field.TYPE_STRING or field.is_repeated or rule in IDS:
            continue
        told = re.search(rf"(?:at most|1 to) {NUMBER}(?: printable)? characters", comments[name])
        if told:
            most = int(number(told[1]))
            start = "/" if field.name == "models_endpoint" else "a"
            assert rule(start.ljust(most, "a")) == "", name
            assert rule(start.ljust(most + 1, "a")) != "", name
        elif not (field.name in OPAQUE or "attern `^" in comments[name] or rule is rules.money):
            silent.append(name)
    assert silent == []


def test_patterns_are_the_ones_that_are_told(comments: dict[str, str]) -> None:
    samples = ["a", "A", "7", "-a", "a-b", "a_b", "a.b", "a/b", "a b", "ä", "a\n", "", "_a"]
    samples += ["a" * length for length in (32, 33, 50, 51, 64, 65, 255, 256)]
    told = 0
    for name, field, rule in checked():
        pattern = re.search(r"attern `\^(.*?)\$`", comments[name])
        if pattern is None:
            continue
        told += 1
        for sample in samples:
            good = re.fullmatch(pattern[1], sample) is not None
            assert (rule([sample] if field.is_repeated else sample) == "") == good, (name, sample)
    assert told > 5


def test_the_size_of_a_list_is_told(comments: dict[str, str]) -> None:
    for name, field, rule in checked():
        kind = field.message_type.name if field.message_type else ""
        if not (field.is_repeated or kind in ("StringList", "FieldMask")) or _is_map(field):
            continue
        if field.name in ("group_by", "domains") and "at most" not in comments[name]:
            continue  # told by their few values, or by a reference to capabilities
        told = re.search(rf"(?:at most|1 to) {NUMBER}", comments[name], re.IGNORECASE)
        assert told, name
        most = int(number(told[1]))
        item = _item(field, rule)
        assert rule(_list(field, [item] * most)) == "", name
        assert rule(_list(field, [item] * (most + 1))) != "", name
        each = re.search(rf" of (1 to|at most) {NUMBER} characters", comments[name])
        if each:
            longest = int(number(each[2]))
            assert rule(_list(field, ["a" * longest])) == "", name
            assert rule(_list(field, ["a" * (longest + 1)])) != "", name
            assert (rule(_list(field, [""])) == "") == (each[1] == "at most"), name


def test_the_size_of_a_map_is_told(comments: dict[str, str]) -> None:
    values: dict[str, Any] = {"words": pb.StringList(values=["a"]), "propensities": 0.5}
    for name, field, rule in checked():
        if not _is_map(field):
            continue
        told = re.search(rf"at most {NUMBER}", comments[name], re.IGNORECASE)
        assert told, name
        most = int(number(told[1]))
        if field.name in ("signal_ratings", "feedback_weights"):
            keys = validation.RATED_SIGNALS if field.name == "signal_ratings" else validation.KINDS
            assert len(keys) == most
            assert rule(dict.fromkeys(keys, 0.5)) == ""
            assert rule({"NO_SUCH": 0.5}) != ""
            continue
        of_models = "p/" * (field.name == "propensities")
        full = {f"{of_models}key{i}": values.get(field.name, "a") for i in range(most + 1)}
        assert rule(full) != "", name
        del full[f"{of_models}key0"]
        assert rule(full) == "", name


def test_the_range_of_a_number_is_told(comments: dict[str, str]) -> None:
    free = {"seed"}
    for name, field, rule in checked():
        if field.is_repeated or field.enum_type or field.name in free:
            continue
        if field.cpp_type in (field.CPPTYPE_STRING, field.CPPTYPE_MESSAGE, field.CPPTYPE_BOOL):
            continue
        told = re.search(rf"{NUMBER} (?:(?:\(bad\) )?to {NUMBER}|or more)", comments[name])
        assert told, name
        least = number(told[1])
        # A plain 0 is "not set", and never checked.
        least = 0 if least == 1 and not field.has_presence and field.name == "page_size" else least
        whole = field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64)
        step = 1 if whole else 0.001
        assert rule(least) == "", name
        assert rule(least - step) != "", name
        if told[2]:
            most = number(told[2].rstrip("."))
            assert rule(most) == "", name
            assert rule(most + step) != "", name
        assert rule(float("nan")) != "", name


def test_the_range_of_a_duration_is_told(comments: dict[str, str]) -> None:
    found = 0
    for name, field, rule in checked():
        if not field.message_type or field.message_type.full_name != "google.protobuf.Duration":
            continue
        found += 1
        told = re.search(rf"{NUMBER} ?(\w+)? to {NUMBER} (\w+)", comments[name])
        assert told, name
        least, most = (int(each * 10**9) for each in (number(told[1]), number(told[3]) * UNITS[told[4]]))
        assert [rule(nanoseconds(each)) for each in (least, most)] == ["", ""], name
        assert all(rule(nanoseconds(each)) for each in (least - 1, most + 1)), name
        assert (rule(Duration()) == "") == (least == 0 or "0 is never" in comments[name]), name
    assert found == 7


def nanoseconds(length: int) -> Duration:
    return Duration(seconds=length // 10**9, nanos=length % 10**9)


def test_the_size_and_depth_of_a_struct_is_told(comments: dict[str, str]) -> None:
    found = 0
    for name, field, rule in checked():
        if not field.message_type or field.message_type.full_name != "google.protobuf.Struct":
            continue
        found += 1
        told = re.search(
            rf"at most {NUMBER} KiB, nested at most {NUMBER} deep", comments[name], re.IGNORECASE
        )
        assert told, name
        small, big = Struct(), Struct()
        small["a"] = "x" * (int(told[1]) * 1024 - 32)
        big["a"] = "x" * int(told[1]) * 1024
        deep = nested(int(told[2]))
        deeper = nested(int(told[2]) + 1)
        assert [rule(_list(field, [each])) == "" for each in (small, big, deep, deeper)] == [
            True, False, True, False,
        ], name  # fmt: skip
    assert found > 6


def nested(depth: int) -> Struct:
    value: Any = {}
    for _ in range(depth - 1):
        value = {"a": value}
    found = Struct()
    found.update(value)
    return found


@pytest.mark.parametrize("digits", ["0", "999999999", "0.123456789", "12.5"])
def test_money_that_the_database_can_hold(digits: str) -> None:
    assert rules.money(digits) == ""


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "-1",
        "+1",
        " 1",
        "1.",
        ".5",
        "1e3",
        "1_000",
        "٣",
        "NaN",
        "999999999.1",
        "1000000000",
        "0.1234567891",
    ],
)
def test_money_that_it_cannot(digits: str) -> None:
    assert rules.money(digits) != ""


def _is_map(field: FieldDescriptor) -> bool:
    return bool(field.message_type and field.message_type.GetOptions().map_entry)


def _list(field: FieldDescriptor, items: list[Any]) -> Any:
    if field.is_repeated:
        return items
    if field.message_type and field.message_type.name == "FieldMask":
        return type("Mask", (), {"paths": items})
    return pb.StringList(values=items) if _is_string_list(field) else items[0]


def _is_string_list(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.name == "StringList"


def _item(field: FieldDescriptor, rule: Rule) -> Any:
    """One good item."""
    if field.is_repeated and field.message_type:
        return Struct() if field.message_type.name == "Struct" else object()
    if field.type == field.TYPE_INT32:
        return 1
    good = [each for each in ("a", "p/m", "user") if rule(_list(field, [each])) == ""]
    return good[0]
