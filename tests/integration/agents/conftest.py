"""A small catalogue, and the use cases on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.types.json import Jsonb

from imrs_server.index.refresher import Refresher
from imrs_server.index.warm import Index
from imrs_server.use_cases import effects
from imrs_server.use_cases.agent_models import AgentModels
from imrs_server.use_cases.agents import Agents
from imrs_server.use_cases.effects import Effects
from tests.support import patience, schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.storage.database import Database

# name -> tier, capabilities, priority, whether it is deleted
MODELS: dict[str, tuple[str, list[str], int, bool]] = {
    "free-a": ("FREE", ["text"], 40, False),
    "free-b": ("FREE", ["text", "code"], 50, False),
    "free-gone": ("FREE", ["text"], 50, True),
    "low": ("LOW", ["text", "code"], 60, False),
    "premium": ("PREMIUM", ["text", "code", "vision"], 70, False),
}


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with psycopg.connect(database) as connection:
        schema.insert(connection, "providers")
        for name, (tier, capabilities, priority, deleted) in MODELS.items():
            schema.insert(
                connection,
                "models",
                model_id=f"p/{name}",
                external_id=name,
                display_name=name.title(),
                cost_tier=tier,
                capabilities=Jsonb(capabilities),
                priority=priority,
                delete_time=schema.NOW if deleted else None,
            )
    with patience.database(database, app_connections=8, system_connections=2) as opened:
        yield opened


@pytest.fixture
def agents(db: Database) -> Agents:
    return Agents(db)


@pytest.fixture
def index(db: Database) -> Iterator[Index]:
    found = Index()
    refresher = Refresher(db.dsn, found)
    refresher.start()
    yield found
    refresher.stop()


@pytest.fixture
def models(db: Database, index: Index, monkeypatch: pytest.MonkeyPatch) -> AgentModels:
    """Its lists wait for the index as long as that takes."""
    monkeypatch.setattr(effects, "_CATCH_UP_SECONDS", patience.SECONDS)
    return AgentModels(db, Effects(index))
