"""A proxy before Vault that lets a test act between a request and its answer."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    Hook = Callable[[str, str], bool]

_HOP = frozenset({"transfer-encoding", "connection", "content-length", "date", "server"})


class VaultProxy:
    """Passes requests on to ``address``. Use as a context manager.

    ``before`` and ``after`` are called with method and path: before a request is passed on, and after Vault
    has answered it but before the client hears of that. They say whether to go on.
    """

    def __init__(self, address: str) -> None:
        self.target = urlsplit(address).netloc
        self.before: Hook = lambda _method, _path: True
        self.after: Hook = lambda _method, _path: True
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="vault proxy", daemon=True
        )

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    proxy: VaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients here are killed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def pass_on(self) -> None:
        proxy = self.server.proxy
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not proxy.before(self.command, self.path):
            return
        upstream = http.client.HTTPConnection(proxy.target, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
        upstream.request(self.command, self.path, body=body or None, headers=headers)
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if not proxy.after(self.command, self.path):
            return
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_DELETE = do_LIST = do_PATCH = pass_on  # noqa: N815  (names of http.server)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
