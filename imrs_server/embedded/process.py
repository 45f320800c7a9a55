"""A program whose life is tied to ours: it ends when we say so, and when we are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SUPERVISOR = Path(__file__).with_name("supervisor.py")
POLL_SECONDS = 0.01
LOG_BYTES = 5_000_000

Found = TypeVar("Found")


class StartError(RuntimeError):
    """An embedded program did not start or did not stay; the message ends with the last lines of its log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Under which account a program runs.

    `own` is ours. `namespace` is root that is called `uid` inside a user namespace: files see root, the
    program does not. `uid` is another account that may still enter and read every folder.
    """

    way: Literal["own", "namespace", "uid"] = "own"
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What the supervisor is told.

    `stop_signals` are sent in turn, each followed by `grace_seconds` of waiting, then comes SIGKILL.
    `orphan_signal` is what the kernel sends when the supervisor itself is killed (Linux).
    """

    argv: tuple[str, ...]
    cwd: str
    way: str
    uid: int
    gid: int
    stop_signals: tuple[int, ...]
    orphan_signal: int
    grace_seconds: float


class Process:
    """A supervised program, started by the constructor.

    `lock` is a descriptor the program inherits: a flock on it lasts until the last of its processes is gone.
    Raises StartError when the program cannot be executed.
    """

    def __init__(
        self,
        *argv: str | Path,
        log: Path,
        cwd: Path,
        lock: int,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        stop_signals: tuple[signal.Signals, ...] = (signal.SIGTERM,),
        orphan_signal: signal.Signals = signal.SIGKILL,
        grace_seconds: float = 5.0,
    ) -> None:
        account = account or Account()
        spec = Spec(
            argv=tuple(str(argument) for argument in argv),
            cwd=str(cwd),
            way=account.way,
            uid=account.uid,
            gid=account.gid,
            stop_signals=stop_signals,
            orphan_signal=orphan_signal,
            grace_seconds=grace_seconds,
        )
        self.name = Path(argv[0]).name
        self._log = log
        self._bound_seconds = grace_seconds * (len(stop_signals) + 1) + 5
        # Our own variables would steer the program (PGDATA, BAO_ADDR, proxies), so it sees none of them.
        variables = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(cwd), **(environment or {})}
        command = [sys.executable, "-I", "-S", str(SUPERVISOR), json.dumps(asdict(spec))]
        with open_log(log) as output:
            self._supervisor = subprocess.Popen(  # noqa: S603  our own file and our own arguments
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=variables,
                pass_fds=(lock,),
                start_new_session=True,  # Ctrl-C is for us; we stop our programs in order
            )
        assert self._supervisor.stdout is not None
        with self._supervisor.stdout as answers:
            answer = json.loads(answers.readline() or b"{}")
        if "pid" not in answer:
            self.stop()
            raise StartError(f"{self.name} did not start: {answer.get('error', tail(log))}")
        self.pid: int = answer["pid"]

    @property
    def running(self) -> bool:
        return self._supervisor.poll() is None

    def wait(self, seconds: float) -> int:
        """Answer the exit status (128 + n after signal n); raises StartError after `seconds`."""
        try:
            return self._supervisor.wait(seconds)
        except subprocess.TimeoutExpired:
            raise StartError(f"{self.name} did not end within {seconds:g} s: {tail(self._log)}") from None
        finally:
            self.stop()

    def await_ready(self, ready: Callable[[], Found | None], *, seconds: float) -> Found:
        """Ask `ready` until it answers; raises StartError when the program ends or `seconds` pass."""
        deadline = time.monotonic() + seconds
        while (found := ready()) is None:
            if not self.running:
                raise StartError(f"{self.name} ended during its start: {tail(self._log)}")
            if time.monotonic() > deadline:
                raise StartError(f"{self.name} was not ready after {seconds:g} s: {tail(self._log)}")
            time.sleep(POLL_SECONDS)
        return found

    def stop(self) -> None:
        """End the program in order, by force where it does not listen; returns when it is gone."""
        assert self._supervisor.stdin is not None
        self._supervisor.stdin.close()
        try:
            status = self._supervisor.wait(self._bound_seconds)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            status = self._supervisor.wait()
        if status < 0:  # a killed supervisor takes the program along on Linux only
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def kill(self) -> None:
        """End the program as a crash would, with SIGKILL; returns when it is gone."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)
        self.stop()


class Starts:
    """Starts processes, one after the other, until another thread gives that up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._newest: Process | None = None
        self._are_given_up = False

    def are_given_up(self) -> bool:
        return self._are_given_up

    def process(self, *argv: str | Path, **settings: Any) -> Process:
        """As ``Process``, whose arguments these are. Raises StartError also where it was given up."""
        made = Process(*argv, **settings)
        with self._lock:
            self._newest = made
        if self._are_given_up:
            made.stop()
            raise StartError(f"the start of {made.name} was given up")
        return made

    def give_up(self) -> None:
        """End the newest, in order, and whatever would be started after it."""
        with self._lock:
            self._are_given_up = True
            newest = self._newest
        if newest is not None:
            newest.stop()


def open_log(path: Path) -> BinaryIO:
    """Open for appending, readable by the owner only; a log that has grown too long begins anew."""
    if path.exists() and path.stat().st_size > LOG_BYTES:
        path.write_bytes(b"")
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0)


def tail(log: Path, lines: int = 5) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
