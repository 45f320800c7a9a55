"""AdminService, put together from the methods of each noun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport.servicers.agent_keys import AgentKeyMethods
from imrs_server.transport.servicers.agent_models import AgentModelMethods
from imrs_server.transport.servicers.agents import AgentMethods
from imrs_server.transport.servicers.audit import AuditMethods
from imrs_server.transport.servicers.budgets import BudgetMethods
from imrs_server.transport.servicers.configuration import ConfigurationMethods
from imrs_server.transport.servicers.defaults import DefaultsMethods
from imrs_server.transport.servicers.endpoints import EndpointMethods
from imrs_server.transport.servicers.preferences import PreferenceMethods
from imrs_server.transport.servicers.providers import ProviderMethods
from imrs_server.transport.servicers.status import StatusMethods
from imrs_server.transport.servicers.sync import SyncMethods
from imrs_server.transport.servicers.tenants import TenantMethods
from imrs_server.transport.servicers.tokens import TokenMethods

if TYPE_CHECKING:
    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.agent_keys import AgentKeys
    from imrs_server.use_cases.agent_models import AgentModels
    from imrs_server.use_cases.agents import Agents
    from imrs_server.use_cases.audit_trail import AuditTrail
    from imrs_server.use_cases.budgets import Budgets
    from imrs_server.use_cases.configuration.apply import Configuration
    from imrs_server.use_cases.defaults import DefaultSettings
    from imrs_server.use_cases.endpoints import Endpoints
    from imrs_server.use_cases.preferences import Preferences
    from imrs_server.use_cases.provider_checks import ProviderChecks
    from imrs_server.use_cases.providers import Providers
    from imrs_server.use_cases.revert import Reverts
    from imrs_server.use_cases.status import StatusReport
    from imrs_server.use_cases.sync import Sync
    from imrs_server.use_cases.tenants import Tenants
    from imrs_server.use_cases.tokens import Tokens


class AdminServicer(
    ProviderMethods,
    SyncMethods,
    TenantMethods,
    TokenMethods,
    AgentMethods,
    AgentModelMethods,
    AgentKeyMethods,
    PreferenceMethods,
    EndpointMethods,
    DefaultsMethods,
    ConfigurationMethods,
    BudgetMethods,
    AuditMethods,
    StatusMethods,
    pb.AdminServiceServicer,
):
    """Every method of AdminService that is built."""

    def __init__(
        self,
        *,
        providers: Providers,
        provider_checks: ProviderChecks,
        sync: Sync,
        reverts: Reverts,
        tenants: Tenants,
        tokens: Tokens,
        agents: Agents,
        agent_models: AgentModels,
        agent_keys: AgentKeys,
        preferences: Preferences,
        endpoints: Endpoints,
        defaults: DefaultSettings,
        configuration: Configuration,
        budgets: Budgets,
        audit_trail: AuditTrail,
        status: StatusReport,
        pager: Pager,
    ) -> None:
        self.providers = providers
        self.provider_checks = provider_checks
        self.sync = sync
        self.reverts = reverts
        self.tenants = tenants
        self.tokens = tokens
        self.agents = agents
        self.agent_models = agent_models
        self.agent_keys = agent_keys
        self.preferences = preferences
        self.endpoints = endpoints
        self.defaults = defaults
        self.configuration = configuration
        self.budgets = budgets
        self.audit_trail = audit_trail
        self.status = status
        self.pager = pager
