"""Items come out of a list one by one, however the bytes arrive, and nonsense is refused in our words."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.json_stream import ItemStream, document, storable

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def cut(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def read(body: bytes, size: int = 7) -> tuple[list[Any], ItemStream]:
    stream = ItemStream(cut(body, size), ("data", "models"))
    return list(stream), stream


@given(
    items=st.lists(JSON),
    more=st.dictionaries(st.sampled_from(["object", "links", "a"]), JSON),
    size=st.integers(1, 50),
)
def test_what_is_written_is_read_for_every_cut(items: list[Any], more: dict[str, Any], size: int) -> None:
    body = json.dumps({**more, "data": items}, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if any(0xD800 <= ord(c) <= 0xDFFF for c in body.decode("utf-8", "surrogatepass")):
        return

    found, stream = read(body, size)

    assert found == items
    assert stream.envelope == more
    assert stream.found


@given(value=JSON)
def test_a_document_is_read_whole(value: Any) -> None:
    assert document(cut(json.dumps(value).encode(), 3)) == value


@pytest.mark.parametrize(
    "body", [b'[1, {"a": 2}]', b'\xef\xbb\xbf [1, {"a": 2}] \n', b'{"models": [1, {"a": 2}]}']
)
def test_a_bare_array_and_other_names_of_the_list_are_understood(body: bytes) -> None:
    assert read(body)[0] == [1, {"a": 2}]


@pytest.mark.parametrize(
    ("body", "found"), [(b'{"data": null}', True), (b'{"data": []}', True), (b"{}", False)]
)
def test_an_empty_list_differs_from_no_list(body: bytes, found: bool) -> None:
    items, stream = read(body)

    assert items == []
    assert stream.found is found


def test_what_surrounds_the_list_is_kept() -> None:
    items, stream = read(b'{"object": "list", "data": [1], "has_more": true, "models": [2]}')

    assert items == [1]
    assert stream.envelope == {"object": "list", "has_more": True, "models": [2]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"<!doctype html><html>", "HTML"),
        (b"\n <html>", "HTML"),
        (b"hello", "not JSON"),
        (b'"text"', "neither"),
        (b'{"data": [1, 2', "cut off"),
        (b'{"data": [1, 2]', "cut off"),
        (b'{"data": [1 2]}', "not JSON"),
        (b'{"data": [1,]}', "not JSON"),
        (b"{data: [1]}", "not JSON"),
        (b"{1: [1]}", "not JSON"),
        (b'{"data": [1]} trailing', "follows"),
        (b'{"data": [NaN]}', "not finite"),
        (b'{"data": [{"price": -Infinity}]}', "not finite"),
        (b'{"data": [1e999]}', "not finite"),
        (b'{"data": [' + b"9" * 5000 + b"]}", "far too long"),
        (b'{"data": ' + b"[" * 200_000, "nested"),
        (b'{"data": [{"a":' * 50_000, "nested"),
        (b'{"data": ["\xff"]}', "UTF-8"),
        (b'{"data": ["\x00"]}', "not JSON"),
        (b'{"data": ["' + b"x" * 3_000_000 + b'"]}', "1 MiB"),
        (b"{" + b",".join(b'"k%d": 1' % n for n in range(2000)) + b"}", "members"),
    ],
)
def test_nonsense_is_refused_with_a_reason(body: bytes, words: str) -> None:
    with pytest.raises(Unusable, match=words):
        read(body, 65_536)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(body: bytes) -> None:
    with contextlib.suppress(Unusable):
        read(body)


def test_texts_that_the_database_cannot_hold_are_replaced() -> None:
    value = {"a\x00": ["b\ud800c", 1, None, "line\nbreak"], "d": {"e": "\udfff"}}

    assert storable(value) == {"a\ufffd": ["b\ufffdc", 1, None, "line\nbreak"], "d": {"e": "\ufffd"}}


def test_deep_values_are_not_storable() -> None:
    deep: Any = "x"
    for _ in range(33):
        deep = [deep]

    assert storable(deep[0]) == deep[0]
    with pytest.raises(ValueError, match="deep"):
        storable(deep)
