"""Callers of Route through the client library.

``python -m benchmarks.stub_callers ADDRESS CALLERS CALLS SPREAD``.
Each caller is a thread with a connection of its own, as agents have, that makes its next call when the one
before is answered. SPREAD says which agents
call: ``zipf``, as when few of the 10,000 make most calls, or ``even``. Prints latencies in ms as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import threading
import time
from itertools import accumulate

from benchmarks import world
from benchmarks.world import Agent
from imrs_client import ImrsClient
from imrs_server.domain.principal import Role

AGENTS = 10_000
PATIENCE_SECONDS = 30.0
# Channels of one process share a connection otherwise, and a connection has one worker.
_ALONE = (("grpc.use_local_subchannel_pool", 1),)


def main() -> None:
    """Call from so many threads, so many times each; any error ends it."""
    address, spread = sys.argv[1], sys.argv[4]
    callers, calls = int(sys.argv[2]), int(sys.argv[3])
    weights = list(accumulate(1 / (i + 1) if spread == "zipf" else 1.0 for i in range(AGENTS)))
    taken: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda seed=seed: taken.append(_calls(address, calls, weights, seed)))
        for seed in range(callers)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if len(taken) < callers:
        sys.exit("calls failed")
    print(json.dumps([ms for each in taken for ms in each]))


def _calls(address: str, calls: int, weights: list[float], seed: int) -> list[float]:
    """Of one tenant's agents; the first tenth of the calls is not counted."""
    draw = random.Random(seed)
    tenant = seed % world.TENANTS
    numbers = range(tenant, AGENTS, world.TENANTS)
    token = world.token(Role.TENANT_ADMIN, Agent(tenant).tenant_id)
    latencies = []
    # A slow answer is a figure too.
    patience = {"Route": PATIENCE_SECONDS}
    with ImrsClient(address, token=token, timeouts_seconds=patience, options=_ALONE) as client:
        for number in draw.choices(numbers, cum_weights=weights[: len(numbers)], k=calls):
            request = Agent(number).request(draw.randrange(1_000_000))
            request.agent_id = Agent(number).agent_id
            start = time.perf_counter()
            decision = client.route.Route(request)
            latencies.append((time.perf_counter() - start) * 1000)
            assert decision.selected.model_id
    return latencies[calls // 10 :]


if __name__ == "__main__":
    main()
