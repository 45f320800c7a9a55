"""Row-level security and grants: the second layer under the tenant_id that every query names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql
from psycopg.errors import ForeignKeyViolation, InsufficientPrivilege

from tests.support.schema import ELSEWHERE, HERE, ROWS, acting, insert, insert_all

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.both_postgres

# What each role may do, table by table: a reviewed list.
READ, ADD, CHANGE, ALL = "select", "insert select", "insert select update", "delete insert select update"
GRANTS = {
    "agent_keys": (ALL, ALL),
    "agent_models": (ALL, ALL),
    "agent_rules": (ALL, ALL),
    "agents": (CHANGE, ALL),
    "audit_events": (ADD, ADD),
    "budget_reservations": (ALL, ALL),
    "breakers": (ALL, ALL),
    "budgets": (ALL, ALL),
    "change_log": ("insert", ALL),
    "config_applies": (ALL, ALL),
    "config_files": (ALL, ALL),
    "config_owned": (ALL, ALL),
    "decisions": (ADD, ALL),
    "defaults": (CHANGE, ALL),
    "endpoint_calls": (ALL, ALL),
    "replicas": (ALL, ALL),
    "endpoints": (ALL, ALL),
    "evidence": (READ, ALL),
    "evidence_tenants": ("", ALL),
    "feedback": (CHANGE, ALL),
    "idempotency_keys": (ALL, ALL),
    "index_revision": ("select update", "select update"),
    "issued_tokens": (CHANGE, ALL),
    "messages": (CHANGE, ALL),
    "model_changes": (ADD, ALL),
    "models": (CHANGE, ALL),
    "outbox": (CHANGE, ALL),
    "past_feedback": ("insert", ALL),
    "past_messages": ("insert", ALL),
    "past_usage": (ADD, ALL),
    "preferences": (ALL, ALL),
    "provider_calls": (ALL, ALL),
    "providers": (CHANGE, ALL),
    "rollup_state": (READ, ALL),
    "schema_migrations": (READ, READ),
    "task_types": ("", ALL),
    "tenants": (CHANGE, ALL),
    "usage_days": (READ, ALL),
}
# The feed of changes names tenants, and serves all of them.
NOT_ISOLATED = {"change_log"}
ISOLATED = [table for table, row in ROWS.items() if "tenant_id" in row and table not in NOT_ISOLATED]
READABLE = [table for table in ISOLATED if "select" in GRANTS[table][0]]
WRITABLE = [table for table in ISOLATED if "insert" in GRANTS[table][0]]
PLATFORM = [
    "audit_events", "config_applies", "config_files", "config_owned", "idempotency_keys", "issued_tokens",
]  # fmt: skip


def count(connection: psycopg.Connection, table: str) -> int:
    found = connection.execute(sql.SQL("select count(*) from {}").format(sql.Identifier(table))).fetchone()
    assert found is not None
    number: int = found[0]
    return number


@pytest.fixture
def filled(database: str) -> str:
    """A database with one row in every table, those with a tenant for HERE."""
    with psycopg.connect(database) as connection:
        insert_all(connection)
    return database


def test_every_table_has_exactly_its_reviewed_grants(database: str) -> None:
    query = """
        select relname, string_agg(lower(privilege_type), ' ' order by privilege_type)
        from pg_class left join aclexplode(relacl) on grantee = to_regrole(%s)
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
        group by relname
    """
    with psycopg.connect(database) as connection:
        app: dict[str, str | None] = dict(connection.execute(query, ["imrs_app"]))
        system: dict[str, str | None] = dict(connection.execute(query, ["imrs_system"]))
    assert {table: (app[table] or "", system[table] or "") for table in app} == GRANTS


def test_partitions_are_granted_to_nobody(database: str) -> None:
    with psycopg.connect(database) as connection:
        granted = connection.execute("""
            select relname, grantee::regrole from pg_class, aclexplode(relacl)
            where relispartition and grantee <> relowner
        """).fetchall()
    assert granted == []


def test_every_table_with_a_tenant_is_isolated_and_so_are_partitions(database: str) -> None:
    with psycopg.connect(database) as connection:
        isolated = connection.execute("""
            select relname, relrowsecurity and relforcerowsecurity
                and (relispartition or exists (select from pg_policy where polrelid = pg_class.oid))
            from pg_class join pg_attribute on attrelid = pg_class.oid and attname = 'tenant_id'
            where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        """)
        assert {table for (table, is_isolated) in isolated if not is_isolated} == NOT_ISOLATED


def test_the_function_that_runs_as_the_owner_is_for_both_roles_alone(database: str) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("create role stranger")
        may = connection.execute("""
            select rolname, has_function_privilege(oid, 'ensure_partition(text, timestamptz)', 'execute')
            from pg_roles where rolname in ('imrs_app', 'imrs_system', 'stranger')
        """)
        assert dict(may) == {"imrs_app": True, "imrs_system": True, "stranger": False}
        connection.rollback()


def test_a_tenant_sees_its_rows_and_no_others(filled: str) -> None:
    for role, tenant_id, expected in (
        ("imrs_app", HERE, 1),
        ("imrs_app", ELSEWHERE, 0),
        ("imrs_app", None, 0),
        ("imrs_system", None, 1),
    ):
        with acting(filled, role, tenant_id) as connection:
            assert {table: count(connection, table) for table in READABLE} == dict.fromkeys(
                READABLE, expected
            )


def test_no_tenant_is_left_over_for_the_next_transaction(filled: str) -> None:
    with acting(filled, "imrs_app", HERE) as connection:
        assert count(connection, "agents") == 1
        connection.commit()
        assert count(connection, "agents") == 0


@pytest.mark.parametrize("tenant_id", [HERE, None], ids=["other", "none"])
def test_a_row_for_a_tenant_that_is_not_the_transactions_is_refused(
    tenant_id: UUID | None, database: str
) -> None:
    with acting(database, "imrs_app", tenant_id) as connection:
        for table in WRITABLE:
            with (
                pytest.raises(InsufficientPrivilege, match=f'row-level security policy for table "{table}"'),
                connection.transaction(),
            ):
                insert(connection, table, tenant_id=ELSEWHERE)


def test_rows_of_another_tenant_are_not_changed(filled: str) -> None:
    with acting(filled, "imrs_app", ELSEWHERE) as connection:
        for table in WRITABLE:
            if "update" in GRANTS[table][0]:
                touch = sql.SQL("update {} set tenant_id = tenant_id").format(sql.Identifier(table))
                assert connection.execute(touch).rowcount == 0


def test_what_belongs_to_the_platform_is_for_transactions_without_a_tenant(database: str) -> None:
    for table in PLATFORM:
        with acting(database, "imrs_app") as connection:
            insert(connection, table, tenant_id=None)
        with acting(database, "imrs_app") as connection:
            assert count(connection, table) == 1
        with acting(database, "imrs_app", HERE) as connection:
            assert count(connection, table) == 0
            with pytest.raises(InsufficientPrivilege):
                insert(connection, table, tenant_id=None)


def test_global_defaults_are_read_by_all_and_written_without_a_tenant(database: str) -> None:
    with acting(database, "imrs_app") as connection:
        insert(connection, "defaults", tenant_id=None, scope="GLOBAL")
    with acting(database, "imrs_app", HERE) as connection:
        assert count(connection, "defaults") == 1
        assert connection.execute("update defaults set default_model_id = 'p/m'").rowcount == 0
        insert(connection, "defaults")
        assert count(connection, "defaults") == 2
    with acting(database, "imrs_app") as connection:
        assert connection.execute("update defaults set default_model_id = 'p/m'").rowcount == 1


def test_the_audit_log_is_only_added_to(filled: str) -> None:
    for role in ("imrs_app", "imrs_system"):
        with acting(filled, role, HERE) as connection:
            for statement in ("update audit_events set actor = 'eve'", "delete from audit_events"):
                with pytest.raises(InsufficientPrivilege), connection.transaction():
                    connection.execute(statement)
            with pytest.raises(InsufficientPrivilege), connection.transaction():
                connection.execute("truncate audit_events")


def test_an_agent_of_another_tenant_cannot_be_referred_to(filled: str) -> None:
    with (
        pytest.raises(ForeignKeyViolation),
        acting(filled, "imrs_app", ELSEWHERE) as connection,
    ):
        insert(connection, "agent_models", tenant_id=ELSEWHERE)


def test_a_foreign_key_finds_its_row_under_forced_row_level_security(filled: str) -> None:
    with acting(filled, "imrs_app", ELSEWHERE) as connection:
        insert(connection, "agents", tenant_id=ELSEWHERE)
        insert(connection, "agent_models", tenant_id=ELSEWHERE)
        assert count(connection, "agent_models") == 1
