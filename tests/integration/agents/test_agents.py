"""Agents through the use case, on the real database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.agent import ModelOverride
from imrs_server.domain.errors import (
    AgentExists,
    AgentNotFound,
    EtagMismatch,
    InvalidRequest,
    ModelNotFound,
    RoleRequired,
    TenantMismatch,
)
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import CostTier, ModelFilter
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import State, etag
from imrs_server.domain.routing import Exploration, RoutingPolicy
from imrs_server.storage import changes
from imrs_server.storage.changes import Change, Kind
from tests.support.principals import ADMIN, PLATFORM, STRANGER, USER
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.agent_models import AgentModels
    from imrs_server.use_cases.agents import Agents

EVERYTHING = {
    "display_name": "Support",
    "agent_class": "support",
    "use_case": "answers\ncustomers",
    "tags": ("a", "b"),
    "labels": {"team": "x"},
    "metadata": {"nested": {"n": None}},
    "capsule": {"body": {"allowed_models": ["p/*"]}},
    "default_model_id": "p/low",
    "parameters": Parameters(temperature=0.2, stop=()),
    "routing": RoutingPolicy(exploration=Exploration.OFF, shadow=RoutingPolicy(priority_weight=0.5)),
    "fallback_model_ids": (),
    "state": State.DISABLED,
}


def test_what_is_created_is_read_back_field_by_field(agents: Agents) -> None:
    created = agents.create(ADMIN, None, "bot", EVERYTHING).value
    read = agents.get(ADMIN, None, "bot")
    assert read == created
    assert {name: getattr(read, name) for name in EVERYTHING} == EVERYTHING
    assert read.tenant_id == HERE
    assert read.create_time is not None


def test_every_write_is_audited_and_announced_under_its_revision(agents: Agents, db: Database) -> None:
    created = agents.create(ADMIN, None, "bot", {})
    updated = agents.update(ADMIN, None, "bot", {"use_case": "x"})
    deleted = agents.delete(ADMIN, None, "bot")
    assert created.revision < updated.revision < deleted.revision
    with db.system() as tx:
        assert changes.since(tx, created.revision - 1) == [
            (each.revision, Change(Kind.AGENT, "bot", HERE)) for each in (created, updated, deleted)
        ]
        rows = tx.execute("select * from audit_events order by event_id").fetchall()
    assert [row["method"] for row in rows] == ["CreateAgent", "UpdateAgent", "DeleteAgent"]
    assert all(row["actor"] == "ann" and row["tenant_id"] == HERE for row in rows)
    assert rows[1]["before"]["use_case"] == ""
    assert rows[1]["after"]["use_case"] == "x"


def test_an_id_is_taken_once_in_a_tenant_and_free_in_another(agents: Agents) -> None:
    agents.create(ADMIN, None, "bot", {})
    agents.create(STRANGER, None, "bot", {"use_case": "theirs"})
    with pytest.raises(AgentExists):
        agents.create(ADMIN, None, "bot", {})
    agents.delete(ADMIN, None, "bot")
    with pytest.raises(AgentExists):
        agents.create(ADMIN, None, "bot", {})
    assert agents.get(STRANGER, None, "bot").use_case == "theirs"


def test_a_foreign_agent_is_not_found_like_one_that_does_not_exist(agents: Agents) -> None:
    agents.create(STRANGER, None, "theirs", {})
    for change in (agents.get, agents.delete, agents.undelete, agents.clear_override):
        with pytest.raises(AgentNotFound, match="Agent theirs does not exist"):
            change(ADMIN, None, "theirs")
        with pytest.raises(TenantMismatch):
            change(ADMIN, ELSEWHERE, "theirs")
    assert agents.get(PLATFORM, ELSEWHERE, "theirs").agent_id == "theirs"
    with pytest.raises(InvalidRequest, match="tenant_id"):
        agents.get(PLATFORM, None, "theirs")


def test_only_admins_configure_agents(agents: Agents) -> None:
    with pytest.raises(RoleRequired):
        agents.create(USER, None, "bot", {})
    with pytest.raises(RoleRequired):
        agents.list(USER, None, PageRequest())


def test_an_update_changes_the_named_fields_only_and_checks_the_etag(agents: Agents) -> None:
    before = agents.create(ADMIN, None, "bot", EVERYTHING).value
    after = agents.update(
        ADMIN, None, "bot", {"fallback_model_ids": None, "state": State.ACTIVE}, etag=etag(before.version)
    ).value
    assert (after.fallback_model_ids, after.state) == (None, State.ACTIVE)
    assert (after.capsule, after.version) == (before.capsule, before.version + 1)
    with pytest.raises(EtagMismatch):
        agents.update(ADMIN, None, "bot", {"use_case": "x"}, etag=etag(before.version))
    with pytest.raises(InvalidRequest, match="tenant_id: not one of"):
        agents.update(ADMIN, None, "bot", {"tenant_id": ELSEWHERE})
    with pytest.raises(InvalidRequest, match="DeleteAgent"):
        agents.update(ADMIN, None, "bot", {"state": State.DELETED})


def test_an_update_creates_a_missing_agent_where_that_is_allowed(agents: Agents) -> None:
    with pytest.raises(AgentNotFound):
        agents.update(ADMIN, None, "bot", {"use_case": "x"})
    assert agents.update(ADMIN, None, "bot", {"use_case": "x"}, allow_missing=True).value.use_case == "x"
    agents.delete(ADMIN, None, "bot")
    with pytest.raises(AgentNotFound):
        agents.update(ADMIN, None, "bot", {"use_case": "y"}, allow_missing=True)


@pytest.mark.parametrize(
    "fields", [{"default_model_id": "p/none"}, {"fallback_model_ids": ("p/low", "p/free-gone")}]
)
def test_settings_name_models_of_the_catalogue(agents: Agents, fields: dict[str, object]) -> None:
    with pytest.raises(ModelNotFound):
        agents.create(ADMIN, None, "bot", fields)
    agents.create(ADMIN, None, "bot", {})
    with pytest.raises(ModelNotFound):
        agents.update(ADMIN, None, "bot", fields)


def test_a_deleted_agent_is_shown_on_demand_and_comes_back(agents: Agents) -> None:
    agents.create(ADMIN, None, "bot", {})
    deleted = agents.delete(ADMIN, None, "bot")
    assert (deleted.value.state, deleted.value.delete_time is None) == (State.DELETED, False)
    assert agents.delete(ADMIN, None, "bot").revision == deleted.revision
    assert agents.get(ADMIN, None, "bot").state is State.DELETED
    assert agents.list(ADMIN, None, PageRequest()).total_size == 0
    assert agents.list(ADMIN, None, PageRequest(), show_deleted=True).total_size == 1
    assert agents.list(ADMIN, None, PageRequest(), state=State.DELETED).total_size == 1
    with pytest.raises(AgentNotFound):
        agents.clone(ADMIN, None, "bot", "copy")
    back = agents.undelete(ADMIN, None, "bot").value
    assert (back.state, back.delete_time) == (State.ACTIVE, None)


def test_a_list_is_filtered_and_goes_on_over_pages(agents: Agents) -> None:
    for i in range(5):
        agents.create(ADMIN, None, f"bot-{i}", {"agent_class": f"c{i % 2}", "tags": (f"t{i}",)})
    agents.create(STRANGER, None, "bot-1", {"display_name": "Théa"})
    first = agents.list(ADMIN, None, PageRequest(size=3, order_by="agent_id desc"))
    rest = agents.list(ADMIN, None, PageRequest(size=3, order_by="agent_id desc", after=first.after))
    assert [each.agent_id for each in first.items + rest.items] == [f"bot-{i}" for i in (4, 3, 2, 1, 0)]
    assert (first.total_size, rest.after) == (5, None)
    assert agents.list(ADMIN, None, PageRequest(), agent_class="c1").total_size == 2
    assert agents.list(ADMIN, None, PageRequest(), tag="t3").total_size == 1
    assert agents.list(ADMIN, None, PageRequest(), search="BOT-2").total_size == 1
    with pytest.raises(
        InvalidRequest, match="order_by: must be one of agent_id, display_name, create_time, u"
    ):
        agents.list(ADMIN, None, PageRequest(order_by="place"))


def test_a_platform_admin_pages_over_equal_ids_of_all_tenants(agents: Agents) -> None:
    for who in (ADMIN, STRANGER):
        for agent_id in ("a", "b"):
            agents.create(who, None, agent_id, {})
    found, after = [], None
    for _ in range(4):
        page = agents.list(PLATFORM, None, PageRequest(size=1, after=after))
        found += [(each.agent_id, each.tenant_id) for each in page.items]
        after = page.after
    assert after is None
    assert found == [("a", HERE), ("a", ELSEWHERE), ("b", HERE), ("b", ELSEWHERE)]


def test_a_pin_needs_a_model_that_is_enabled(agents: Agents, models: AgentModels) -> None:
    agents.create(ADMIN, None, "bot", {})
    with pytest.raises(ModelNotFound):
        agents.set_override(ADMIN, None, "bot", "p/none")
    with pytest.raises(InvalidRequest, match="p/low is not enabled for bot"):
        agents.set_override(ADMIN, None, "bot", "p/low")
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    pinned = agents.set_override(ADMIN, None, "bot", "p/low")
    assert pinned.value.override is not None
    assert (pinned.value.override.model_id, pinned.value.override.set_by) == ("p/low", "ann")
    cleared = agents.clear_override(ADMIN, None, "bot")
    assert cleared.value.override is None
    assert agents.clear_override(ADMIN, None, "bot").revision == cleared.revision


def test_a_clone_has_settings_pin_models_and_rules_of_its_own(agents: Agents, models: AgentModels) -> None:
    agents.create(ADMIN, None, "bot", EVERYTHING)
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    models.update(ADMIN, None, "bot", "p/low", {"priority_override": 7})
    models.enable(ADMIN, None, "bot", filter=ModelFilter(cost_tier=CostTier.FREE), standing=True)
    agents.set_override(ADMIN, None, "bot", "p/low")
    copy = agents.clone(ADMIN, None, "bot", "copy").value
    assert {name: getattr(copy, name) for name in EVERYTHING} == EVERYTHING
    assert isinstance(copy.override, ModelOverride)
    old, new = (models.list_rules(ADMIN, None, each, PageRequest()).items[0] for each in ("bot", "copy"))
    assert (old.filter, old.rule_id == new.rule_id) == (new.filter, False)
    models.delete_rule(ADMIN, None, "bot", old.rule_id or copy.tenant_id)
    page, _ = models.list(ADMIN, None, "copy", PageRequest())
    assert [(each.model_id, each.effective_priority) for each in page.items] == [
        ("p/free-a", 40),
        ("p/free-b", 50),
        ("p/low", 7),
    ]
    with pytest.raises(AgentExists):
        agents.clone(ADMIN, None, "bot", "copy")
