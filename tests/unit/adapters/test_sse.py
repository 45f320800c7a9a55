"""Streams of bytes, cut into events as the HTML standard says, wherever the chunks end."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.adapters.chat import sse
from imrs_server.adapters.chat.sse import Event
from imrs_server.adapters.failures import Unusable

STREAMS: dict[bytes, list[Event]] = {
    b"": [],
    b"\n\n\n": [],
    b"data: a\n\n": [Event("", b"a")],
    b"data:a\n\ndata:  b\n\n": [Event("", b"a"), Event("", b" b")],
    b"data: a\ndata: b\n\n": [Event("", b"a\nb")],
    b"event: x\ndata: a\n\ndata: b\n\n": [Event("x", b"a"), Event("", b"b")],
    b"data: a\nevent: x\n\n": [Event("x", b"a")],
    b"event: alone\n\ndata: a\n\n": [Event("", b"a")],
    b": comment\n\ndata: a\n\n": [Event("", b"a")],
    b"data\n\ndata:\n\ndata: \n\n": [],
    b"id: 1\nretry: 5\nunknown: x\ndata: a\n\n": [Event("", b"a")],
    b"data: a\r\n\r\ndata: b\r\n\r\n": [Event("", b"a"), Event("", b"b")],
    b"data: a\r\rdata: b\r\r": [Event("", b"a"), Event("", b"b")],
    b"data: a\r\ndata: b\n\r\n": [Event("", b"a\nb")],
    b"data: a": [Event("", b"a")],
    b"data: a\n\ndata: {": [Event("", b"a"), Event("", b"{")],
    b"\xef\xbb\xbfdata: a\n\n": [Event("", b"a")],
    "data: ü\n\n".encode(): [Event("", "ü".encode())],
    b"data: a: b\n\n": [Event("", b"a: b")],
}


@pytest.mark.parametrize("text", STREAMS, ids=repr)
def test_a_stream_is_cut_into_its_events(text: bytes) -> None:
    assert list(sse.events(iter([text]))) == STREAMS[text]
    assert list(sse.events(text[at : at + 1] for at in range(len(text)))) == STREAMS[text]


@given(
    st.lists(st.sampled_from([b"data: a", b"event: x", b"\n", b"\r", b"\r\n", b"", b": c"])),
    st.lists(st.integers(0, 60)),
)
def test_where_the_chunks_end_makes_no_difference(pieces: list[bytes], cuts: list[int]) -> None:
    text = b"".join(pieces)
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[start:end] for start, end in pairwise(bounds)]

    assert list(sse.events(iter(chunks))) == list(sse.events(iter([text])))


@pytest.mark.parametrize("piece", [b"x" * 65_536, b"data: " + b"x" * 65_529 + b"\n"])
def test_an_event_has_a_largest_size(piece: bytes) -> None:
    read = 0

    def endless() -> object:
        nonlocal read
        while True:
            read += len(piece)
            yield piece

    with pytest.raises(Unusable, match="8 MiB"):
        list(sse.events(endless()))  # type: ignore[arg-type]
    assert read < sse.EVENT_BYTES + 2 * 65_536
