"""``imrs migrate``: says what it does, and asks before it drops anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from imrs_server.storage import migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from tests.support.cluster import Cluster

NAMES = [each.name for each in migrate.read(migrate.folder())]
NEWEST = NAMES[-1]


def test_it_applies_what_is_missing_and_then_nothing(
    imrs: Callable[..., Result], empty_database: str
) -> None:
    planned = imrs("migrate", "--dry-run", database_url=empty_database)
    assert planned.output.splitlines() == [f"would apply {name}" for name in NAMES]
    applied = imrs("migrate", database_url=empty_database)
    assert (applied.exit_code, applied.output.splitlines()) == (0, [f"applied {name}" for name in NAMES])
    for words in (["migrate"], ["migrate", "--dry-run"]):
        again = imrs(*words, database_url=empty_database)
        assert (again.exit_code, again.output) == (0, "the schema is up to date\n")


def test_down_names_what_it_would_drop_and_asks(imrs: Callable[..., Result], database: str) -> None:
    with psycopg.connect(database) as tx:
        tx.execute("create table precious as select 1 as kept")
    losses = migrate.would_drop(database, steps=len(NAMES))
    every = str(len(NAMES))
    for words, typed in ((["--dry-run"], None), ([], "n\n"), ([], "")):
        asked = imrs("migrate", "--down", every, *words, database_url=database, typed=typed)
        assert asked.exit_code == (0 if words else 1)
        assert asked.output.splitlines()[0] == "this drops, with everything in it:"
        assert all(f"  {loss}\n" in asked.output for loss in losses)
        assert any(loss.startswith("table providers (") for loss in losses)
        assert not any("precious" in loss for loss in losses)
        assert migrate.pending(database) == []


@pytest.mark.parametrize("words", [[], ["--yes"]], ids=["asked", "told"])
def test_down_reverts_when_it_may(imrs: Callable[..., Result], words: list[str], database: str) -> None:
    done = imrs("migrate", "--down", "1", *words, database_url=database, typed="" if words else "y\n")
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == f"reverted {NEWEST}"
    assert migrate.pending(database) == [NEWEST]


def test_down_of_an_empty_database_has_nothing_to_do(
    imrs: Callable[..., Result], empty_database: str
) -> None:
    done = imrs("migrate", "--down", "1", database_url=empty_database)
    assert done.exit_code == 0
    assert done.output.splitlines()[-1] == "no migration is applied"


def test_what_is_wrong_with_the_database_is_said_without_the_password(
    imrs: Callable[..., Result], postgres_server: Cluster
) -> None:
    with psycopg.connect(postgres_server.dsn) as found:
        port = str(found.info.port)
    secret = "a%20secret%20of%20the%20dsn"
    for dsn, said in (
        (f"postgresql://ann:{secret}@127.0.0.1:{port}/x", 'password authentication failed for user "ann"'),
        (f"postgresql://ann:{secret}@127.0.0.1:1/x", "The database does not answer. connection failed: "),
        ("postgresql://ann:a secret@127.0.0.1", "IMRS_DATABASE_URL is not a DSN such as postgresql://"),
        (make_conninfo(postgres_server.dsn, dbname="nowhere"), 'database "nowhere" does not exist'),
    ):
        done = imrs("migrate", database_url=dsn)
        assert done.exit_code == 1
        assert said in done.output
        assert "secret" not in done.output
    done = imrs("migrate")
    assert done.exit_code == 2
    assert "IMRS_DATABASE_URL" in done.output
