"""How long a worker was not heard."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from imrs_server.cli import silence
from imrs_server.cli.silence import Silence

_TRACED = """
import ctypes
assert ctypes.CDLL(None).ptrace(0, 0, 0, 0) == 0
print("traced", flush=True)
input()
"""


def test_silence_is_the_time_since_the_last_word() -> None:
    quiet = Silence(1.0)
    for seconds in (1.0, 0.25, 0.5):
        quiet.lasted(seconds)
    assert quiet.seconds == 1.75
    assert not quiet.ever_heard
    quiet.heard()
    quiet.lasted(0.25)
    assert quiet.seconds == 0.25
    assert quiet.ever_heard


def test_time_in_which_nobody_listened_tells_nothing() -> None:
    """The machine was asleep, or the one who listens was stopped."""
    quiet = Silence(1.0)
    quiet.lasted(3600.0)
    assert quiet.seconds == 1.0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
def test_who_is_held_by_a_debugger_is_known() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _TRACED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "traced\n"
            assert silence.is_traced(process.pid)
            assert not silence.is_traced(os.getpid())
        finally:
            process.kill()


def test_nothing_is_known_of_who_is_not_there() -> None:
    assert not silence.is_traced(2**22 + 1)
    assert silence.state(2**22 + 1) == ""
