"""SyncProvider of a real catalogue, and of a huge one, from a local HTTP server in OpenRouter's shape."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.environment import development
from benchmarks.rows import Row
from imrs_client import ImrsClient
from imrs_client.v1 import CreateProviderRequest, Provider, SyncProviderRequest, SyncResult
from tests.support import catalogue
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

HUGE = 50_000


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
        before = _memory_mib(env["PID"])
        with _provider(client, "huge", catalogue.openrouter_body(_repeated(items, HUGE))):
            huge, added_huge = _sync(client, "huge")
        grown = _memory_mib(env["PID"]) - before
    assert added_huge.models_added == HUGE
    assert unchanged.models_unchanged == added.models_added
    count = added.models_added
    return [
        Row(name="sync_catalogue_s", value=first, unit="s", beside=f"{count:,} models"),
        Row(
            name="sync_unchanged_s",
            value=again,
            unit="s",
            baseline=first,
            ratio=first / again,
            beside=f"the first sync of {count:,} models",
        ),
        Row(name="sync_thousand_s", value=thousand, unit="s", beside="1,000 models"),
        Row(name="sync_fifty_thousand_s", value=huge, unit="s", beside="50,000 models"),
        Row(name="sync_fifty_thousand_memory_mib", value=grown, unit="MiB", beside="more memory at most"),
    ]


def _repeated(items: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """So many different models of the same kinds."""
    return [{**items[i % len(items)], "id": f"{items[i % len(items)]['id']}-{i}"} for i in range(count)]


def _memory_mib(pid: str) -> float:
    """The most memory that the process ever had."""
    status = Path("/proc", pid, "status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


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
