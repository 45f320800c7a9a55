"""A way to a TCP server that can be closed and opened: what is behind it seems to be away."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

CHUNK_BYTES = 1 << 16


class TcpRelay:
    """Owns a port of 127.0.0.1 that refuses connections until ``open`` lets them through to ``target``."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])

    def open(self) -> None:
        self._socket.listen()
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # it wakes who accepts; a socket that never listened has nobody
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                threading.Thread(target=self._connect, args=[near], name="relay", daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        # Where nobody is behind it, whoever came is let go.
        with near, suppress(OSError), socket.create_connection(self._target) as far:
            back = threading.Thread(target=_pump, args=(far, near), name="relay back", daemon=True)
            back.start()
            _pump(near, far)
            back.join()


@contextmanager
def nobody() -> Iterator[str]:
    """host:port where nobody listens; as long as this lasts the system gives the port to nobody else."""
    with TcpRelay(("127.0.0.1", 1)) as closed:
        yield f"127.0.0.1:{closed.port}"


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK_BYTES):
            sink.sendall(data)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
