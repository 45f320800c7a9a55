"""Providers: their configuration in the database, their keys in Vault."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.providers import speaking
from imrs_server.domain.amendment import amended
from imrs_server.domain.breaker import Subject, SubjectKind
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import (
    InvalidRequest,
    ProviderExists,
    ProviderNotFound,
    Violation,
)
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import Provider, State, dialect_of, models_endpoint_of, require_etag
from imrs_server.domain.vault_view import NEVER_LOOKED
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, idempotency, providers
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import closed_breakers, keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.provider import ProviderType
    from imrs_server.domain.secret import Secret
    from imrs_server.domain.vault_view import VaultView
    from imrs_server.storage.database import Database, Tx
    from imrs_server.storage.idempotency import Key


class Providers:
    """``rules`` refuse addresses that may never be called; host names are checked again at each call.

    ``view`` tells what was last seen in Vault.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        rules: AddressRules,
        view: Callable[[], VaultView] = lambda: NEVER_LOOKED,
    ) -> None:
        self._database = database
        self._vault = vault
        self._rules = rules
        self._view = view

    def create(
        self,
        who: Principal,
        provider: Provider,
        api_key: Secret | None,
        *,
        key: Key | None = None,
        validate_only: bool = False,
    ) -> Written[Provider]:
        """Store the key first, then the provider: a provider that is listed has the key it was given.

        Raises ProviderExists, AddressForbidden, and what Vault may raise; then nothing is stored.
        """
        who.require(Role.PLATFORM_ADMIN)
        provider = completed(replace(provider, created_by=who.subject), self._rules)
        with ExitStack() as stored, self._database.transaction() as tx:
            first = idempotency.first_answer(tx, None, key, Provider)
            if first is not None:
                return first
            providers.claim(tx, provider.provider_id)
            if providers.get(tx, provider.provider_id) is not None:
                raise ProviderExists(provider_id=provider.provider_id)
            if validate_only:
                return Written(provider, changes.current(tx).rev)
            if api_key is not None:
                path, owner = CredentialPath(provider.provider_id), keys.owner(tx)
                version = stored.enter_context(keys.stored(self._vault, path, api_key, owner))
                provider = replace(provider, key_version=version)
            created = providers.insert(tx, provider)
            audit.write(tx, who, "CreateProvider", ("provider", created.provider_id), after=created)
            revision = changes.announce(tx, Change(Kind.PROVIDER, created.provider_id))
            return idempotency.keep(tx, None, key, Written(created, revision))

    def get(self, who: Principal, provider_id: str) -> Provider:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            found = providers.get(tx, provider_id)
        if found is None:
            raise ProviderNotFound(provider_id=provider_id)
        return self._view().provider(found)

    def list(
        self,
        who: Principal,
        page: PageRequest,
        *,
        provider_type: ProviderType | None = None,
        state: State | None = None,
        show_deleted: bool = False,
    ) -> Page[Provider]:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            found = providers.list_page(
                tx, page, provider_type=provider_type, state=state, show_deleted=show_deleted
            )
        return replace(found, items=[self._view().provider(each) for each in found.items])

    def update(
        self,
        who: Principal,
        provider_id: str,
        fields: dict[str, Any],
        *,
        etag: str = "",
        validate_only: bool = False,
    ) -> Written[Provider]:
        """Change the named fields, some by an Amendment.

        Raises ProviderNotFound, EtagMismatch, InvalidRequest, AddressForbidden.
        """
        if fields.get("state") is State.DELETED:
            raise InvalidRequest(
                Violation("provider.state", "must be ACTIVE or DISABLED; use DeleteProvider")
            )
        with self._changing(who, "UpdateProvider", provider_id, etag) as change:
            if change.before.state is State.DELETED:
                raise ProviderNotFound(provider_id=provider_id)
            wanted = completed(
                replace(undecided(change.before), **amended(change.before, fields)), self._rules
            )
            return change.preview(wanted) if validate_only else change.commit(wanted)

    def delete(self, who: Principal, provider_id: str, *, etag: str = "") -> Written[Provider]:
        """Soft: everything is kept, and its models leave Route at once. Deleting twice is no error."""
        with self._changing(who, "DeleteProvider", provider_id, etag) as change:
            if change.before.state is State.DELETED:
                return change.preview(change.before)
            return change.commit(replace(change.before, state=State.DELETED, delete_time=datetime.now(UTC)))

    def undelete(self, who: Principal, provider_id: str, *, etag: str = "") -> Written[Provider]:
        """Back to ACTIVE, with its models and its key. Raises ProviderNotFound."""
        with self._changing(who, "UndeleteProvider", provider_id, etag) as change:
            if change.before.state is not State.DELETED:
                return change.preview(change.before)
            return change.commit(replace(change.before, state=State.ACTIVE, delete_time=None))

    def rotate_key(self, who: Principal, provider_id: str, api_key: Secret) -> Written[Provider]:
        """Give the provider a new key; the next call uses it. Raises what Vault may raise."""
        with ExitStack() as stored, self._changing(who, "RotateProviderKey", provider_id, "") as change:
            if change.before.state is State.DELETED:
                raise ProviderNotFound(provider_id=provider_id)
            path, owner = CredentialPath(provider_id), keys.owner(change.tx)
            version = stored.enter_context(keys.stored(self._vault, path, api_key, owner))
            return change.commit(replace(change.before, key_version=version))

    @contextmanager
    def _changing(
        self, who: Principal, method: str, provider_id: str, etag: str
    ) -> Iterator[_ProviderChange]:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            before = providers.lock(tx, provider_id)
            if before is None:
                raise ProviderNotFound(provider_id=provider_id)
            require_etag(etag, before.version)
            yield _ProviderChange(tx, who, method, before)


def completed(provider: Provider, rules: AddressRules) -> Provider:
    """Check the addresses, and choose dialect and endpoint where none is named.

    Raises InvalidRequest, AddressForbidden.
    """
    dialect = provider.dialect or dialect_of(provider.provider_type, provider.api_base)
    speaking(dialect)
    endpoint = provider.models_endpoint or models_endpoint_of(dialect, provider.api_base)
    rules.check_api_base(provider.api_base, endpoint, within="provider.")
    if provider.pool_url:
        rules.check_url(provider.pool_url, field="provider.pool_url")
    return replace(
        provider,
        display_name=provider.display_name or provider.provider_id,
        dialect=dialect,
        models_endpoint=endpoint,
    )


def undecided(provider: Provider) -> Provider:
    """Without an endpoint that nobody chose: with another dialect or address it may be another."""
    default = models_endpoint_of(provider.dialect, provider.api_base)
    return replace(provider, models_endpoint="") if provider.models_endpoint == default else provider


class _ProviderChange:
    """One change of a locked provider."""

    def __init__(self, tx: Tx, who: Principal, method: str, before: Provider) -> None:
        self.tx, self._who, self._method, self.before = tx, who, method, before

    def preview(self, wanted: Provider) -> Written[Provider]:
        """What the change would give, unwritten."""
        return Written(wanted, changes.current(self.tx).rev)

    def commit(self, wanted: Provider) -> Written[Provider]:
        target = ("provider", wanted.provider_id)
        providers.update(self.tx, wanted)
        after = providers.get(self.tx, wanted.provider_id)
        assert after is not None
        audit.write(self.tx, self._who, self._method, target, before=self.before, after=after)
        closed = closed_breakers.close(self.tx, [Subject(SubjectKind.PROVIDER, wanted.provider_id)])
        return Written(after, changes.announce(self.tx, Change(Kind.PROVIDER, wanted.provider_id), *closed))
