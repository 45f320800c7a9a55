"""Who may call what: a table from method to roles. What is not in it, nobody may call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import RoleRequired
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from imrs_server.domain.principal import Principal

_P = frozenset({Role.PLATFORM_ADMIN})
_T = frozenset({Role.PLATFORM_ADMIN, Role.TENANT_ADMIN})
_A = _T | {Role.AGENT}
_U = _A | {Role.USER}
# Agents report on themselves; a platform admin may call what a tenant admin may.
_ONLY_AGENT = frozenset({Role.AGENT})

ROLES: dict[str, dict[str, frozenset[Role]]] = {
    "AdminService": {
        "CreateProvider": _P,
        "GetProvider": _P,
        "ListProviders": _P,
        "UpdateProvider": _P,
        "DeleteProvider": _P,
        "UndeleteProvider": _P,
        "RotateProviderKey": _P,
        "CheckProvider": _P,
        "SyncProvider": _P,
        "RevertSync": _P,
        "SetTenant": _P,
        "ListTenants": _P,
        "IssueToken": _T,
        "ListTokens": _T,
        "RevokeToken": _T,
        "CreateAgent": _T,
        "GetAgent": _T,
        "ListAgents": _T,
        "UpdateAgent": _T,
        "DeleteAgent": _T,
        "UndeleteAgent": _T,
        "CloneAgent": _T,
        "ListAgentModels": _A,
        "EnableAgentModels": _T,
        "DisableAgentModels": _T,
        "UpdateAgentModel": _T,
        "ListAgentRules": _T,
        "DeleteAgentRule": _T,
        "SetModelOverride": _T,
        "ClearModelOverride": _T,
        "SetAgentKey": _T,
        "DeleteAgentKey": _T,
        "SetPreference": _P,
        "GetPreference": _P,
        "ListPreferences": _P,
        "DeletePreference": _P,
        "SetEndpoint": _P,
        "ListEndpoints": _P,
        "DeleteEndpoint": _P,
        "LoadEndpoint": _P,
        "UnloadEndpoint": _P,
        "GetDefaults": _T,
        "UpdateDefaults": _T,
        "SetBudget": _T,
        "ListBudgets": _T,
        "DeleteBudget": _T,
        "ApplyConfig": _T,
        "UndoConfig": _T,
        "ExportConfig": _T,
        "ListAuditEvents": _T,
        "GetStatus": _P,
    },
    "CatalogService": {
        "ListModels": _T,
        "GetModel": _T,
        "CreateModel": _P,
        "UpdateModel": _P,
        "DeleteModel": _P,
        "UndeleteModel": _P,
        "BulkUpdateModels": _P,
        "ListModelChanges": _P,
    },
    "RouteService": {
        "Route": _A,
        "BatchRoute": _A,
        "StreamRoutes": _A,
        "ExplainRoute": _A,
        "DetectTask": _A,
        "GetDecision": _T,
        "ListDecisions": _T,
        "ReplayDecisions": _T,
        "WatchAgent": _A,
        "RecordDecisions": _ONLY_AGENT,
        "Complete": _A,
        "Embed": _A,
    },
    "FeedbackService": {
        "RecordMessage": _A,
        "BatchRecordMessages": _A,
        "SubmitFeedback": _U,
        "BatchSubmitFeedback": _U,
        "RevokeFeedback": _U,
        "ListFeedback": _U,
        "ListPerformance": _T,
        "GetUsage": _T,
    },
}

_TABLE = {
    f"/imrs.v1.{service}/{method}": roles
    for service, methods in ROLES.items()
    for method, roles in methods.items()
}

# Served without a token; reflection is registered only where it is enabled.
_OPEN = (
    "/grpc.health.v1.Health/",
    "/grpc.reflection.v1.ServerReflection/",
    "/grpc.reflection.v1alpha.ServerReflection/",
)


def is_open(method: str) -> bool:
    return method.startswith(_OPEN)


def require(method: str, who: Principal) -> None:
    """Raises RoleRequired unless one of the caller's roles may call the method."""
    allowed = _TABLE.get(method, frozenset())
    if who.roles.isdisjoint(allowed):
        raise RoleRequired(roles=", ".join(sorted(allowed)) or "none")
