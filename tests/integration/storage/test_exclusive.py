"""One at a time in the whole database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.storage import exclusive
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=1, system_connections=1) as opened:
        yield opened


def test_a_second_one_is_told_that_it_is_not_alone(db: Database) -> None:
    with exclusive.held(db, "job") as first, exclusive.held(db, "job") as second:
        assert (first, second) == (True, False)
        with exclusive.held(db, "other") as third:
            assert third


def test_who_comes_right_after_finds_it_free(db: Database) -> None:
    for _ in range(30):
        with exclusive.held(db, "job") as taken:
            assert taken


def test_a_failure_inside_frees_it_too(db: Database) -> None:
    with pytest.raises(ZeroDivisionError), exclusive.held(db, "job"):
        _ = 1 / 0
    with exclusive.held(db, "job") as taken:
        assert taken
