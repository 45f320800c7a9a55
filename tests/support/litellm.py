"""LiteLLM's proxy, a real OpenAI-compatible server, with models that answer by themselves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import Call, GuardedClient, Timing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PROGRAM = os.environ.get("IMRS_TEST_LITELLM", "")
"""Set by `make test-litellm`, which installs it."""

KEY = "sk-litellm-master-0123456789"


@contextmanager
def serving(models: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[str]:
    """Start it with these models, each with its further parameters, for those who have KEY: its address."""
    config = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", "api_key": "none", **parameters},
            }
            for name, parameters in models.items()
        ],
        "general_settings": {"master_key": KEY},
        # Our own retries are tested, not its.
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }
    # JSON is YAML.
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    port = _free_port()
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_TELEMETRY": "False",
    }
    command = [str(Path(PROGRAM).absolute()), "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--config", str(folder / "config.yaml"), "--telemetry", "False"],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        url = f"http://127.0.0.1:{port}"
        try:
            eventually(lambda: _answers(url, process, folder / "log"), 90)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def _answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2000:]
    client = GuardedClient(AddressRules(allowed=(ip_network("127.0.0.0/8"),)), timing=Timing(tries=1))
    try:
        client.get_json(Call(url=f"{url}/health/liveliness"), client.deadline(2))
    except Exception:  # noqa: BLE001
        return False
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
