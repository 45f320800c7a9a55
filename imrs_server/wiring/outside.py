"""What is outside of the process, as settings name it: Vault, providers, an identity provider, SomaBrain."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters import jwks
from imrs_server.adapters.http import GuardedClient, Timing
from imrs_server.adapters.jwks import Jwks
from imrs_server.adapters.somabrain import SomaBrain
from imrs_server.adapters.vault import Vault
from imrs_server.adapters.vault_login import VaultAuth
from imrs_server.transport.tokens import Trust

if TYPE_CHECKING:
    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.settings import Settings, TokenSettings


def trust(settings: TokenSettings) -> Trust:
    """Which tokens count."""
    return Trust(
        secrets=tuple(each.get_secret_value().encode() for each in settings.jwt_secrets),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        public_issuer=settings.jwks_issuer,
        public_audience=settings.jwks_audience,
    )


def key_set(settings: TokenSettings, rules: AddressRules) -> Jwks | None:
    """The keys of an identity provider, where one is configured. Raises AddressForbidden."""
    if settings.jwks_file is not None:
        return Jwks(jwks.from_file(settings.jwks_file))
    if settings.jwks_url:
        return Jwks(jwks.from_url(GuardedClient(rules, timing=Timing(tries=1)), settings.jwks_url))
    return None


def vault(settings: Settings) -> Vault:
    return Vault(
        settings.vault_addr,
        role_id=lambda: settings.vault_role,
        secret_id=lambda: settings.vault_proof,
        mount=settings.vault_mount,
        auth=VaultAuth(settings.vault_auth),
        auth_mount=settings.vault_auth_mount,
        namespace=settings.vault_namespace,
        ca_bundle=str(settings.vault_ca_bundle) if settings.vault_ca_bundle else None,
    )


def provider_client(
    settings: Settings, rules: AddressRules, *, tries: int = 3, read_seconds: float = 5.0, kept: int = 0
) -> GuardedClient:
    """What calls providers, and others by the same rules."""
    return GuardedClient(
        rules,
        timing=Timing(tries=tries, read_seconds=read_seconds),
        ca_bundle=str(settings.provider_ca_bundle) if settings.provider_ca_bundle else None,
        proxy=settings.proxy,
        kept=kept,
    )


def somabrain(settings: Settings, rules: AddressRules) -> SomaBrain | None:
    """Who is told of ratings, where one is configured. Raises AddressForbidden and InvalidRequest."""
    if not settings.somabrain_url:
        return None
    return SomaBrain(
        # The outbox repeats what failed.
        provider_client(settings, rules, tries=1, read_seconds=10.0),
        settings.somabrain_url,
        token=lambda: settings.somabrain_proof,
        namespace=settings.somabrain_namespace,
    )
