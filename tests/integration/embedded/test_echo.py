"""The provider that repeats what it is told."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from imrs_server.embedded.echo import MODELS, Echo

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with Echo() as found:
        yield found


def ask(echo: Echo, body: Any, path: str = "/chat/completions") -> bytes:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    with urllib.request.urlopen(f"{echo.api_base}{path}", data, timeout=10) as response:
        found: bytes = response.read()
    return found


def test_many_who_come_at_once_are_let_in_at_once() -> None:
    """Nobody is accepted before it is entered: all of them wait, and none is turned away to try again."""
    echo = Echo()
    place = urlsplit(echo.api_base)
    with ExitStack() as stack:
        for _ in range(64):
            stack.enter_context(socket.create_connection((str(place.hostname), place.port or 0), timeout=10))
        stack.enter_context(echo)


TURNS = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "one"},
    {"role": "user", "content": [{"type": "text", "text": "two words"}]},
]


def test_the_last_user_message_comes_back_with_words_counted(echo: Echo) -> None:
    answer = json.loads(ask(echo, {"model": "echo-small", "messages": TURNS}))
    (choice,) = answer["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("two words", "stop")
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}


def test_streamed_it_comes_word_by_word(echo: Echo) -> None:
    asked = {"model": "echo-large", "messages": [{"role": "user", "content": " a\nb  c "}], "stream": True}
    lines = [line.removeprefix(b"data: ") for line in ask(echo, asked).split(b"\n\n") if line]
    assert lines.pop() == b"[DONE]"
    *chunks, end, usage = map(json.loads, lines)
    assert [each["choices"][0]["delta"]["content"] for each in chunks] == [" a", "\nb", "  c", " "]
    assert end["choices"][0]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == 4


def test_it_lists_its_models(echo: Echo) -> None:
    with urllib.request.urlopen(f"{echo.api_base}/models", timeout=10) as response:
        assert [each["id"] for each in json.load(response)["data"]] == list(MODELS)


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [
        (b"{", "/chat/completions", 400),
        ([], "/chat/completions", 400),
        ({"model": "echo-small", "messages": [7]}, "/chat/completions", 400),
        ({"model": "gpt", "messages": TURNS}, "/chat/completions", 404),
        ({"model": "echo-small", "messages": TURNS}, "/embeddings", 404),
    ],
)
def test_what_it_cannot_do_it_refuses(echo: Echo, body: Any, path: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(echo, body, path)
    assert caught.value.code == status
    assert json.load(caught.value)["error"]["message"]
