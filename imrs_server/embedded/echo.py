"""A provider that repeats what it is told, for trying Complete out without a key.

It is no model and knows nothing: the answer is the last user message. It speaks OpenAI's chat API on
loopback, streamed word by word or whole, and counts each word as a token.
"""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from imrs_server.embedded.folder import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

MODELS = ("echo-small", "echo-large")
CONTEXT_LENGTH = 32_768

_MOST_BYTES = 16 << 20
# A word, with the space before it.
_PIECE = re.compile(r"\s*\S+|\s+$")


class Echo:
    """A server on a free port while it is entered."""

    def __init__(self) -> None:
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="echo", daemon=True
        )

    @property
    def api_base(self) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Who comes while five wait to be let in would try again a second later.
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller who hangs up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/v1/models":
            listed = [{"id": name, "object": "model", "max_model_len": CONTEXT_LENGTH} for name in MODELS]
            self._whole({"object": "list", "data": listed})
        else:
            self._refuse(404, "there is /v1/models and /v1/chat/completions")

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        if length > _MOST_BYTES:
            self._refuse(413, "that is too long")
            return
        body = self.rfile.read(length)
        if self.path != "/v1/chat/completions":
            self._refuse(404, "there is /v1/models and /v1/chat/completions")
            return
        try:
            asked = json.loads(body)
            model, said, heard = asked["model"], _last_user_text(asked), _all_text(asked)
        except (ValueError, KeyError, TypeError, AttributeError):
            self._refuse(400, "that is no request for a chat completion")
            return
        if model not in MODELS:
            self._refuse(404, f"the model {model} does not exist", code="model_not_found")
            return
        pieces = _PIECE.findall(said)
        usage = _usage(len(_PIECE.findall(heard)), len(pieces))
        if asked.get("stream") is True:
            self._stream(_chunks(model, pieces, usage))
        else:
            message = {"role": "assistant", "content": "".join(pieces)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._whole({**_head(model, "chat.completion"), "choices": [choice], "usage": usage})

    def _stream(self, chunks: Iterator[dict[str, Any]]) -> None:
        self.close_connection = True
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for chunk in chunks:
            self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")

    def _whole(self, body: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _refuse(self, status: int, why: str, *, code: str | None = None) -> None:
        self.close_connection = True
        self._whole({"error": {"message": why, "type": "invalid_request_error", "code": code}}, status)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def _chunks(model: str, pieces: list[str], usage: dict[str, Any]) -> Iterator[dict[str, Any]]:
    head = _head(model, "chat.completion.chunk")
    for piece in pieces:
        delta = {"role": "assistant", "content": piece}
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    yield {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    yield {**head, "choices": [], "usage": usage}


def _head(model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{uuid4().hex}", "object": kind, "created": int(time.time()), "model": model}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _last_user_text(asked: dict[str, Any]) -> str:
    for each in reversed(asked["messages"]):
        if each["role"] == "user":
            return _text(each.get("content"))
    return ""


def _all_text(asked: dict[str, Any]) -> str:
    return " ".join(_text(each.get("content")) for each in asked["messages"])


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return " ".join(each["text"] for each in parts if isinstance(each, dict) and "text" in each)
