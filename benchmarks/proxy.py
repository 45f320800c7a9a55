"""Route beside LiteLLM's proxy, requests a second of one core.

Not the same work: the proxy forwards a whole request to a model and its answer back, Route only says which
model. It is what one pays to have a service in between.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import chats
from benchmarks.cores import cores, pinned
from benchmarks.load import Calls, rate
from benchmarks.peers import PYTHON
from benchmarks.rows import Row, Skipped, more
from benchmarks.served import served
from benchmarks.world import Agent

if TYPE_CHECKING:
    from collections.abc import Iterator

LITELLM = PYTHON.with_name("litellm")
KEY = "sk-benchmark"
ROUNDS = 3
CALLS = 6000
FORWARDED = 200
START_SECONDS = 120
AGENT = Agent(5)
BODY = {"model": "group", "messages": [{"role": "user", "content": "Hello"}]}


def measure() -> list[Row]:
    """Both are kept on one core; who calls, and the model, is on the other."""
    if not LITELLM.exists():
        raise Skipped("LiteLLM is not installed; `make litellm` does it (600 MB)")
    if not shutil.which("h2load"):
        raise Skipped("h2load is not installed; on Debian it is in nghttp2-client")
    with chats.model() as model, serving(model) as proxy, served(1, on=cores(0)) as address:
        _forward(proxy)
        calls = Calls(
            address=address,
            method="/imrs.v1.RouteService/Route",
            request=AGENT.request(1).SerializeToString(),
            token=AGENT.token,
            count=CALLS,
        )
        rates = [(rate(calls, cores(1)), _forward(proxy)) for _ in range(ROUNDS)]
    beside = "LiteLLM's proxy, which forwards whole requests, where we only decide; one core"
    ours, theirs = zip(*rates, strict=True)
    return [more("litellm_proxy", ours, theirs, "calls/s", beside)]


def _forward(port: int) -> float:
    """Requests a second; every answer must be a success, which HTTP tells."""
    with tempfile.NamedTemporaryFile(prefix="imrs-bench-") as file:
        file.write(json.dumps(BODY).encode())
        file.flush()
        command = ["h2load", "--h1", "-n", str(FORWARDED), "-c", "8", "-d", file.name]
        command += ["-H", "content-type: application/json", "-H", f"authorization: Bearer {KEY}"]
        with pinned(cores(1)):
            told = subprocess.run(
                [*command, f"http://127.0.0.1:{port}/v1/chat/completions"],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
    done = re.search(r"finished in .*?, ([\d.]+) req/s", told)
    assert done, told
    assert f"status codes: {FORWARDED} 2xx" in told, told
    return float(done[1])


@contextmanager
def serving(model: int) -> Iterator[int]:
    with tempfile.TemporaryDirectory(prefix="imrs-bench-") as folder:
        config = Path(folder) / "config.yaml"
        served_by = {"model": "openai/model", "api_key": "none", "api_base": f"http://127.0.0.1:{model}/v1"}
        group = {"model_name": "group", "litellm_params": served_by}
        # JSON is YAML.
        config.write_text(json.dumps({"model_list": [group], "general_settings": {"master_key": KEY}}))
        port = _free_port()
        command = [
            str(LITELLM.absolute()),
            "--config",
            str(config),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        log = (Path(folder) / "proxy.log").open("wb")
        environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        with log, pinned(cores(0)):
            process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait(port, process)
            yield port
        finally:
            process.kill()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health/liveliness", timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
