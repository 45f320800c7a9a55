from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import migrate
from imrs_server.storage.migrate import SchemaError
from tests.support.schema import acting, insert, insert_all
from tests.support.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.both_postgres

FILES = sorted(migrate.folder().glob("*.sql"))
NAMES = [path.stem for path in FILES]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder of migrations that a test may change."""
    return shutil.copytree(migrate.folder(), tmp_path / "migrations")


@pytest.fixture
def young_server(tmp_path: Path, postgres_version: int) -> Iterator[str]:
    """A server that has never seen IMRS: its roles are missing."""
    with Postgres(tmp_path / "postgres", version=postgres_version, durable=False) as postgres:
        yield postgres.dsn


def catalog(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as connection:
        return snapshot(connection)


def execute(dsn: str, *statements: Any) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def write(source: Path, name: str, up: str, down: str = "") -> None:
    (source / f"{name}.sql").write_text(f"-- migrate:up\n{up}\n-- migrate:down\n{down}\n", encoding="utf-8")


def test_each_migration_goes_down_and_up_again_without_a_trace(empty_database: str, tmp_path: Path) -> None:
    migrate.apply(empty_database, tmp_path)
    for path in FILES:
        before = catalog(empty_database)
        shutil.copy(path, tmp_path)

        assert migrate.apply(empty_database, tmp_path) == [path.stem]
        up = catalog(empty_database)
        assert up != before

        assert migrate.revert(empty_database, tmp_path) == [path.stem]
        assert catalog(empty_database) == before

        migrate.apply(empty_database, tmp_path)
        assert catalog(empty_database) == up


def test_every_table_takes_its_valid_row_and_all_goes_down_with_rows_in_it(database: str) -> None:
    with psycopg.connect(database) as connection:
        insert_all(connection)
    assert migrate.revert(database, steps=len(FILES)) == NAMES[::-1]
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace"
        )
        assert {name for (name,) in tables} == {"schema_migrations", "schema_migrations_pkey"}


def test_a_second_run_finds_nothing_to_do(empty_database: str) -> None:
    assert migrate.pending(empty_database) == NAMES
    assert migrate.apply(empty_database) == NAMES
    assert migrate.pending(empty_database) == []
    assert migrate.apply(empty_database) == []


def test_of_servers_that_start_at_once_one_migrates_and_the_others_wait(empty_database: str) -> None:
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(migrate.apply, [empty_database] * 8))
    assert sorted(done) == [*[[]] * 7, NAMES]


def test_what_a_revert_would_drop_is_named_and_stays(database: str, source: Path) -> None:
    write(source, "29991230000000_marks", "create table marks (mark text);", "drop table marks;")
    write(
        source,
        "29991231000000_labels",
        "alter table providers add column labels jsonb; create table notes (note text);",
        "drop table notes; alter table providers drop column labels;",
    )
    migrate.apply(database, source)
    before = catalog(database)

    assert migrate.would_drop(database, source) == ["column providers.labels", "table notes (0 bytes)"]
    two = migrate.would_drop(database, source, steps=2)

    assert "table marks (0 bytes)" in two
    assert "column providers.labels" in two
    assert catalog(database) == before


def test_the_size_of_what_would_go_counts_its_partitions(database: str) -> None:
    with psycopg.connect(database) as connection:
        insert_all(connection)
    dropped = migrate.would_drop(database, steps=len(FILES))
    assert "table messages (8192 bytes)" in dropped
    assert "function ensure_partition(text,timestamp with time zone)" in dropped


def test_a_file_changed_after_it_was_applied_is_refused(database: str, source: Path) -> None:
    with (source / FILES[3].name).open("a", encoding="utf-8") as file:
        file.write("-- another thought\n")
    with pytest.raises(SchemaError, match=f"{NAMES[3]} was changed after"):
        migrate.apply(database, source)


def test_a_migration_that_fails_leaves_nothing_and_shows_no_row(database: str, source: Path) -> None:
    write(
        source,
        "29991231000000_bad",
        "create table notes (note text check (note <> 'secret')); insert into notes values ('secret');",
    )
    before = catalog(database)
    with pytest.raises(SchemaError) as caught:
        migrate.apply(database, source)
    assert str(caught.value).startswith("29991231000000_bad: new row for relation")
    assert "'secret'" not in str(caught.value)
    assert "(secret)" not in str(caught.value)
    assert catalog(database) == before
    assert migrate.pending(database, source) == ["29991231000000_bad"]


def test_a_table_in_use_is_not_waited_for_until_everybody_queues(
    database: str, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "_DDL_LOCK_TIMEOUT", "set local lock_timeout = '100ms'")
    write(source, "29991231000000_column", "alter table providers add column x int;")
    with psycopg.connect(database) as reader:
        reader.execute("select from providers")
        with pytest.raises(SchemaError, match=r"29991231000000_column: .* lock timeout"):
            migrate.apply(database, source)


def test_a_server_refuses_an_older_schema_and_says_what_to_run(database: str, empty_database: str) -> None:
    migrate.require_current(database)
    with pytest.raises(SchemaError, match=f"the first is {NAMES[0]}. Run `imrs migrate`"):
        migrate.require_current(empty_database)


def test_a_server_runs_on_the_next_versions_schema_but_does_not_revert_it(
    database: str, source: Path
) -> None:
    write(source, "29991231000000_next", "create table next (id int);")
    migrate.apply(database, source)
    migrate.require_current(database)
    with pytest.raises(SchemaError, match="29991231000000 is applied, but this version of IMRS"):
        migrate.revert(database)


def test_a_database_that_dbmate_began_is_gone_on_with(empty_database: str) -> None:
    up = FILES[0].read_text(encoding="utf-8").split("-- migrate:down")[0]
    version = NAMES[0].split("_")[0]
    execute(
        empty_database,
        "create table schema_migrations (version varchar(128) primary key)",
        up,
        f"insert into schema_migrations (version) values ('{version}')",
    )
    assert migrate.apply(empty_database) == NAMES[1:]
    # ... and dbmate can go on from there.
    execute(empty_database, "insert into schema_migrations (version) values ('29991231000000')")


def test_a_server_older_than_the_floor_is_refused(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrate, "OLDEST_SERVER", 990000)
    with pytest.raises(SchemaError, match=r"the database is PostgreSQL \d\d; IMRS needs 99 or later"):
        migrate.require_current(database)


def test_a_database_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        migrate.pending("host=127.0.0.1 port=1 user=nobody")


@pytest.mark.parametrize("name", ["nodigits", "1_two_downs", "2_nothing"])
def test_a_file_that_is_no_migration_is_named(name: str, tmp_path: Path) -> None:
    text = {"1_two_downs": "-- migrate:down\n-- migrate:down\n"}.get(name, "select 1")
    (tmp_path / f"{name}.sql").write_text(text, encoding="utf-8")
    with pytest.raises(SchemaError, match=f"{name}.sql is not a migration"):
        migrate.read(tmp_path)


def test_databases_of_one_new_cluster_may_migrate_at_once(young_server: str) -> None:
    names = [f"side{number}" for number in range(4)]
    execute(young_server, *(f"create database {name}" for name in names))
    with ThreadPoolExecutor(len(names)) as pool:
        applied = pool.map(migrate.apply, [make_conninfo(young_server, dbname=name) for name in names])
        assert list(applied) == [NAMES] * len(names)


def test_a_login_without_rights_is_told_what_an_administrator_must_run(young_server: str) -> None:
    execute(young_server, "create role plain login password 'x'", "create database theirs owner plain")
    theirs = make_conninfo(young_server, dbname="theirs", user="plain", password="x")
    with pytest.raises(SchemaError, match="An administrator must run once: ") as caught:
        migrate.apply(theirs)

    execute(young_server, str(caught.value).split("must run once: ")[1])

    assert migrate.apply(theirs) == NAMES
    with acting(theirs, "imrs_system") as connection:
        insert_all(connection)
    migrate.require_current(theirs)
    assert migrate.revert(theirs, steps=len(FILES)) == NAMES[::-1]


@pytest.mark.parametrize(("kind", "anew"), [("bad_request", True), ("overloaded", False)])
def test_evidence_is_counted_anew_where_faults_of_callers_were_counted_against_models(
    empty_database: str, tmp_path: Path, kind: str, anew: bool
) -> None:
    name = "20261121205500_faults_of_callers"
    for path in FILES[: NAMES.index(name)]:
        shutil.copy(path, tmp_path)
    migrate.apply(empty_database, tmp_path)
    with psycopg.connect(empty_database, autocommit=True) as connection:
        insert(connection, "messages", outcome="ERROR", error_kind=kind)
        connection.execute(
            "insert into rollup_state (name, xid, epoch) select 'evidence', '9', epoch from index_revision"
        )
        shutil.copy(FILES[NAMES.index(name)], tmp_path)
        assert migrate.apply(empty_database, tmp_path) == [name]
        left = connection.execute("select name from rollup_state where name = 'evidence'").fetchall()
    assert (not left) is anew


def test_applies_of_before_have_the_order_of_the_database_and_later_ones_follow(database: str) -> None:
    name = "20261121205700_config_order"
    migrate.revert(database, steps=len(NAMES) - NAMES.index(name))
    add = """
        insert into config_applies (apply_id, source, actor, changes, owned, create_time)
        values (%s, 'default', 'ann', '[]', '[]', now() - make_interval(hours => %s))
    """
    # The oldest was made by the server whose clock was furthest ahead.
    with psycopg.connect(database) as connection:
        for number, hours in ((1, 1), (3, 3), (2, 2)):
            connection.execute(add, [UUID(int=number), hours])
    migrate.apply(database)
    with psycopg.connect(database) as connection:
        connection.execute(add, [UUID(int=0), 4])
        ordered = connection.execute("select apply_id from config_applies order by number").fetchall()
    assert [found.int for (found,) in ordered] == [3, 2, 1, 0]
