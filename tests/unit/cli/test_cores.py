"""How many cores there are for us, and staying on one."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from imrs_server.cli import cores

if TYPE_CHECKING:
    from pathlib import Path

OURS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", OURS), ("50000 100000", 1), ("nonsense", OURS), ("", OURS)]
)
def test_a_bounded_container_counts_what_it_may_use(tmp_path: Path, quota: str, expected: int) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert cores.count(file) == expected
    assert cores.count(tmp_path / "nowhere") == OURS


def test_numbers_go_round_the_cores_that_we_may_use() -> None:
    seen = []

    def in_a_thread(number: int) -> None:
        cores.pin(number)  # of the calling thread alone
        seen.append(os.sched_getaffinity(0))

    for number in (0, OURS):
        thread = threading.Thread(target=in_a_thread, args=(number,))
        thread.start()
        thread.join()
    assert seen == [{min(os.sched_getaffinity(0))}] * 2
