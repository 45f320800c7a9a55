"""A process that is kept on a core stays there, and what is started after it has all of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from benchmarks.cores import cores, kept, pinned

pytestmark = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="there is one core"
)

ALL = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else frozenset()
FIRST = frozenset({min(ALL, default=0)})


def test_what_is_started_inside_stays_on_the_core_and_what_is_started_later_has_all() -> None:
    with pinned(FIRST):
        inside = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with inside, subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as after:
        assert os.sched_getaffinity(inside.pid) == FIRST
        assert os.sched_getaffinity(after.pid) == ALL
        inside.communicate(b"\n")
        after.communicate(b"\n")


def test_cores_are_those_of_the_run_whoever_is_pinned_while_they_are_asked_for() -> None:
    with pinned(FIRST):
        assert cores(*ALL) == ALL
    assert cores(max(ALL) + 1) == ALL


def test_to_pin_within_another_one_is_refused() -> None:
    with pinned(FIRST), pytest.raises(RuntimeError, match="only around the start"), pinned(ALL):
        pytest.fail("it began")
    assert os.sched_getaffinity(0) == ALL


def test_a_process_that_runs_is_kept_for_a_while() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with kept(process.pid, FIRST):
            assert os.sched_getaffinity(process.pid) == FIRST
        assert os.sched_getaffinity(process.pid) == ALL
        process.communicate(b"\n")
