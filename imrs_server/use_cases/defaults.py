"""What holds where an agent does not say otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imrs_server.domain import routing
from imrs_server.domain.amendment import amended
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import require_etag
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, defaults
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database

MUTABLE = frozenset({"parameters", "routing", "default_model_id", "task_rules"})


class DefaultSettings:
    """Global ones for platform admins, a tenant's for its admins too. What nobody set yet has version 0."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, who: Principal, tenant_id: UUID | None, scope: Scope | None) -> Defaults:
        """Raises InvalidRequest for no scope, RoleRequired for GLOBAL without the role."""
        tenant_id = _owner(who, tenant_id, scope)
        with self._database.transaction(tenant_id) as tx:
            return defaults.get(tx, tenant_id) or _nothing(tenant_id)

    def update(
        self,
        who: Principal,
        tenant_id: UUID | None,
        scope: Scope | None,
        fields: dict[str, Any],
        *,
        etag: str = "",
    ) -> Written[Defaults]:
        """Change the named fields, some by an Amendment.

        Raises InvalidRequest, RoleRequired, ModelNotFound, EtagMismatch.
        """
        tenant_id = _owner(who, tenant_id, scope)
        unknown = sorted(fields.keys() - MUTABLE)
        if unknown:
            allowed = ", ".join(sorted(MUTABLE))
            raise InvalidRequest(Violation("update_mask", f"{', '.join(unknown)}: not one of {allowed}"))
        with self._database.transaction(tenant_id) as tx:
            defaults.claim(tx, tenant_id)
            before = defaults.lock(tx, tenant_id)
            start = before or _nothing(tenant_id)
            require_etag(etag, start.version)
            wanted = replace(start, **amended(start, fields))
            if "routing" in fields:
                routing.require_valid(wanted.routing, "defaults.routing")
            if fields.get("default_model_id"):
                known.require_models(tx, [wanted.default_model_id])
            after = defaults.put(tx, wanted)
            audit.write(
                tx,
                who,
                "UpdateDefaults",
                ("defaults", after.scope),
                before=before,
                after=after,
                tenant_id=tenant_id,
            )
            return Written(after, changes.announce(tx, Change(Kind.DEFAULTS, "", tenant_id)))


def _owner(who: Principal, tenant_id: UUID | None, scope: Scope | None) -> UUID | None:
    """The tenant whose defaults are meant; None for everybody's."""
    who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
    if scope is None:
        raise InvalidRequest(Violation("scope", "must be GLOBAL or TENANT"))
    if scope is Scope.TENANT:
        return who.tenant(tenant_id)
    who.require(Role.PLATFORM_ADMIN)
    return None


def _nothing(tenant_id: UUID | None) -> Defaults:
    scope = Scope.GLOBAL if tenant_id is None else Scope.TENANT
    return Defaults(scope=scope, tenant_id=tenant_id, version=0)
