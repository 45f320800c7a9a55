"""How an answer with a good status is read: what it says was not taken, and nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from imrs_server.adapters.somabrain import BatchFailed, Rejection, rejections

KEYS = ("a", "b", "c")
REFUSED = Rejection("it refuses this memory")


def read(answer: Any) -> dict[str, Rejection]:
    return rejections(json.dumps(answer).encode(), KEYS)


@pytest.mark.parametrize(
    "receipt",
    [
        b"", b"OK", b"null", b"[]", b"3", b'"a"', b"{", b"{}", b"\xff\xfe", b"[" * 100_000,
        b'{"ok": true, "tenant": "t", "namespace": "n", "results": [{"key": "a", "warnings": ["slow"]}]}',
        b'{"results": [{"key": "b", "status": "stored"}, {"key": "c", "status": 201}, 7, null, "a"]}',
        b'{"results": {"a": "failed"}, "errors": null, "failed": 0, "rejected": [], "items": "a"}',
        b'{"errors": [{"message": "no key"}, {"key": 3}, {"key": "unknown"}, "unknown", []]}',
        b'{"results": [{"key": "a", "error": null, "ok": true, "status": true}]}',
    ],
)  # fmt: skip
def test_what_names_no_memory_rejects_none(receipt: bytes) -> None:
    assert rejections(receipt, KEYS) == {}


@pytest.mark.parametrize("name", ["failed", "errors", "rejected"])
def test_lists_of_what_was_not_taken_are_understood(name: str) -> None:
    assert read({name: ["a", {"key": "c", "message": "too long"}]}) == {"a": REFUSED, "c": REFUSED}


@pytest.mark.parametrize("name", ["results", "items"])
@pytest.mark.parametrize(
    "mark",
    [{"ok": False}, {"success": False}, {"accepted": False}, {"error": "bad"}, {"status": "Failed"}],
)
def test_marks_on_single_results_are_understood(name: str, mark: dict[str, Any]) -> None:
    assert read({"ok": True, name: [{"key": "a"}, {"key": "b", **mark}]}) == {"b": REFUSED}


def test_a_status_says_whether_later_is_better() -> None:
    found = read(
        {"results": [{"key": "a", "status": 422}, {"key": "b", "status": 503}, {"key": "c", "status": 429}]}
    )
    assert {key: why.again for key, why in found.items()} == {"a": False, "b": True, "c": True}


def test_what_it_says_of_a_memory_is_not_repeated() -> None:
    assert "secret" not in repr(read({"errors": [{"key": "a", "message": "secret"}]}))


def test_a_plain_no_is_a_failure() -> None:
    with pytest.raises(BatchFailed):
        read({"ok": False})
