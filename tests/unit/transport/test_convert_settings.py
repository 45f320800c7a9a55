"""Tenants, preferences and defaults, there and back over the wire form."""

from __future__ import annotations

from uuid import UUID

from imrs_client import v1 as pb
from imrs_client.tasks import Rules
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import Preference
from imrs_server.domain.routing import Exploration, RoutingPolicy
from imrs_server.domain.tenant import Tenant
from imrs_server.transport.convert import defaults, preferences, tenants


def test_a_tenant_survives() -> None:
    tenant = Tenant(tenant_id=UUID(int=7), display_name="Seven")
    assert tenants.tenant(tenants.to_proto(tenant)) == tenant


def test_a_preference_survives_and_shows_its_version() -> None:
    preference = Preference(agent_class="*", model_ids=("p/b", "p/a"), parameters=Parameters(stop=()))
    message = preferences.to_proto(preference)
    assert preferences.preference(message) == preference
    assert message.etag == "1"


def test_defaults_survive_and_an_empty_word_list_is_kept() -> None:
    settings = {
        "parameters": Parameters(temperature=0.0),
        "routing": RoutingPolicy(exploration=Exploration.OFF),
        "default_model_id": "p/a",
        "task_rules": Rules(
            tools={"sql": "code", "old": ""}, mime_types={".x": "code"}, words={"law": ("a b",), "code": ()}
        ),
    }
    message = defaults.to_proto(Defaults(scope=Scope.TENANT, **settings))  # type: ignore[arg-type]
    assert defaults.fields(message, []) == settings
    assert defaults.scope(message.scope) is Scope.TENANT
    assert defaults.fields(pb.Defaults(scope=pb.Defaults.GLOBAL), ["task_rules"]) == {"task_rules": Rules()}
