"""LiteLLM's Router, in an environment of its own: run by the path of this file, with nothing of ours in it.

Reads lines ``DEPLOYMENTS CALLS`` and answers each with the microseconds that a call of the router took; empty
input ends it.
"""

from __future__ import annotations

import os
import sys
import time
from functools import cache
from typing import Any

os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # otherwise it is fetched from the Internet

MESSAGES = [{"role": "user", "content": "Write a Python function that parses a date"}]


@cache
def router(deployments: int) -> Any:
    """One group of so many deployments, with the strategy that it has by default."""
    from litellm import Router  # type: ignore[import-not-found]  # noqa: PLC0415  (takes seconds)

    return Router(
        model_list=[
            {
                "model_name": "group",
                "litellm_params": {
                    "model": f"openai/model-{i}",
                    "api_key": "sk-none",
                    "api_base": "http://127.0.0.1:9",
                },
            }
            for i in range(deployments)
        ]
    )


def main() -> None:
    """Answer until standard input ends."""
    for line in sys.stdin:
        deployments, calls = map(int, line.split())
        choose = router(deployments).get_available_deployment
        start = time.perf_counter()
        for _ in range(calls):
            assert choose(model="group", messages=MESSAGES)["model_name"] == "group"
        print((time.perf_counter() - start) / calls * 1e6, flush=True)


if __name__ == "__main__":
    main()
