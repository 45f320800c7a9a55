"""What Complete adds to the time in which an answer begins, beside what LiteLLM's proxy adds.

Both stand before the same model, on one core, and are called by as many at a time; the model and the callers
are on the other. What is added is the median beyond that of the model itself, without anything before it.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys

from benchmarks import chats, proxy
from benchmarks.cores import cores, pinned
from benchmarks.load import ROOT, TIMEOUT_SECONDS
from benchmarks.rows import Row, Skipped, faster

ROUNDS = 5
CALLERS = 4
CALLS = 400
WARM_UP = 100


def measure() -> list[Row]:
    if not proxy.LITELLM.exists():
        raise Skipped("LiteLLM is not installed; `make litellm` does it (600 MB)")
    with (
        chats.model() as model,
        proxy.serving(model) as theirs,
        chats.chatting(model, 1, cores(0)) as address,
    ):
        bare = ("http", f"127.0.0.1:{model}", "none")
        complete = ("grpc", address, chats.agent_token())
        litellm = ("http", f"127.0.0.1:{theirs}", proxy.KEY)
        for each in (bare, complete, litellm):
            _begins_ms(*each, WARM_UP)
        rounds = [[_begins_ms(*each, CALLS) for each in (bare, complete, litellm)] for _ in range(ROUNDS)]
    ours = [with_us - without for without, with_us, _ in rounds]
    others = [with_them - without for without, _, with_them in rounds]
    beside = f"what LiteLLM's proxy adds; {CALLERS} callers, one core"
    return [faster("complete_ttfb", ours, others, "ms", beside)]


def _begins_ms(protocol: str, address: str, token: str, calls: int) -> float:
    command = [sys.executable, "-m", "benchmarks.chat_callers", protocol, address, token]
    command += [str(CALLERS), str(calls)]
    with pinned(cores(1)):
        told = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=TIMEOUT_SECONDS, cwd=ROOT
        ).stdout
    seconds: list[float] = json.loads(told)
    return statistics.median(seconds) * 1000
