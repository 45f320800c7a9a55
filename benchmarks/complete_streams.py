"""Route while two hundred answers of ten pieces a second go through the same two workers.

The model and whoever reads share the cores with the workers where there are no more than two; they do so
while nothing streams as well.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks import chats
from benchmarks.held_streams import PAUSE_MS, STREAMS, Starved, holding
from benchmarks.load import ROOT, TIMEOUT_SECONDS, generator
from benchmarks.rows import Row, percentile

WORKERS = 2
ROUNDS = 3
CALLS = 1000
# Route may be this much slower meanwhile, or take so long, whichever is more.
TIMES = 3
ENOUGH_MS = 10.0
# As many of the pieces must come in time, or it is not the load that it should be.
SHARE = 0.9
PIECES = STREAMS * 1000 / PAUSE_MS


def measure() -> list[Row]:
    with chats.model() as model, chats.chatting(model, WORKERS) as address:
        _p95_ms(address, CALLS // 4)
        idle = statistics.median(_p95_ms(address) for _ in range(ROUNDS))
        with holding(address, model) as rate:
            busy = statistics.median(_p95_ms(address) for _ in range(ROUNDS))
        if rate[0] < PIECES * SHARE:
            raise Starved(f"{rate[0]:.0f} pieces a second came, of {PIECES:.0f}")
    allowed = max(TIMES * idle, ENOUGH_MS)
    meanwhile = f"{rate[0]:.0f} pieces/s meanwhile, read by {generator()}"
    beside = f"allowed, {TIMES} x idle ({idle:.1f} ms) or {ENOUGH_MS:g} ms; {meanwhile}"
    return [
        Row(
            name="complete_streams",
            value=busy,
            unit="ms",
            baseline=allowed,
            ratio=allowed / busy,
            beside=beside,
        )
    ]


def _p95_ms(address: str, calls: int = CALLS) -> float:
    command = [sys.executable, "-m", "benchmarks.paced_routes", address, chats.agent_token(), str(calls)]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS, cwd=ROOT
    ).stdout
    return percentile(json.loads(told), 95) * 1000
