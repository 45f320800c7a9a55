"""Every named query fits the schema: typing errors and missing columns are found without running it."""

from __future__ import annotations

import re
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

import imrs_server.storage
from imrs_server.domain.model import CostTier, ModelFilter, ModelType
from imrs_server.storage import model_filter
from imrs_server.storage.database import conninfo
from imrs_server.storage.sql import Query, load

if TYPE_CHECKING:
    from collections.abc import Iterator

FOLDER = Path(imrs_server.storage.__file__).parent
FAMILIES = sorted(path.stem for path in FOLDER.glob("*.sql"))
PLANNED = ("select", "insert", "update", "delete", "with")
EVERYTHING = ModelFilter(
    provider_id="openai",
    cost_tier=CostTier.LOW,
    capabilities=("text",),
    domains=("law",),
    model_type=ModelType.CHAT,
    available=True,
    search="gpt",
    min_context_length=1,
    max_input_price_usd=Decimal(1),
)


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(conninfo(database)) as found:
        yield found


def parameters(query: Query) -> dict[str, None]:
    return dict.fromkeys(re.findall(r"%\((\w+)\)s", query.text))


@pytest.mark.parametrize("family", FAMILIES)
def test_queries_can_be_planned(family: str, connection: psycopg.Connection) -> None:
    queries = list(load(str(FOLDER / f"{family}.py")))
    for query in queries:
        if query.text.startswith("create temp table"):
            connection.execute(query.text)
    planned = [model_filter.applied(each, EVERYTHING) for each in queries if each.text.startswith(PLANNED)]
    assert planned
    for query in planned:
        connection.execute(f"explain (generic_plan) {query.text}", parameters(query))


@pytest.mark.parametrize("family", FAMILIES)
def test_queries_have_a_module_that_owns_them(family: str) -> None:
    module = import_module(f"imrs_server.storage.{family}")
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    for query in load(str(module.__file__)):
        assert f"Q.{query.name}" in source, f"{family}.sql: nobody uses {query.name}"
