"""The folder of an embedded program: one user at a time, private files, a remembered port."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.embedded.process import POLL_SECONDS, StartError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPBACK = "127.0.0.1"
OWNER_SECONDS = 1  # a killed process takes a moment to go


class FolderInUse(StartError):
    """Another running process uses the folder."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Two locks on a folder: `owner` is ours alone, `programs` is inherited by what we start."""

    owner: int
    programs: int

    def release(self) -> None:
        os.close(self.owner)
        os.close(self.programs)


def hold(folder: Path, *, seconds: float, given_up: Callable[[], bool]) -> Hold:
    """Make the folder where needed and take it for this process.

    The second lock is free only when the last process on the folder is gone: what a killed run left behind is
    waited for, up to `seconds`, and until that is `given_up`, which raises StartError. A run that is alive
    raises FolderInUse.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    owner = lock(folder / "owner", seconds=OWNER_SECONDS, given_up=given_up)
    try:
        programs = lock(folder / "programs", seconds=seconds, given_up=given_up)
    except BaseException:
        os.close(owner)
        raise
    os.ftruncate(owner, 0)
    os.pwrite(owner, str(os.getpid()).encode(), 0)
    return Hold(owner, programs)


def lock(path: Path, *, seconds: float, given_up: Callable[[], bool]) -> int:
    """Lock a file and answer its descriptor; the kernel opens the lock when the last copy is closed."""
    held = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    deadline = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(held)
                owner = path.with_name("owner").read_text(encoding="ascii")
                raise FolderInUse(
                    f"{path.parent} is in use by process {owner} or a program that it started"
                ) from None
            if given_up():
                os.close(held)
                raise StartError(f"the wait for {path.parent} was given up") from None
            time.sleep(POLL_SECONDS)
        except BaseException:
            os.close(held)
            raise
        else:
            return held


def alive(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner reads: all of it or nothing, also when the machine loses power."""
    draft = path.with_name(path.name + ".new")
    draft.unlink(missing_ok=True)
    with os.fdopen(
        os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def port(folder: Path, wanted: int) -> int:
    """Answer a port: the wanted one, or with 0 that of the last start if it is free, or any free one."""
    if wanted:
        return wanted
    with suppress(OSError, ValueError):
        return probe(int((folder / "port").read_text(encoding="ascii")))
    return probe(0)


def probe(number: int) -> int:
    """Bind the port for a moment and answer its number; raises OSError when it is taken."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((LOOPBACK, number))
        return int(listener.getsockname()[1])


def remember_port(folder: Path, number: int) -> None:
    """Keep the port for the next start; written in place, so that root leaves the file to its owner."""
    (folder / "port").write_text(str(number), encoding="ascii")
