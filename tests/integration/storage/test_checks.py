"""What the database refuses by itself, whoever writes."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import CheckViolation, ForeignKeyViolation, NumericValueOutOfRange, UniqueViolation
from psycopg.types.json import Jsonb

from tests.support.schema import HERE, NOW, ROWS, insert, insert_all

OUTSIDE: list[tuple[str, str, list[object]]] = [
    ("providers", "provider_id", ["", "A", "a/b", "../a", "-a", "a" * 51, "a\n"]),
    ("agents", "agent_id", ["", "-a", "a b", "a" * 65, "a\n"]),
    ("messages", "agent_id", ["", "a/b"]),
    ("messages", "task_type", ["", "Code", "a" * 65]),
    ("models", "model_id", ["m", "q/m", "p/n"]),
    ("models", "external_id", ["", "m\n", "\x85", "m" * 254]),
    ("models", "priority", [-1, 101]),
    ("models", "input_price_usd", [Decimal(-1), Decimal(10**9)]),
    ("agent_models", "priority_override", [-1, 101]),
    ("messages", "rating", [-0.1, 1.5]),
    ("feedback", "rating", [-0.1, 1.5]),
    ("decisions", "propensity", [-0.1, 1.1]),
    ("providers", "state", ["active", "RETIRED"]),
    ("providers", "provider_type", ["TYPE_UNSPECIFIED"]),
    ("decisions", "reason", ["REASON_UNSPECIFIED", "score"]),
    ("feedback", "signal", ["", "LIKE"]),
    ("idempotency_keys", "request_hash", [bytes(31)]),
]

_COLUMNS = """
    select relname, attname, typname, attgenerated <> ''
    from pg_attribute
    join pg_class on pg_class.oid = attrelid
    join pg_type on pg_type.oid = atttypid
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
      and attnum > 0 and not attisdropped
    order by relname, attname
"""


def columns(connection: psycopg.Connection, *types: str) -> list[tuple[str, str, str]]:
    return [row[:3] for row in connection.execute(_COLUMNS) if row[2] in types and not row[3]]


def refuses(connection: psycopg.Connection, table: str, column: str, value: object) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            insert(connection, table, **{column: value})
    except (CheckViolation, NumericValueOutOfRange, ForeignKeyViolation):
        return True
    except UniqueViolation:  # looked at after the checks: the value itself would do
        return False
    return False


@pytest.fixture
def filled(database: str) -> str:
    with psycopg.connect(database) as connection:
        insert_all(connection)
    return database


@pytest.mark.both_postgres
def test_no_number_is_nan_or_infinite(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        numbers = columns(connection, "float4", "float8", "numeric")
        assert len(numbers) > 35
        accepted = [
            (table, column, value)
            for table, column, type_name in numbers
            for value in ("NaN", "Infinity", "-Infinity")
            if not refuses(connection, table, column, (Decimal if type_name == "numeric" else float)(value))
        ]
    assert accepted == []


def test_every_json_column_keeps_to_its_shape(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        accepted = {
            (table, column)
            for table, column, _ in columns(connection, "jsonb")
            if not refuses(connection, table, column, Jsonb("a string"))
        }
    assert accepted == {("idempotency_keys", "response")}


def test_every_identifier_has_a_limit(filled: str) -> None:
    """Free texts too: what a caller can send has an end in every column."""
    with psycopg.connect(filled) as connection:
        accepted = {
            (table, column)
            for table, column, _ in columns(connection, "text")
            if table in ROWS and not refuses(connection, table, column, "x" * 100_000)
        }
    # Foreign keys hold these two to ids that have a limit.
    assert accepted == {("agent_rules", "agent_id"), ("endpoints", "model_id")}


def test_values_outside_the_contract_are_refused(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        accepted = [
            (table, column, value)
            for table, column, values in OUTSIDE
            for value in values
            if not refuses(connection, table, column, value)
        ]
    assert accepted == []


def test_model_ids_of_real_catalogues_are_taken(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        for external_id in ("google/gemma-2-9b-it:free", "with some spaces", "模型", "m" * 253):
            insert(connection, "models", model_id=f"p/{external_id}", external_id=external_id)


def test_a_tiny_price_is_kept_and_not_rounded_to_nothing(database: str) -> None:
    with psycopg.connect(database) as connection:
        insert(connection, "providers")
        tiny, large = Decimal("0.000000001"), Decimal(123_456)
        insert(connection, "models", input_price_usd=tiny, output_price_usd=large)
        prices = connection.execute("select input_price_usd, output_price_usd from models").fetchone()
    assert prices == (tiny, large)


def test_a_cost_is_unknown_or_priced_never_both(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert refuses(connection, "messages", "cost_usd", Decimal(1))
        assert refuses(connection, "messages", "cost_priced", True)
        insert(connection, "messages", cost_usd=Decimal(1), cost_priced=True)


def test_one_vote_a_message_user_and_kind(filled: str) -> None:
    with psycopg.connect(filled, autocommit=True) as connection:
        with pytest.raises(UniqueViolation):
            insert(connection, "feedback", feedback_id=UUID(int=99))
        insert(connection, "feedback", feedback_id=UUID(int=99), feedback_type="IMPLICIT", signal="COPY")
        insert(connection, "feedback", feedback_id=UUID(int=98), user_id="v")


def test_a_vote_may_come_before_its_message_only_as_pending(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        unknown = {"agent_id": None, "model_id": None, "task_type": None}
        with pytest.raises(CheckViolation):
            insert(connection, "feedback", **unknown)
        insert(connection, "feedback", **unknown, pending=True)


@pytest.mark.both_postgres
def test_a_null_tenants_idempotency_key_is_unique_too(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        insert(connection, "idempotency_keys", tenant_id=None)
        with pytest.raises(UniqueViolation):
            insert(connection, "idempotency_keys", tenant_id=None)


def test_deleting_a_rule_leaves_what_it_enabled(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        connection.execute("update agent_models set source = 'RULE', rule_id = %s", [UUID(int=2)])
        connection.execute("delete from agent_rules")
        assert connection.execute("select enabled, rule_id, tenant_id from agent_models").fetchall() == [
            (True, None, HERE)
        ]


def test_there_is_one_revision_row(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        assert connection.execute("select rev from index_revision").fetchall() == [(1,)]
        for one in (True, False):
            with pytest.raises((UniqueViolation, CheckViolation)):
                connection.execute("insert into index_revision (one, rev) values (%s, 2)", [one])


def test_facts_carry_the_transaction_that_wrote_them(filled: str) -> None:
    with psycopg.connect(filled) as connection:
        for table in ("decisions", "messages", "feedback"):
            found = connection.execute(f"select xid < pg_current_xact_id() from {table}").fetchone()
            assert found == (True,)


def test_deleted_is_a_state_with_a_time(database: str) -> None:
    with psycopg.connect(database) as connection:
        assert refuses(connection, "providers", "state", "DELETED")
        assert refuses(connection, "agents", "delete_time", NOW)
