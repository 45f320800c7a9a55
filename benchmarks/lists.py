"""ListModels in a catalogue of a million models."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from benchmarks.environment import development
from benchmarks.rows import Row, percentile
from imrs_client import ImrsClient
from imrs_client.v1 import ListModelsRequest, Model, ModelFilter

if TYPE_CHECKING:
    from collections.abc import Callable

COUNT = 1_000_000
CALLS = 60
PAGES_DEEP = 20
# As varied as a real catalogue: ids of many labs, descriptions, tiers that do not follow the capabilities.
PROVIDERS = """
    insert into providers (provider_id, provider_type, dialect, api_base)
    select 'p' || i, 'CUSTOM', 'openai', 'https://example.org' from generate_series(0, 19) as i
"""
MODELS = """
    insert into models (
        model_id, provider_id, external_id, display_name, capabilities, cost_tier, context_length,
        price_state, input_price_usd, output_price_usd, priority, provenance, metadata, synced_time
    )
    select 'p' || mod(i, 20) || '/' || name, 'p' || mod(i, 20), name, initcap(name),
        (array['["text"]', '["text", "vision"]', '["code", "text"]'])[mod(i, 3) + 1]::jsonb,
        (array['FREE', 'LOW', 'STANDARD', 'PREMIUM'])[mod(i, 4) + 1], 8192 * (mod(i, 16) + 1),
        'PRICE_KNOWN', mod(i, 1000) / 10.0, mod(i, 1000) / 5.0, mod(i, 101),
        '{"context_length": "PROVIDER", "display_name": "PROVIDER"}',
        jsonb_build_object('id', name, 'description', repeat(md5(i::text), 8)), now()
    from generate_series(1, %(count)s) as i, lateral (
        select 'lab' || md5(mod(i, 997)::text) || '/' || substr(md5(i::text), 1, 12) || '-' || i
    ) as n (name)
"""
INDEXES = """
    select indexname, indexdef from pg_indexes
    where tablename = 'models' and indexname not in (select conname from pg_constraint)
"""


def measure() -> list[Row]:
    """Latency in ms over gRPC on loopback, 50 models a page, total_size included."""
    with (
        development("--no-seed") as env,
        ImrsClient(env["IMRS_GRPC_ADDR"], token=env["IMRS_TOKEN_TENANT_ADMIN"]) as client,
    ):
        _fill(env["DSN"])
        found = {name: _calls(client, request) for name, request in REQUESTS.items()}
        found["deep_page"] = _deep(client)
    everything = [each for taken in found.values() for each in taken]
    return [
        Row(
            name="models_page_p95_ms",
            value=percentile(everything, 95),
            unit="ms",
            beside=f"{COUNT:,} models, pages of 50 of every kind",
        ),
        *(
            Row(name=f"models_{name}_p95_ms", value=percentile(taken, 95), unit="ms")
            for name, taken in found.items()
        ),
    ]


def _text(number: int) -> str:
    """A part of a name, as somebody types it."""
    return f"{number:06d}"


REQUESTS: dict[str, Callable[[int], ListModelsRequest]] = {
    "first_page": lambda _: ListModelsRequest(),
    "by_provider": lambda i: ListModelsRequest(filter=ModelFilter(provider_id=f"p{i % 20}")),
    "by_tier_and_capability": lambda i: ListModelsRequest(
        filter=ModelFilter(cost_tier=(Model.FREE, Model.LOW)[i % 2], capabilities=["vision"])
    ),
    "by_search": lambda i: ListModelsRequest(filter=ModelFilter(search=_text(i))),
    "by_price": lambda _: ListModelsRequest(order_by="input_price_usd desc"),
}


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(PROVIDERS)
        # Built once over all, the indexes take a fraction of the time that they take row by row.
        indexes = connection.execute(INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(sql.SQL("drop index {}").format(sql.Identifier(name)))
        connection.execute(MODELS, {"count": COUNT})
        for _, definition in indexes:
            connection.execute(definition)
        connection.execute("vacuum analyze models")


def _calls(client: ImrsClient, request: Callable[[int], ListModelsRequest]) -> list[float]:
    numbers = random.Random(7)
    return [_timed(client, request(numbers.randrange(100_000, COUNT)))[0] for _ in range(CALLS)]


def _deep(client: ImrsClient) -> list[float]:
    """Pages of 50 far behind the first: every 20th of pages of 1,000 leads there."""
    taken = []
    token = ""
    for number in range(CALLS):
        size = 50 if number >= PAGES_DEEP else 1000
        ms, token = _timed(client, ListModelsRequest(page_size=size, page_token=token))
        if number >= PAGES_DEEP:
            taken.append(ms)
    return taken


def _timed(client: ImrsClient, request: ListModelsRequest) -> tuple[float, str]:
    start = time.perf_counter()
    page = client.catalog.ListModels(request)
    return (time.perf_counter() - start) * 1000, page.next_page_token
