"""What agents inherit: the preference of their class, the defaults of their tenant and of everybody."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client.tasks import Rules
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.errors import (
    EtagMismatch,
    InvalidRequest,
    ModelNotFound,
    PreferenceNotFound,
    RoleRequired,
    TenantMismatch,
)
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import Preference
from imrs_server.domain.provider import etag
from imrs_server.domain.routing import Exploration, RoutingPolicy
from imrs_server.domain.tenant import Tenant
from imrs_server.storage import changes
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases.defaults import DefaultSettings
from imrs_server.use_cases.preferences import Preferences
from imrs_server.use_cases.tenants import Tenants
from tests.support.principals import ADMIN, PLATFORM, STRANGER
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database
    from imrs_server.use_cases.agent_models import AgentModels
    from imrs_server.use_cases.agents import Agents


@pytest.fixture
def preferences(db: Database) -> Preferences:
    return Preferences(db)


@pytest.fixture
def defaults(db: Database) -> DefaultSettings:
    return DefaultSettings(db)


@pytest.fixture
def tenants(db: Database) -> Tenants:
    return Tenants(db)


def test_a_preference_is_set_replaced_and_deleted(preferences: Preferences, index: Index) -> None:
    wanted = Preference(agent_class="support", model_ids=("p/low", "p/free-a"))
    first = preferences.put(PLATFORM, wanted).value
    assert preferences.get(PLATFORM, "support") == first
    second = preferences.put(
        PLATFORM,
        Preference(agent_class="support", model_ids=("p/premium",), parameters=Parameters(top_p=0.5)),
        etag=etag(first.version),
    )
    assert (second.value.parameters.top_p, second.value.version) == (0.5, 2)
    assert index.wait_for(second.revision, 20)
    assert index.current is not None
    assert index.current.preferences["support"].model_ids == ("p/premium",)
    with pytest.raises(EtagMismatch):
        preferences.delete(PLATFORM, "support", etag=etag(first.version))
    preferences.delete(PLATFORM, "support")
    with pytest.raises(PreferenceNotFound):
        preferences.get(PLATFORM, "support")
    with pytest.raises(PreferenceNotFound):
        preferences.delete(PLATFORM, "support")
    with pytest.raises(EtagMismatch):
        preferences.put(PLATFORM, wanted, etag="2")


def test_a_preference_names_known_models_once(preferences: Preferences, db: Database) -> None:
    for model_ids in ((), ("p/low", "p/low"), ("p/low",) * 21):
        with pytest.raises(InvalidRequest, match="model_ids"):
            preferences.put(PLATFORM, Preference(agent_class="*", model_ids=model_ids))
    with pytest.raises(ModelNotFound):
        preferences.put(PLATFORM, Preference(agent_class="*", model_ids=("p/free-gone",)))
    with pytest.raises(RoleRequired):
        preferences.put(ADMIN, Preference(agent_class="*", model_ids=("p/low",)))
    with db.system() as tx:
        assert changes.current(tx).rev == 1
        assert tx.execute("select count(*) as n from audit_events").fetchone() == {"n": 0}


def test_preferences_are_listed_by_class(preferences: Preferences) -> None:
    for agent_class in ("b", "*", "a"):
        preferences.put(PLATFORM, Preference(agent_class=agent_class, model_ids=("p/low",)))
    first = preferences.list(PLATFORM, PageRequest(size=2))
    rest = preferences.list(PLATFORM, PageRequest(size=2, after=first.after))
    assert [each.agent_class for each in [*first.items, *rest.items]] == ["*", "a", "b"]


def test_defaults_are_set_field_by_field_and_belong_to_their_tenant(
    defaults: DefaultSettings, db: Database
) -> None:
    nothing = defaults.get(ADMIN, None, Scope.TENANT)
    assert nothing == Defaults(scope=Scope.TENANT, tenant_id=HERE, version=0)
    wanted = {
        "parameters": Parameters(temperature=0.1),
        "routing": RoutingPolicy(exploration=Exploration.OFF, half_life=timedelta(days=3)),
        "task_rules": Rules(tools={"sql": "code"}, words={"law": ("statute", "-game")}),
    }
    first = defaults.update(ADMIN, None, Scope.TENANT, wanted, etag=etag(0))
    assert {name: getattr(first.value, name) for name in wanted} == wanted
    second = defaults.update(ADMIN, None, Scope.TENANT, {"default_model_id": "p/low"}, etag=etag(1)).value
    assert (second.parameters, second.default_model_id) == (wanted["parameters"], "p/low")
    assert defaults.get(PLATFORM, HERE, Scope.TENANT) == second
    assert defaults.get(STRANGER, None, Scope.TENANT).version == 0
    with db.system() as tx:
        assert changes.since(tx, first.revision - 1)[0] == (first.revision, Change(Kind.DEFAULTS, "", HERE))
    with pytest.raises(EtagMismatch):
        defaults.update(ADMIN, None, Scope.TENANT, {"default_model_id": ""}, etag=etag(1))
    with pytest.raises(ModelNotFound):
        defaults.update(ADMIN, None, Scope.TENANT, {"default_model_id": "p/none"})


def test_what_is_first_set_at_the_same_time_is_all_kept(defaults: DefaultSettings) -> None:
    wanted: dict[str, Any] = {
        "parameters": Parameters(temperature=0.1),
        "routing": RoutingPolicy(exploration=Exploration.OFF),
        "default_model_id": "p/low",
        "task_rules": Rules(tools={"sql": "code"}),
    }
    together = Barrier(len(wanted))

    def update(name: str) -> None:
        together.wait()
        defaults.update(PLATFORM, None, Scope.GLOBAL, {name: wanted[name]})

    with ThreadPoolExecutor(len(wanted)) as pool:
        list(pool.map(update, wanted))
    found = defaults.get(PLATFORM, None, Scope.GLOBAL)
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.version == len(wanted)


def test_global_defaults_are_a_platform_admins(defaults: DefaultSettings) -> None:
    for who in (ADMIN, STRANGER):
        with pytest.raises(RoleRequired):
            defaults.get(who, None, Scope.GLOBAL)
        with pytest.raises(RoleRequired):
            defaults.update(who, None, Scope.GLOBAL, {"default_model_id": "p/low"})
    written = defaults.update(PLATFORM, None, Scope.GLOBAL, {"default_model_id": "p/low"}).value
    assert defaults.get(PLATFORM, ELSEWHERE, Scope.GLOBAL) == written
    assert (written.tenant_id, written.version) == (None, 1)
    with pytest.raises(InvalidRequest, match="scope"):
        defaults.get(PLATFORM, None, None)
    with pytest.raises(InvalidRequest, match="tenant_id"):
        defaults.get(PLATFORM, None, Scope.TENANT)
    with pytest.raises(TenantMismatch):
        defaults.get(ADMIN, ELSEWHERE, Scope.TENANT)


def test_a_policy_that_makes_no_sense_is_refused(defaults: DefaultSettings, agents: Agents) -> None:
    nested = RoutingPolicy(shadow=RoutingPolicy(shadow=RoutingPolicy()))
    with pytest.raises(InvalidRequest, match=r"defaults\.routing\.shadow\.shadow"):
        defaults.update(ADMIN, None, Scope.TENANT, {"routing": nested})
    with pytest.raises(InvalidRequest, match=r"agent\.routing\.half_life: belongs to the tenant"):
        agents.create(ADMIN, None, "bot", {"routing": RoutingPolicy(half_life=timedelta(days=3))})


def test_values_are_traced_through_all_levels(
    agents: Agents, models: AgentModels, preferences: Preferences, defaults: DefaultSettings
) -> None:
    agents.create(ADMIN, None, "bot", {"agent_class": "rare"})
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    everywhere = Parameters(temperature=0.1, top_p=0.1, max_output_tokens=1)
    defaults.update(PLATFORM, None, Scope.GLOBAL, {"parameters": everywhere})
    defaults.update(ADMIN, None, Scope.TENANT, {"parameters": Parameters(top_p=0.2, max_output_tokens=2)})
    preferences.put(
        PLATFORM,
        Preference(agent_class="*", model_ids=("p/low",), parameters=Parameters(max_output_tokens=3)),
    )
    (found,) = models.list(ADMIN, None, "bot", PageRequest(), effective=True)[0].items
    assert found.effect is not None
    assert {
        name: found.effect.value_sources[f"parameters.{name}"]
        for name in ("temperature", "top_p", "max_output_tokens")
    } == {"temperature": "GLOBAL", "top_p": "TENANT", "max_output_tokens": "CLASS"}


def test_a_tenant_is_known_once_it_has_an_agent_or_a_name(tenants: Tenants, agents: Agents) -> None:
    agents.create(ADMIN, None, "bot", {})
    named = tenants.put(PLATFORM, Tenant(tenant_id=ELSEWHERE, display_name="Else")).value
    assert tenants.put(PLATFORM, Tenant(tenant_id=ELSEWHERE, display_name="Other")).value.create_time == (
        named.create_time
    )
    agents.create(STRANGER, None, "bot", {})
    page = tenants.list(PLATFORM, PageRequest(size=1))
    rest = tenants.list(PLATFORM, PageRequest(size=1, after=page.after))
    assert [(each.tenant_id, each.display_name) for each in [*page.items, *rest.items]] == [
        (HERE, ""),
        (ELSEWHERE, "Other"),
    ]
    with pytest.raises(RoleRequired):
        tenants.list(ADMIN, PageRequest())
    with pytest.raises(RoleRequired):
        tenants.put(ADMIN, Tenant(tenant_id=HERE, display_name="Mine"))
