"""The thread that every job runs on: turn after turn until it is stopped, whatever a turn runs into."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Callable

log = structlog.get_logger()


class Loop:
    """Calls ``turn`` at once, and again after as many seconds as it returned, or when it is woken.

    A turn that raises is tried again after ``retry_seconds``. What may pass by itself, such as a database
    that is away, is logged as ``{name}.failed`` when it begins, and as ``{name}.recovered`` when a turn
    succeeds; everything else each time. Between turns lie ``rest_seconds`` at least, so that what comes one
    by one is handled by the dozen.
    """

    def __init__(
        self,
        name: str,
        turn: Callable[[], float],
        *,
        retry_seconds: float,
        rest_seconds: float = 0.0,
    ) -> None:
        self._failed = f"{name}.failed"
        self._recovered = f"{name}.recovered"
        self._told = ""
        self._turn = turn
        self._retry_seconds = retry_seconds
        self._rest_seconds = rest_seconds
        self._woken = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether a turn that takes long should come to its end."""
        return self._stopping.is_set()

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the turn that it is in, and wait for it."""
        self._stopping.set()
        self._woken.set()
        self._thread.join()

    def wake(self) -> None:
        """Have the next turn now. Takes no lock that is held over I/O."""
        self._woken.set()

    def pause(self, seconds: float) -> None:
        """Within a turn: wait, but not when it is to come to its end."""
        self._stopping.wait(seconds)

    def _run(self) -> None:
        wait_seconds = 0.0
        while True:
            self._woken.wait(wait_seconds)
            # Before the look, or it could take away the word of a stop that comes between the two.
            self._woken.clear()
            if self._stopping.is_set():
                return
            wait_seconds = self._next()
            self._stopping.wait(self._rest_seconds)

    def _next(self) -> float:
        try:
            seconds = self._turn()
        except DomainError as error:
            if error.reason != self._told:
                log.warning(self._failed, reason=error.reason, retry_seconds=self._retry_seconds)
            self._told = error.reason
        except Exception:  # a thread that died would be missed by nobody until it is too late
            log.exception(self._failed, retry_seconds=self._retry_seconds)
        else:
            if self._told:
                log.info(self._recovered, reason=self._told)
            self._told = ""
            return seconds
        return self._retry_seconds
