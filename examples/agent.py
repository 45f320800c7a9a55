"""An agent's loop: ask which model, call it, say how it went, pass the user's thumb on.

Run beside `make run` and examples/model_server.py; dev.env tells where the service is:

    set -a; . .imrs/dev.env; set +a
    .venv/bin/python examples/model_server.py &
    .venv/bin/python examples/agent.py "Write a Python function that parses a date"
"""

from __future__ import annotations

import os
import sys
import time

import httpx

from imrs_client import ImrsClient
from imrs_client.v1 import Feedback, Message, StringList

LOCAL = StringList(values=["ollama/*"])  # models that need no key

with ImrsClient(os.environ["IMRS_GRPC_ADDR"], token=os.environ["IMRS_TOKEN_AGENT"]) as imrs:
    prompt = " ".join(sys.argv[1:]) or "Write a Python function that parses a date"
    decision = imrs.choose(message=prompt, allowed_models=LOCAL)
    for model in (decision.selected, *decision.fallbacks):
        body = {"model": model.external_id, "messages": [{"role": "user", "content": prompt}]}
        start = time.monotonic()
        try:
            answer = httpx.post(f"{model.api_base}/chat/completions", json=body, timeout=60)
            reply = answer.raise_for_status().json()
            break
        except httpx.HTTPError as error:
            print(f"{model.model_id} failed: {error}", file=sys.stderr)
    else:
        sys.exit("no model answered")
    message = imrs.record(
        decision_id=decision.decision_id,
        model_id=model.model_id,
        outcome=Message.Outcome.OK,
        latency_ms=round((time.monotonic() - start) * 1000),
        prompt_tokens=reply["usage"]["prompt_tokens"],
        completion_tokens=reply["usage"]["completion_tokens"],
    )
    print(f"{model.model_id} ({decision.task.task_type}): {reply['choices'][0]['message']['content']}")
    imrs.rate(message.message_id, signal=Feedback.Signal.THUMBS_UP)
