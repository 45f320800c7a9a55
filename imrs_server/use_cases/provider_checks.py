"""Trying out a provider and its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters.failures import RateLimited
from imrs_server.adapters.providers import speaking
from imrs_server.adapters.providers.dialect import Access
from imrs_server.adapters.providers.probe import probe
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import ProviderNotFound, ProviderRateLimited
from imrs_server.domain.principal import Role
from imrs_server.domain.provider import State
from imrs_server.storage import providers

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.provider import Provider
    from imrs_server.domain.provider_check import ProviderCheck
    from imrs_server.storage.database import Database


class ProviderChecks:
    """``client`` should try once only: a second try hides what the first has met.

    ``permit`` gives what is asked before each call of a provider, and keeps its rate_limit_rpm.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        client: GuardedClient,
        *,
        permit: Callable[[Provider], Callable[[], None]] | None = None,
        deadline_seconds: float = 10.0,
    ) -> None:
        self._database = database
        self._vault = vault
        self._client = client
        self._permit = permit
        self._deadline_seconds = deadline_seconds

    def run(self, who: Principal, provider_id: str) -> ProviderCheck:
        """Make one cheap call; nothing is written.

        Raises ProviderNotFound, CredentialMissing, what Vault may raise, and ProviderRateLimited where the
        provider may not be called now; a failure of the provider is an answer.
        """
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            provider = providers.get(tx, provider_id)
        if provider is None or provider.state is State.DELETED:
            raise ProviderNotFound(provider_id=provider_id)
        with_key = provider.needs_key or provider.key_version is not None
        key = self._vault.read(CredentialPath(provider_id)) if with_key else None
        access = Access(provider=provider, key=key)
        client = self._client if self._permit is None else self._client.limited(self._permit(provider))
        try:
            return probe(client, speaking(provider.dialect), access, seconds=self._deadline_seconds)
        except RateLimited as limited:
            raise ProviderRateLimited(
                provider_id=provider_id, retry_after_seconds=limited.retry_after_seconds
            ) from None
