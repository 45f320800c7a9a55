"""Applies a configuration file whenever it changes: a good one at once, a bad one not at all."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from imrs_server.config_file.problems import ConfigInvalid
from imrs_server.domain.configuration import AppliedAlready
from imrs_server.domain.errors import Code, DomainError
from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from imrs_server.domain.configuration import Plan
    from imrs_server.domain.written import Written

log = structlog.get_logger()

POLL_SECONDS = 0.1
RETRY_SECONDS = 1.0
REFUSED_SECONDS = 10.0


def uncounted(_result: str) -> None:
    """For servers without figures."""


@dataclass(frozen=True, slots=True)
class _Stamp:
    """What changes of a file with its content: rewritten, renamed over, or linked anew."""

    device: int
    inode: int
    modified_ns: int
    size: int


class ConfigWatch:
    """A thread that looks at a file ten times a second, through links as Kubernetes makes them.

    A file that changes between two looks is left alone until it rests. ``apply`` takes its text; what it
    refuses is logged with its lines and counted, and the last good configuration stays. A valid file that is
    refused for what there is, such as a model that a sync is yet to bring, is tried again now and then.
    Where ``apply`` raises AppliedAlready, as after a restart, what was edited past the file stands.
    ``note`` is told each result: ok, unchanged, refused, or the reason why it could not be tried.
    """

    def __init__(
        self,
        path: Path,
        apply: Callable[[str], Written[Plan]],
        *,
        note: Callable[[str], None] = uncounted,
        poll_seconds: float = POLL_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._apply = apply
        self._note = note
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._loop = Loop("config_watch", self._next, retry_seconds=RETRY_SECONDS)
        self._seen: _Stamp | None = None
        self._done: _Stamp | None = None
        self._digest = b""
        self._again: float | None = None
        self._told: list[str] = []
        self._missing = False
        self.refused = False

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> None:
        """Look once. Raises what may pass by itself, such as DatabaseUnavailable."""
        stamp = self._stamp()
        rests, self._seen = stamp == self._seen, stamp
        due = self._again is not None and self._clock() >= self._again
        if stamp is None or not rests or (stamp == self._done and not due):
            return
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            return
        except OSError as error:
            # Whether it can be read may change without it, and what it says is to be looked at then, also
            # where it is the very file that was applied last.
            self._digest, self._done = b"", None
            self._refuse(problems=[f"{self._path}: {error.strerror}"])
            return
        if self._stamp() != stamp:
            return
        digest = hashlib.sha256(content).digest()
        if digest != self._digest or self._again is not None:
            if stamp != self._done:
                self._told = []
            self._again = self._take(content)
        self._digest, self._done = digest, stamp

    def _take(self, content: bytes) -> float | None:
        """Apply it; when to try that again, where time may help."""
        try:
            written = self._apply(content.decode("utf-8-sig"))
        except AppliedAlready:
            self.refused = False
            self._note("unchanged")
            log.info(
                "config.unchanged", file=str(self._path), hint="it was applied before; edits since stand"
            )
        except UnicodeDecodeError:
            self._refuse(problems=[f"{self._path}: must be UTF-8"])
        except ConfigInvalid as invalid:
            self._refuse(problems=[each.within(str(self._path)) for each in invalid.problems])
        except DomainError as error:
            if error.code in (Code.UNAVAILABLE, Code.INTERNAL):
                self._note(error.reason)
                raise
            self._refuse(problems=[f"{self._path}: {error.message}"])
            return self._clock() + REFUSED_SECONDS
        else:
            self.refused = False
            self._note("ok")
            changes = len(written.value.changing)
            log.info("config.applied", file=str(self._path), changes=changes, revision=written.revision)
        return None

    def _refuse(self, *, problems: list[str]) -> None:
        self.refused = True
        if problems == self._told:
            return  # tried again, in vain
        self._told = problems
        self._note("refused")
        log.error("config.refused", file=str(self._path), problems=problems, hint="the last good one stays")

    def _stamp(self) -> _Stamp | None:
        try:
            found = self._path.stat()
        except OSError as error:
            if not self._missing:
                log.warning("config.missing", file=str(self._path), said=error.strerror)
            self._missing = True
            return None
        self._missing = False
        return _Stamp(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)

    def _next(self) -> float:
        self.turn()
        return self._poll_seconds
