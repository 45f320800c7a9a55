"""SyncProvider of a real catalogue, served by a local HTTP server in OpenRouter's shape."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.environment import development
from benchmarks.rows import Row
from imrs_client import ImrsClient
from imrs_client.v1 import CreateProviderRequest, Provider, SyncProviderRequest, SyncResult
from tests.support import catalogue
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator


def measure() -> list[Row]:
    """Seconds for the whole catalogue, the same again unchanged, and 1,000 models."""
    items = catalogue.openrouter_items()
    with (
        development("--no-seed") as env,
        ImrsClient(env["IMRS_GRPC_ADDR"], token=env["IMRS_TOKEN_PLATFORM_ADMIN"]) as client,
    ):
        with _provider(client, "whole", catalogue.openrouter_body(items)):
            first, added = _sync(client, "whole")
            again, unchanged = _sync(client, "whole")
        with _provider(client, "thousand", catalogue.openrouter_body(items[:1000])):
            thousand, _ = _sync(client, "thousand")
    assert unchanged.models_unchanged == added.models_added
    count = added.models_added
    return [
        Row(name="sync_catalogue_s", value=first, unit=f"s for {count} models", bound="< 5 s"),
        Row(
            name="sync_unchanged_s",
            value=again,
            unit=f"s for {count} models",
            baseline=first,
            ratio=first / again,
        ),
        Row(name="sync_thousand_s", value=thousand, unit="s for 1,000 models", bound="< 2 s"),
    ]


@contextmanager
def _provider(client: ImrsClient, provider_id: str, body: bytes) -> Iterator[None]:
    with FakeProvider(body) as served:
        provider = Provider(
            provider_id=provider_id,
            provider_type=Provider.Type.OPENROUTER,
            api_base=served.url,
            api_key="sk-benchmark",
        )
        client.admin.CreateProvider(CreateProviderRequest(provider=provider))
        yield


def _sync(client: ImrsClient, provider_id: str) -> tuple[float, SyncResult]:
    start = time.perf_counter()
    *_, last = client.admin.SyncProvider(SyncProviderRequest(provider_id=provider_id))
    return time.perf_counter() - start, last.result
