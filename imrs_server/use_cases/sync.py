"""Syncs: what a provider lists becomes the catalogue."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.adapters import curated
from imrs_server.adapters.providers import speaking
from imrs_server.adapters.providers.dialect import Access
from imrs_server.adapters.providers.listing import Listing
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import (
    DatabaseUnavailable,
    DomainError,
    Internal,
    ProviderNotFound,
    SyncInProgress,
    SyncSuspicious,
)
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State
from imrs_server.domain.sync import MISSING_GRACE, Stage, SyncProgress, SyncResult
from imrs_server.storage import audit, changes, exclusive, providers, sync
from imrs_server.use_cases import catalogue_feed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator
    from datetime import timedelta

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.discovery import DiscoveredModel
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.provider import Provider
    from imrs_server.domain.secret import Secret
    from imrs_server.storage.database import Database, Tx

PROGRESS_EVERY = 500


def unnoted(_provider_id: str, _result: str) -> None:
    """Nobody is told."""


class Sync:
    """One sync of a provider at a time; whatever fails leaves the catalogue as it was.

    ``permit`` gives what is asked before each call of a provider, and keeps its rate_limit_rpm.
    ``note`` is told of each how it ended: `ok`, or the reason in small letters.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        client: GuardedClient,
        *,
        permit: Callable[[Provider], Callable[[], None]] | None = None,
        deadline_seconds: float = 60.0,
        missing_grace: timedelta = MISSING_GRACE,
        note: Callable[[str, str], None] = unnoted,
    ) -> None:
        self._database = database
        self._vault = vault
        self._client = client
        self._permit = permit
        self._deadline_seconds = deadline_seconds
        self._missing_grace = missing_grace
        self._note = note

    def run(
        self, who: Principal, provider_id: str, *, validate_only: bool = False, force: bool = False
    ) -> Generator[SyncProgress]:
        """Read the list, then compare and write it in one transaction; the last step has the result.

        No transaction is open while a step is handed out. ``validate_only`` writes nothing and previews the
        changes; ``force`` goes on though more than half of the models would drop.
        Raises ProviderNotFound, SyncInProgress, SyncSuspicious, CredentialMissing, and what Vault and the
        provider's list may raise.
        """
        who.require(Role.PLATFORM_ADMIN)
        with exclusive.held(self._database, f"imrs.sync.{provider_id}") as alone:
            with self._database.transaction() as tx:
                provider = _existing(providers.get(tx, provider_id), provider_id)
            if not alone:
                raise SyncInProgress(provider_id=provider_id)
            try:
                yield from self._run(who, provider, validate_only=validate_only, force=force)
            except Exception as error:
                if not validate_only:
                    self._record(provider_id, error)
                raise
            if not validate_only:
                self._note(provider_id, "ok")

    def load(self, who: Principal, provider_id: str, models: Iterable[DiscoveredModel]) -> SyncProgress:
        """Take a list that is at hand, such as a curated one, as if the provider had given it.

        Raises ProviderNotFound and SyncSuspicious.
        """
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            provider = _existing(providers.get(tx, provider_id), provider_id)
        at_hand = _AtHand(models)
        *_, done = self._take(who, provider, at_hand, _as_it_is, validate_only=False, force=False)
        return done

    def _run(
        self, who: Principal, provider: Provider, *, validate_only: bool, force: bool
    ) -> Generator[SyncProgress]:
        access = Access(provider=provider, key=self._key(provider))
        client = self._client if self._permit is None else self._client.limited(self._permit(provider))
        listing = Listing(client, speaking(provider.dialect), access, deadline_seconds=self._deadline_seconds)
        completed = curated.of(provider).completed
        yield from self._take(who, provider, listing, completed, validate_only=validate_only, force=force)

    def _take(
        self,
        who: Principal,
        provider: Provider,
        listing: Listing | _AtHand,
        completed: Callable[[DiscoveredModel], DiscoveredModel],
        *,
        validate_only: bool,
        force: bool,
    ) -> Generator[SyncProgress]:
        with sync.Spool() as spool:
            yield SyncProgress(stage=Stage.FETCHING)
            for model in listing:
                spool.add(completed(model))
                if listing.discovered % PROGRESS_EVERY == 0:
                    yield SyncProgress(stage=Stage.FETCHING, models_discovered=listing.discovered)
            yield SyncProgress(stage=Stage.COMPARING, models_discovered=listing.discovered)
            if not validate_only:
                yield SyncProgress(stage=Stage.WRITING, models_discovered=listing.discovered)
            with self._database.system() as tx:
                held = _existing(providers.lock(tx, provider.provider_id), provider.provider_id)
                done = _compare(tx, held, spool, listing, self._missing_grace, force=force)
                done = _preview(tx, done) if validate_only else _write(tx, who, held, done)
        yield done

    def _key(self, provider: Provider) -> Secret | None:
        # Vault has the last word: a key may have been put there by hand, or taken away.
        if provider.key_version is not None or provider.needs_key:
            return self._vault.read(CredentialPath(provider.provider_id))
        return None

    def _record(self, provider_id: str, error: Exception) -> None:
        """Note the reason, never the text: that may be the provider's. The caller still gets the error."""
        reason = error.reason if isinstance(error, DomainError) else Internal.reason
        self._note(provider_id, reason.lower())
        with suppress(DatabaseUnavailable), self._database.transaction() as tx:
            providers.record_sync(tx, provider_id, synced_time=None, error=reason)


class _AtHand:
    """Counts like a ``Listing``."""

    def __init__(self, models: Iterable[DiscoveredModel]) -> None:
        self._models = models
        self.discovered = 0
        self.invalid = 0

    def __iter__(self) -> Iterator[DiscoveredModel]:
        for model in self._models:
            self.discovered += 1
            yield model


def _as_it_is(model: DiscoveredModel) -> DiscoveredModel:
    return model


def _compare(
    tx: Tx,
    provider: Provider,
    spool: sync.Spool,
    listing: Listing | _AtHand,
    missing_grace: timedelta,
    *,
    force: bool,
) -> SyncProgress:
    sync.stage(tx, spool)
    found = sync.compare(tx, provider.provider_id, missing_grace)
    if found.dropping * 2 > found.known and not force:
        raise SyncSuspicious(provider_id=provider.provider_id, missing=found.dropping, known=found.known)
    valid = listing.discovered - listing.invalid
    result = SyncResult(
        provider_id=provider.provider_id,
        models_discovered=listing.discovered,
        models_added=found.added,
        models_updated=found.updated,
        models_unchanged=valid - found.added - found.updated,
        models_missing=found.missing,
        models_invalid=listing.invalid,
        synced_time=found.synced_time,
    )
    return SyncProgress(
        stage=Stage.DONE,
        models_discovered=listing.discovered,
        models_processed=valid + found.missing,
        result=result,
    )


def _preview(tx: Tx, done: SyncProgress) -> SyncProgress:
    assert done.result is not None
    shown = sync.preview(tx, done.result.provider_id)
    return replace(
        done,
        result=replace(done.result, synced_time=None, changes=tuple(shown)),
        revision=changes.current(tx).rev,
    )


def _write(tx: Tx, who: Principal, provider: Provider, done: SyncProgress) -> SyncProgress:
    assert done.result is not None
    written = sync.write(tx, provider)
    providers.record_sync(tx, provider.provider_id, synced_time=done.result.synced_time, error="")
    audit.write(tx, who, "SyncProvider", ("provider", provider.provider_id), after=done.result)
    revision = catalogue_feed.announce(tx, written) if written else changes.current(tx).rev
    return replace(done, revision=revision)


def _existing(provider: Provider | None, provider_id: str) -> Provider:
    if provider is None or provider.state is State.DELETED:
        raise ProviderNotFound(provider_id=provider_id)
    return provider
