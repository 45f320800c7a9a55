"""Files applied to a database, as a platform admin or as a tenant's."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.domain.configuration import Action
from imrs_server.domain.principal import Principal, Role
from imrs_server.storage import agent_models, changes
from imrs_server.storage.database import Database
from imrs_server.use_cases.agent_models import AgentModels
from imrs_server.use_cases.agents import Agents
from imrs_server.use_cases.catalog import Catalog
from imrs_server.use_cases.configuration.apply import Configuration
from tests.support import patience
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.domain.configuration import Plan, PlannedChange

PLATFORM = Principal(subject="root", tenant_id=HERE, roles=frozenset({Role.PLATFORM_ADMIN}))
TENANT = Principal(subject="ann", tenant_id=HERE, roles=frozenset({Role.TENANT_ADMIN}))


def summary(plan: Plan) -> dict[str, str]:
    """Target -> action, of what changes."""
    return {str(each.target): str(each.action) for each in plan.changing}


def counted(plan: Plan) -> dict[str, int]:
    found = dict.fromkeys(map(str, Action), 0)
    for each in plan.changes:
        found[each.action] += 1
    return {action: count for action, count in found.items() if count}


def change(plan: Plan, target: str) -> PlannedChange:
    return next(each for each in plan.changes if str(each.target) == target)


@dataclass
class Files:
    """Everything that the tests do to one database."""

    database: Database
    configuration: Configuration
    agents: Agents
    agent_models: AgentModels
    catalog: Catalog
    who: Principal = PLATFORM

    def acting(self, who: Principal) -> Files:
        return replace(self, who=who)

    def apply(self, text: str, *, source: str = "default", **options: Any) -> Plan:
        return self.configuration.apply(self.who, None, text, source=source, **options).value

    def plan(self, text: str, **options: Any) -> Plan:
        return self.apply(text, validate_only=True, **options)

    def undo(self, **options: Any) -> Plan:
        return self.configuration.undo(self.who, None, source="default", **options).value

    def model(self, agent_id: str, model_id: str) -> Any:
        """A model of an agent as it is stored; None where there is none."""
        with self.database.transaction(HERE) as tx:
            return agent_models.get(tx, HERE, agent_id, model_id)

    def revision(self) -> int:
        with self.database.transaction() as tx:
            return changes.current(tx).rev


@pytest.fixture
def files(database: str) -> Iterator[Files]:
    with patience.database(database, app_connections=8, system_connections=2) as opened:
        yield Files(
            database=opened,
            configuration=Configuration(opened, AddressRules(allowed=(ip_network("127.0.0.0/8"),))),
            agents=Agents(opened),
            agent_models=AgentModels(opened, lambda *_: {}),
            catalog=Catalog(opened),
        )
