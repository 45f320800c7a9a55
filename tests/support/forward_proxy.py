"""An HTTP proxy on loopback that answers CONNECT, to wherever it is told to send a name."""

from __future__ import annotations

import base64
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_REFUSED = b"HTTP/1.1 %s\r\ncontent-length: 0\r\n\r\n"


class ForwardProxy:
    """Use as a context manager. ``asked`` holds the targets that it was asked for, as host:port.

    ``names`` says where a target really is; what is not in it is refused. ``login`` is user:password, if
    it wants one.
    """

    def __init__(self, names: dict[str, tuple[str, int]], *, login: str = "") -> None:
        self.asked: list[str] = []
        self._names = names
        self._login = base64.b64encode(login.encode()).decode() if login else ""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, name="proxy", daemon=True)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                caller, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(caller,), daemon=True).start()

    def _handle(self, caller: socket.socket) -> None:
        with caller, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                piece = caller.recv(4096)
                if not piece:
                    return
                head += piece
            text = head.decode("latin-1")
            method, target, _ = text.split(" ", 2)
            self.asked.append(target)
            if self._login and f"basic {self._login}".lower() not in text.lower():
                caller.sendall(_REFUSED % b"407 Proxy Authentication Required")
            elif method != "CONNECT" or target not in self._names:
                caller.sendall(_REFUSED % b"403 Forbidden")
            else:
                with socket.create_connection(self._names[target]) as there:
                    caller.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                    back = threading.Thread(target=_copy, args=(there, caller), daemon=True)
                    back.start()
                    _copy(caller, there)
                    back.join()


def _copy(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
