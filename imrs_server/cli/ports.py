"""A port that several processes serve on, and nobody else."""

from __future__ import annotations

import errno
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

# What an address says of a machine that has no IPv6, for example.
_NOT_HERE = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Reservation:
    """Holds the port of ``address`` (host:port; port 0 takes a free one) without serving on it.

    Processes of ours may serve on it by SO_REUSEPORT from now on. Others that ask for it like that, another
    ``imrs serve`` among them, would silently get a part of the calls; they look first, as the constructor
    does, which raises OSError where anybody holds it.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        if not hasattr(socket, "SO_REUSEPORT"):
            raise OSError(errno.EOPNOTSUPP, "this system cannot serve from several processes on one port")
        self._stack = ExitStack()
        self._port = int(port)
        try:
            self._hold(host.strip("[]"))
        except BaseException:
            self._stack.close()
            raise
        self.address = f"{host}:{self._port}"

    def _hold(self, host: str) -> None:
        found = dict.fromkeys(
            (family, to)
            for family, _, _, _, to in socket.getaddrinfo(host, self._port, type=socket.SOCK_STREAM)
        )
        missing: OSError | None = None
        held = 0
        for family, to in found:
            try:
                self._bind(family, (to[0], self._port, *to[2:]))
                held += 1
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                missing = error
        if missing is not None and not held:
            raise missing

    def _bind(self, family: int, to: tuple[object, ...]) -> None:
        holding = self._stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        # Connections of a server that has ended may linger on the port; one that listens may not.
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holding.bind(to)
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        # Only now: a socket that has it when it is bound may share a port that somebody holds.
        holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._port = holding.getsockname()[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()
