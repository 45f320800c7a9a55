"""The folder that the processes of one run share."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "imrs-run-"
# Memory, where there is such a place: nobody should wait for a disk to count a call. Not where it is small,
# as in many containers: who counts in a file for which there is no room dies of it.
_MEMORY = Path("/dev/shm")  # noqa: S108  (the folder in it is ours alone)
_ROOM_BYTES = 256 << 20


@contextmanager
def make(parent: Path | None = None) -> Iterator[Path]:
    """A folder that only we can read, gone at the end; also what killed runs of ours left is removed."""
    within = parent or place()
    for each in within.glob(f"{_PREFIX}*"):
        _remove_abandoned(each)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=within))
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def place(memory: Path = _MEMORY, room_bytes: int = _ROOM_BYTES) -> Path:
    """Where such folders are: in memory where that may be written to and has room, else on disk."""
    roomy = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= room_bytes
    return memory if roomy else Path(tempfile.gettempdir())


def count_in(folder: Path) -> None:
    """Have what this process counts lie there, where others find it; before the first that counts is made."""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _remove_abandoned(folder: Path) -> None:
    """Whoever is alive holds the lock of its folder; a new one has a moment to take it."""
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            owned = os.fstat(lock).st_uid == os.geteuid()
            if owned and any(folder.iterdir()):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
