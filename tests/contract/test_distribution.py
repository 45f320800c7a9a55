"""The schema can be spread over machines by tenant, as docs/scaling.md says: keys and references allow it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SCALING = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"

# Copied to every machine: the catalogue, and what is asked without knowing the tenant.
EVERYWHERE = {"defaults", "endpoints", "issued_tokens", "models", "preferences", "providers"}
# Kept on one machine: what numbers changes for all tenants, may belong to none, or changes each second.
IN_ONE_PLACE = {
    "audit_events",
    "breakers",
    "change_log",
    "config_applies",
    "config_files",
    "config_owned",
    "endpoint_calls",
    "replicas",
    "idempotency_keys",
    "index_revision",
    "model_changes",
    "provider_calls",
    "rollup_state",
    "schema_migrations",
}
TABLES = """
    select relname, oid from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
"""
OWNED = """
    select exists (
        select from pg_attribute
        where attrelid = %s and attname = 'tenant_id' and attnotnull and not attisdropped
    )
"""
UNIQUE = """
    select indexrelid::regclass::text, array(
        select attname::text from pg_attribute where attrelid = indrelid and attnum = any (indkey)
    )
    from pg_index where indrelid = %s and indisunique
"""
REFERENCES = """
    select conname, confrelid::regclass::text, array(
        select attname::text from pg_attribute where attrelid = conrelid and attnum = any (conkey)
    )
    from pg_constraint where conrelid = %s and contype = 'f'
"""


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database) as found:
        yield found


@pytest.fixture
def owned(connection: psycopg.Connection) -> dict[str, int]:
    """The tables that are not everywhere and not in one place."""
    tables: dict[str, int] = dict(connection.execute(TABLES).fetchall())
    assert tables.keys() >= EVERYWHERE | IN_ONE_PLACE
    return {name: oid for name, oid in tables.items() if name not in EVERYWHERE | IN_ONE_PLACE}


def test_all_other_tables_are_a_tenants(connection: psycopg.Connection, owned: dict[str, int]) -> None:
    """Whoever adds a table decides on which machine its rows lie, by a tenant_id or by a name above."""
    strays = {name for name, oid in owned.items() if connection.execute(OWNED, [oid]).fetchone() != (True,)}
    assert not strays
    assert len(owned) >= 14


def test_every_primary_and_unique_key_of_a_tenants_table_contains_the_tenant(
    connection: psycopg.Connection, owned: dict[str, int]
) -> None:
    """A machine can only see to uniqueness among the rows that it has."""
    keys = [key for oid in owned.values() for key in connection.execute(UNIQUE, [oid]).fetchall()]
    assert len(keys) >= 12
    assert not [name for name, columns in keys if "tenant_id" not in columns]


def test_a_tenants_row_refers_to_its_own_tenant_or_to_what_is_everywhere(
    connection: psycopg.Connection, owned: dict[str, int]
) -> None:
    references = [each for oid in owned.values() for each in connection.execute(REFERENCES, [oid]).fetchall()]
    assert references
    for name, referred, columns in references:
        assert referred in EVERYWHERE or (referred in owned and "tenant_id" in columns), name


def test_the_page_names_every_table(owned: dict[str, int]) -> None:
    page = SCALING.read_text(encoding="utf-8")
    assert not [name for name in {*owned, *EVERYWHERE, *IN_ONE_PLACE} if f"`{name}`" not in page]
