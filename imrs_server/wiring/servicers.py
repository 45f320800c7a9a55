"""The methods of the API: each service with the use cases that its methods call."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from imrs_server.transport.paging import Pager
from imrs_server.transport.servicers.admin import AdminServicer
from imrs_server.transport.servicers.catalog import CatalogServicer
from imrs_server.transport.servicers.feedback import FeedbackServicer
from imrs_server.transport.servicers.route import RouteServicer
from imrs_server.transport.tokens import sign
from imrs_server.use_cases.agent_keys import AgentKeys
from imrs_server.use_cases.audit_trail import AuditTrail
from imrs_server.use_cases.budgets import Budgets
from imrs_server.use_cases.decisions import Decisions
from imrs_server.use_cases.defaults import DefaultSettings
from imrs_server.use_cases.performance import PerformanceReport
from imrs_server.use_cases.preferences import Preferences
from imrs_server.use_cases.replay import Replays
from imrs_server.use_cases.revert import Reverts
from imrs_server.use_cases.tenants import Tenants
from imrs_server.use_cases.tokens import Tokens
from imrs_server.use_cases.usage import UsageDesk
from imrs_server.use_cases.watched import WatchedAgents
from imrs_server.wiring.outside import trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.settings import Settings
    from imrs_server.wiring.app import App


def servicers(app: App, settings: Settings) -> Mapping[str, object]:
    """Who answers for each service, by its full name."""
    pager = Pager(settings.page_secret)
    admin = AdminServicer(
        providers=app.providers,
        provider_checks=app.provider_checks,
        sync=app.sync,
        reverts=Reverts(app.database),
        tenants=Tenants(app.database),
        tokens=Tokens(app.database, partial(sign, trust(settings))),
        agents=app.agents,
        agent_models=app.agent_models,
        agent_keys=AgentKeys(app.database, app.vault),
        preferences=Preferences(app.database),
        endpoints=app.model_pool.endpoints,
        defaults=DefaultSettings(app.database),
        configuration=app.configuration,
        budgets=Budgets(app.database),
        audit_trail=AuditTrail(app.database),
        status=app.status,
        pager=pager,
    )
    return {
        "imrs.v1.AdminService": admin,
        "imrs.v1.CatalogService": CatalogServicer(app.catalog, pager),
        "imrs.v1.RouteService": RouteServicer(
            router=app.router,
            decisions=Decisions(app.database, app.decisions.flush),
            replays=Replays(app.database, app.index, app.decisions.flush),
            watched=WatchedAgents(app.index),
            hub=app.watch,
            reports=app.reports,
            completions=app.completions,
            pager=pager,
        ),
        "imrs.v1.FeedbackService": FeedbackServicer(
            app.messages,
            app.feedback,
            PerformanceReport(app.database),
            UsageDesk(app.database),
            pager,
        ),
    }
