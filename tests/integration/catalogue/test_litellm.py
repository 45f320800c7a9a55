"""A real OpenAI-compatible server that is not ours: LiteLLM's proxy, with models that answer by themselves.

It is installed and run by ``make test-litellm``.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.http import Call, GuardedClient, Timing
from imrs_server.domain.errors import ProviderInvalidResponse
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import ModelFilter, ModelType, PriceState
from imrs_server.domain.secret import Secret
from imrs_server.use_cases.provider_checks import ProviderChecks
from imrs_server.use_cases.providers import Providers
from tests.integration.catalogue.conftest import LOOPBACK
from tests.support.principals import PLATFORM
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.catalog import Catalog
    from imrs_server.use_cases.sync import Sync

PROGRAM = os.environ.get("IMRS_TEST_LITELLM", "")
KEY = "sk-litellm-master-0123456789"
MODELS = ("gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small", "team/own model")

pytestmark = pytest.mark.skipif(not PROGRAM, reason="run by make test-litellm")


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy that serves MODELS to those who have KEY."""
    folder = tmp_path_factory.mktemp("litellm")
    config = {
        "model_list": [
            {
                "model_name": name,
                "litellm_params": {"model": f"openai/{name}", "api_key": "none", "mock_response": "hello"},
            }
            for name in MODELS
        ],
        "general_settings": {"master_key": KEY},
    }
    # JSON is YAML.
    (folder / "config.yaml").write_text(json.dumps(config), encoding="utf-8")
    port = free_port()
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
            eventually(lambda: answers(url, process, folder / "log"), 90)
            yield url
        finally:
            process.terminate()
            process.wait(20)


def answers(url: str, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")[-2000:]
    client = GuardedClient(LOOPBACK, timing=Timing(tries=1))
    try:
        client.get_json(Call(url=f"{url}/health/liveliness"), client.deadline(2))
    except Exception:  # noqa: BLE001
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def proxy(litellm: str, add_provider: Callable[..., Provider], db: Database, keys: Vault) -> Provider:
    provider = add_provider("litellm", f"{litellm}/v1", dialect="openai")
    Providers(db, keys, LOOPBACK).rotate_key(PLATFORM, "litellm", Secret(KEY))
    return provider


def test_its_models_become_the_catalogue(proxy: Provider, sync: Sync, catalog: Catalog) -> None:
    *_, first = sync.run(PLATFORM, "litellm")
    *_, second = sync.run(PLATFORM, "litellm")

    assert first.result is not None
    assert second.result is not None
    assert (first.result.models_added, first.result.models_invalid) == (len(MODELS), 0)
    assert (second.result.models_unchanged, second.result.models_updated) == (len(MODELS), 0)
    found = {model.external_id: model for model in catalog.list(PLATFORM, PageRequest(), ModelFilter()).items}
    assert found.keys() == set(MODELS)
    assert {model.price_state for model in found.values()} == {PriceState.PRICE_UNKNOWN}
    assert found["text-embedding-3-small"].model_type is ModelType.EMBEDDING
    assert found["gpt-4o"].metadata["object"] == "model"


def test_its_key_is_checked_and_a_wrong_one_refused(
    proxy: Provider, sync: Sync, db: Database, keys: Vault
) -> None:
    checks = ProviderChecks(db, keys, GuardedClient(LOOPBACK, timing=Timing(tries=1)))

    good = checks.run(PLATFORM, "litellm")
    assert (good.reachable, good.authorized, good.model_count) == (True, True, len(MODELS))

    Providers(db, keys, LOOPBACK).rotate_key(PLATFORM, "litellm", Secret("sk-wrong"))
    bad = checks.run(PLATFORM, "litellm")
    assert (bad.reachable, bad.authorized) == (True, False)
    with pytest.raises(ProviderInvalidResponse):
        list(sync.run(PLATFORM, "litellm"))
