"""Which models each class of agents prefers, for all tenants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.errors import EtagMismatch, InvalidRequest, PreferenceNotFound, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import require_etag
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, preferences
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.preference import Preference
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database

MAX_MODELS = 20


class Preferences:
    """For platform admins only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, who: Principal, preference: Preference, *, etag: str = "") -> Written[Preference]:
        """Set what a class prefers, in place of what it had.

        Raises InvalidRequest, ModelNotFound, and EtagMismatch, also where an etag is given for a class that
        has no preference any more.
        """
        who.require(Role.PLATFORM_ADMIN)
        check(preference)
        with self._database.transaction() as tx:
            known.require_models(tx, preference.model_ids)
            preferences.claim(tx, preference.agent_class)
            before = preferences.lock(tx, preference.agent_class)
            if before is not None:
                require_etag(etag, before.version)
            elif etag:
                raise EtagMismatch(etag=etag, current="none, for there is no preference")
            after = preferences.put(tx, preference)
            target = ("preference", preference.agent_class)
            audit.write(tx, who, "SetPreference", target, before=before, after=after)
            return Written(after, changes.announce(tx, Change(Kind.PREFERENCE, preference.agent_class)))

    def get(self, who: Principal, agent_class: str) -> Preference:
        """Raises PreferenceNotFound; the class ``*`` does not stand in here."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            found = preferences.get(tx, agent_class)
        if found is None:
            raise PreferenceNotFound(agent_class=agent_class)
        return found

    def list(self, who: Principal, page: PageRequest) -> Page[Preference]:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            return preferences.list_page(tx, page)

    def delete(self, who: Principal, agent_class: str, *, etag: str = "") -> Written[None]:
        """Raises PreferenceNotFound, EtagMismatch."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            before = preferences.lock(tx, agent_class)
            if before is None:
                raise PreferenceNotFound(agent_class=agent_class)
            require_etag(etag, before.version)
            preferences.delete(tx, agent_class)
            audit.write(tx, who, "DeletePreference", ("preference", agent_class), before=before)
            return Written(None, changes.announce(tx, Change(Kind.PREFERENCE, agent_class)))


def check(preference: Preference) -> None:
    """Whether a class may prefer this. Raises InvalidRequest."""
    named = preference.model_ids
    if not 1 <= len(named) <= MAX_MODELS or len(set(named)) < len(named):
        raise InvalidRequest(
            Violation("preference.model_ids", f"must be 1 to {MAX_MODELS} different models, best first")
        )
