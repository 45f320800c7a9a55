"""The wish to end, by Ctrl-C or SIGTERM, as something to look at and to wait for."""

from __future__ import annotations

import select
import signal
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Ending:
    """While it is entered, SIGINT and SIGTERM do nothing else but be noted. For the main thread.

    An Event that a handler sets can be missed: a signal that comes between Python's last look at signals and
    the system call that waits is handled only after the wait. A byte in a socket stays there.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._noted, noting = (self._stack.enter_context(each) for each in socket.socketpair())
        noting.setblocking(False)
        self._stack.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(noting.fileno()))
        for number in SIGNALS:
            self._stack.callback(signal.signal, number, signal.signal(number, lambda *_: None))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def fileno(self) -> int:
        """Readable as soon as it is wished: for waiting for other things at the same time."""
        return self._noted.fileno()

    @property
    def wished(self) -> bool:
        return bool(self._wait(0))

    def wait(self, seconds: float | None = None) -> bool:
        """Return when it is wished, also when it was before, or when the seconds are over; whether it is."""
        return bool(self._wait(seconds))

    def _wait(self, seconds: float | None) -> list[socket.socket]:
        return select.select([self._noted], [], [], seconds)[0]
