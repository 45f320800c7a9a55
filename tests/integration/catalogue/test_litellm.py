"""A real OpenAI-compatible server that is not ours: LiteLLM's proxy, with models that answer by themselves.

It is installed and run by ``make test-litellm``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.http import GuardedClient, Timing
from imrs_server.domain.errors import ProviderInvalidResponse
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import ModelFilter, ModelType, PriceState
from imrs_server.domain.secret import Secret
from imrs_server.use_cases.provider_checks import ProviderChecks
from imrs_server.use_cases.providers import Providers
from tests.integration.catalogue.conftest import LOOPBACK
from tests.support.litellm import KEY, PROGRAM, serving
from tests.support.principals import PLATFORM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.catalog import Catalog
    from imrs_server.use_cases.sync import Sync

MODELS = ("gpt-4o", "claude-sonnet-4-5", "text-embedding-3-small", "team/own model")

pytestmark = pytest.mark.skipif(not PROGRAM, reason="run by make test-litellm")


@pytest.fixture(scope="module")
def litellm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a proxy that serves MODELS to those who have KEY."""
    models = {name: {"mock_response": "hello"} for name in MODELS}
    with serving(models, tmp_path_factory.mktemp("litellm")) as url:
        yield url


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
