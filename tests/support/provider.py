"""A provider on loopback: serves a catalogue, or behaves as badly as its script says."""

from __future__ import annotations

import struct
import threading
import zlib
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

from tests.support.catalogue import openrouter_body

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Behaviour = Callable[["_Handler"], None]
    Page = bytes | Callable[["Received"], bytes]


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came in; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class FakeProvider:
    """Answers each request with the next behaviour of its script, and with ``body`` when that is used up.

    Use as a context manager. ``requests`` holds what was asked, oldest first, ``connections`` is how many
    connections were made. It closes them after each answer, without a word, unless it ``keeps`` them.
    """

    def __init__(self, body: bytes | None = None, *, keeps: bool = False) -> None:
        self.body = openrouter_body() if body is None else body
        self.keeps = keeps
        self.connections = 0
        self.requests: list[Received] = []
        self.stopping = threading.Event()
        self._script: deque[Behaviour] = deque()
        self._pages: dict[str, Page] = {}
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.provider = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="provider", daemon=True
        )

    @property
    def url(self) -> str:
        """Its api_base."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def script(self, *behaviours: Behaviour) -> None:
        """What it does with the next requests, in order."""
        self._script.extend(behaviours)

    def page(self, path: str, body: Page) -> None:
        """What it answers for one path with its query, or how it makes that of the request."""
        self._pages[path] = body

    def next_behaviour(self, received: Received) -> Behaviour:
        """Take the next step of the script."""
        # Asked by several at a time, who may find the last step taken.
        with suppress(IndexError):
            return self._script.popleft()
        page = self._pages.get(received.path, self.body)
        return answer(page if isinstance(page, bytes) else page(received))

    def calm(self) -> None:
        """Forget what is left of the script, and what was asked."""
        self._script.clear()
        self.requests.clear()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def answer(
    body: bytes,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    kind: str = "application/json",
) -> Behaviour:
    """A whole, well-formed answer."""

    def behave(handler: _Handler) -> None:
        handler.send_response(status)
        for name, value in {"content-type": kind, **(headers or {})}.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return behave


def fail(status: int, **headers: str) -> Behaviour:
    """An error; underscores in header names become dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answer(b'{"error": {"message": "no", "code": %d}}' % status, status=status, headers=named)


def after(happens: Callable[[], object], behaviour: Behaviour) -> Behaviour:
    """What happens when the request has come, and then the behaviour."""

    def behave(handler: _Handler) -> None:
        happens()
        behaviour(handler)

    return behave


def hang(handler: _Handler) -> None:
    """Say nothing."""
    handler.provider.stopping.wait(30)


def drip_body(handler: _Handler) -> None:
    """A good beginning, then a byte of white space now and then: every read succeeds."""
    handler.raw(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{")
    while not handler.provider.stopping.wait(0.02):
        handler.raw(b" ")


def drip_headers(handler: _Handler) -> None:
    """The status line, then a header that never ends."""
    handler.raw(b"HTTP/1.1 200 OK\r\nx-slow: ")
    while not handler.provider.stopping.wait(0.02):
        handler.raw(b"a")


def flood_headers(handler: _Handler) -> None:
    """Megabytes of headers."""
    handler.raw(b"HTTP/1.1 200 OK\r\n")
    for number in range(100_000):
        handler.raw(b"x-%d: %s\r\n" % (number, b"a" * 100))


def gzip_bomb(handler: _Handler) -> None:
    """64 MiB of nothing in 64 KiB, not asked for."""
    answer(_packed(), headers={"content-encoding": "gzip"})(handler)


@cache
def _packed() -> bytes:
    """One block that inflates to 1 MiB, 64 times: packing them all takes longer than some deadlines."""
    mebibyte = bytes(1 << 20)
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(mebibyte) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(64):
        checksum = zlib.crc32(mebibyte, checksum)
    head, end = b"\x1f\x8b\x08" + bytes(7), zlib.compressobj(9, wbits=-15).flush()
    return head + 64 * block + end + struct.pack("<II", checksum, 64 << 20)


def cut_body(handler: _Handler) -> None:
    """Half of what was announced."""
    body = handler.provider.body
    handler.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body[: len(body) // 2])


def endless_items(handler: _Handler) -> None:
    """Models without end: 1 GiB of them."""
    item = b'{"id": "m%09d", "pad": "' + b"x" * 10_000 + b'"},'
    handler.raw(b'HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{"data": [')
    for number in range(110_000):
        handler.raw(item % number)


def endless_garbage(handler: _Handler) -> None:
    """1 GiB of one string."""
    handler.raw(b'HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{"data": ["')
    for _ in range(16_384):
        handler.raw(b"x" * 65_536)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    # Who comes while five wait would otherwise be let in a second later, or too late.
    request_queue_size = 128
    provider: FakeProvider

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is the point of many tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    @property
    def provider(self) -> FakeProvider:
        return self.server.provider

    def setup(self) -> None:
        super().setup()
        self.provider.connections += 1

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        received = Received(
            method=self.command,
            path=self.path,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(length),
        )
        self.provider.requests.append(received)
        self.close_connection = not self.provider.keeps
        with suppress(ConnectionError):
            self.provider.next_behaviour(received)(self)

    def do_POST(self) -> None:
        self.do_GET()

    def raw(self, data: bytes) -> None:
        """Bytes as they are."""
        self.wfile.write(data)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""
