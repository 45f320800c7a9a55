"""``imrs evidence rebuild``: counts anew, and says what was wrong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg

from tests.support.schema import insert
from tests.support.transactions import await_earlier

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


def test_it_counts_anew_and_says_what_had_drifted(imrs: Callable[..., Result], database: str) -> None:
    with psycopg.connect(database) as connection:
        insert(connection, "feedback")
        insert(connection, "decisions")
    await_earlier(database)
    first = imrs("evidence", "rebuild", database_url=database)
    assert (first.exit_code, first.output) == (0, "counted 2 cells; 0 of them had drifted\n")
    with psycopg.connect(database) as connection:
        connection.execute("update evidence set decisions = 7 where agent_id = ''")
    again = imrs("evidence", "rebuild", database_url=database)
    assert again.output == "counted 2 cells; 1 of them had drifted\n"
    told = imrs("evidence", "rebuild", "--json", database_url=database)
    assert json.loads(told.output) == {"cells": 2, "drifted": 0}


def test_a_database_that_cannot_be_used_is_told_in_one_line(
    imrs: Callable[..., Result], empty_database: str
) -> None:
    for dsn, words in (
        ("nonsense", "IMRS_DATABASE_URL is not a DSN"),
        ("postgresql://127.0.0.1:1/x", "Connection refused"),
        (empty_database, "Run `imrs migrate`"),
    ):
        refused = imrs("evidence", "rebuild", database_url=dsn)
        assert refused.exit_code == 1
        assert words in refused.output
        assert refused.output.count("\n") == 1
