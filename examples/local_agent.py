"""An agent that decides by itself and goes on while the service is away: a replica, and a spool of votes.

Run beside `make run`; dev.env tells where the service is. It decides once a second until Ctrl-C; stop and
start the service meanwhile:

    set -a; . .imrs/dev.env; set +a
    .venv/bin/python examples/local_agent.py votes.spool
"""

from __future__ import annotations

import itertools
import os
import sys
import time
from contextlib import suppress

from imrs_client import FeedbackSpool, ImrsClient, Replica
from imrs_client.v1 import Feedback

path = sys.argv[1]
rounds = range(int(sys.argv[2])) if len(sys.argv) > 2 else itertools.count()

with (
    ImrsClient(os.environ["IMRS_GRPC_ADDR"], token=os.environ["IMRS_TOKEN_AGENT"]) as imrs,
    Replica(imrs, default_model="ollama/llama3.1:8b") as replica,
    FeedbackSpool(imrs, path) as spool,
):
    with suppress(TimeoutError):
        replica.wait_until_ready()  # a moment; without the service the default model answers
    for number in rounds:
        if number:
            time.sleep(1)
        decision = replica.route(task_type="code")
        print(
            f"{decision.selected.model_id}, revision {decision.index_revision},"
            f" {'STALE' if decision.stale else 'fresh'}, {decision.age_seconds:.1f} s old"
        )
        # Here the agent calls the model and shows the answer. The user likes it:
        spool.rate(decision.decision_id, signal=Feedback.Signal.THUMBS_UP)
