"""Standing rules catch models that come, or come to match, later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from imrs_server.domain.model import BulkUpdate, CostTier, ModelFilter, PriceState
from imrs_server.storage import changes
from tests.support import schema
from tests.support.principals import PLATFORM
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.catalog import Catalog

FREE = {"price_state": PriceState.PRICE_FREE}


@pytest.fixture(autouse=True)
def rules(add_provider: Callable[..., Provider], db: Database) -> None:
    """Agents of two tenants want every free model, a third is deleted; one wants models for law."""
    add_provider("p", "http://127.0.0.1:9/v1", key=False)
    with db.system() as tx:
        for number, (tenant, agent, wanted) in enumerate(
            [
                (HERE, "one", {"cost_tier": "FREE"}),
                (ELSEWHERE, "one", {"cost_tier": "FREE"}),
                (HERE, "gone", {"cost_tier": "FREE"}),
                (HERE, "lawyer", {"domains": ["law"]}),
            ]
        ):
            gone: dict[str, Any] = {"state": "DELETED", "delete_time": schema.NOW} if agent == "gone" else {}
            schema.insert(tx, "agents", tenant_id=tenant, agent_id=agent, **gone)
            schema.insert(
                tx,
                "agent_rules",
                tenant_id=tenant,
                agent_id=agent,
                rule_id=rule_id(number),
                filter=Jsonb(wanted),
                created_by="ann",
            )


def rule_id(number: int) -> UUID:
    return UUID(int=number + 1)


def enabled(db: Database) -> set[tuple[UUID, str, str]]:
    with db.system() as tx:
        rows = tx.execute(
            "select tenant_id, agent_id, model_id from agent_models"
            " where enabled and source = 'RULE' and rule_id is not null and enabled_by = 'ann'"
        )
        return {(row["tenant_id"], row["agent_id"], row["model_id"]) for row in rows}


def test_a_new_model_reaches_every_agent_whose_rule_it_matches(catalog: Catalog, db: Database) -> None:
    written = catalog.create(PLATFORM, "p", "m", FREE)
    assert enabled(db) == {(HERE, "one", "p/m"), (ELSEWHERE, "one", "p/m")}
    with db.system() as tx:
        told = {
            (change.kind, change.tenant_id, change.key)
            for _, change in changes.since(tx, written.revision - 1)
        }
    assert told == {("model", None, "p/m"), ("agent", HERE, "one"), ("agent", ELSEWHERE, "one")}


def test_a_model_that_comes_to_match_is_caught(catalog: Catalog, db: Database) -> None:
    catalog.create(PLATFORM, "p", "m", {})
    assert enabled(db) == set()
    catalog.update(PLATFORM, "p/m", {"domains": ("law",)})
    assert enabled(db) == {(HERE, "lawyer", "p/m")}
    catalog.bulk_update(PLATFORM, ModelFilter(), BulkUpdate(cost_tier=CostTier.FREE))
    assert (ELSEWHERE, "one", "p/m") in enabled(db)


def test_what_an_agent_gave_back_stays_away(catalog: Catalog, db: Database) -> None:
    catalog.create(PLATFORM, "p", "m", FREE)
    with db.system() as tx:
        tx.execute("update agent_models set enabled = false where tenant_id = %s", [HERE])
    catalog.update(PLATFORM, "p/m", {"priority": 1})
    assert enabled(db) == {(ELSEWHERE, "one", "p/m")}


def test_a_deleted_model_is_not_caught(catalog: Catalog, db: Database) -> None:
    catalog.create(PLATFORM, "p", "m", {})
    catalog.delete(PLATFORM, "p/m")
    catalog.bulk_update(PLATFORM, ModelFilter(), BulkUpdate(cost_tier=CostTier.FREE))
    assert enabled(db) == set()
