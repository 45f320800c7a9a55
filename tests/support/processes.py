"""Processes as the system sees them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


def is_gone(pid: int) -> bool:
    """Whether the process runs no more; one that only waits for its parent to notice counts as gone."""
    state = _state(pid)
    if state:
        return state == "Z"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return sys.platform == "linux"


@contextmanager
def frozen(pid: int) -> Iterator[bool]:
    """The process does nothing meanwhile, and signals wait; False where it was gone before."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
    eventually(lambda: is_gone(pid) or _state(pid) == "T")
    try:
        yield not is_gone(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _state(pid: int) -> str:
    """A letter of proc(5); empty where there is no such process, or no such file system."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def parents() -> dict[int, int]:
    """The parent of each process."""
    listed = subprocess.run(
        ["ps", "-e", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    ).stdout
    return {int(child): int(parent) for child, parent in map(str.split, listed.splitlines())}


def descendants(pid: int) -> set[int]:
    """Everything that the process started, and what that started, and so on."""
    known = parents()
    found: set[int] = set()
    newest = {pid}
    while newest:
        newest = {child for child, parent in known.items() if parent in newest} - found
        found |= newest
    return found
