"""A small world, the index on it, and the router on that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.index.refresher import Refresher
from imrs_server.index.warm import Index
from imrs_server.jobs.decision_log import DecisionLog
from imrs_server.use_cases.route import Router
from tests.support import patience
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database

NEVER_SECONDS = 60.0
"""A poll interval that no test lives to see: what arrives was notified of."""


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=2, system_connections=2) as opened:
        yield opened


@pytest.fixture
def world(db: Database) -> World:
    return World(db)


@pytest.fixture
def index(world: World) -> Iterator[Index]:
    found = Index(poll_seconds=NEVER_SECONDS)
    refresher = Refresher(world.database.dsn, found)
    refresher.start()
    assert found.wait_for(1, 20)
    yield found
    refresher.stop()


@pytest.fixture
def decision_log(db: Database) -> DecisionLog:
    """Not started: a test flushes it."""
    return DecisionLog(db)


@pytest.fixture
def router(index: Index, decision_log: DecisionLog) -> Router:
    return Router(index, decision_log.offer)
