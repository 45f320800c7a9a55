"""Loads the index of a database in a process of its own, whose memory is the index's.

``python -m benchmarks.index_load DSN``
"""

from __future__ import annotations

import json
import sys
import time
from itertools import islice
from pathlib import Path

from imrs_server.domain import scoring
from imrs_server.domain.cells import COMMON
from imrs_server.index import loader
from imrs_server.storage.index import PLAIN
from imrs_server.storage.listener import Listener


def main() -> None:
    """Print seconds, growth of resident memory in MiB, and the sizes of what was loaded, as JSON."""
    before = _resident_mib()
    start = time.perf_counter()
    listener = Listener(sys.argv[1])
    listener.open()
    state = loader.read(listener, scoring.score)
    seconds = time.perf_counter() - start
    grown = _resident_mib() - before
    listener.close()
    tables = []
    for key in islice(state.agents, 100):
        begun = time.perf_counter()
        agent = state.agent(*key)
        assert agent is not None
        agent.table("task-3")
        tables.append(time.perf_counter() - begun)
    pairs = sum(len(row.models.plain) // PLAIN.size for row in state.agents.rows.values())
    rows = sum(
        len(cells.common) // COMMON.itemsize for tasks in state.evidence.values() for cells in tasks.values()
    )
    found = {
        "seconds": seconds,
        "mib": grown,
        "pairs": pairs,
        "evidence": rows,
        "first_table_ms": sorted(tables)[len(tables) // 2] * 1000,
    }
    print(json.dumps(found))


def _resident_mib() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
