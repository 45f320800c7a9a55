"""Vault: there, unsealed, with a login that may do what is needed, on an engine that keeps versions."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from imrs_server.adapters.vault import VaultState
from imrs_server.cli.doctor.finding import Finding, Level
from imrs_server.cli.output import text
from imrs_server.domain.errors import DomainError
from imrs_server.wiring import outside

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.settings import Settings

# Below the mount; any provider stands for all.
NEEDED: Final = {
    "data/llm/any": {"create", "read", "update"},
    "metadata/llm/any": {"read", "list", "delete"},
    "metadata/llm": {"list"},
    "destroy/llm/any": {"update"},
}
_SHORT_SECONDS: Final = 60

_ADVICE: Final = {
    VaultState.SEALED: "An operator must unseal it; Route goes on meanwhile, calls that need a key fail.",
    VaultState.FORBIDDEN: "Compare role id, secret id and mount of the login with docs/operations.md.",
    VaultState.UNREACHABLE: "Is it up, IMRS_VAULT_ADDR right, and its certificate known?",
}


def examine(settings: Settings) -> Iterator[Finding]:
    vault = outside.vault(settings)
    try:
        yield from _examine(vault, settings)
    finally:
        vault.close()


def _examine(vault: Vault, settings: Settings) -> Iterator[Finding]:
    start = monotonic()
    state = vault.check()
    if state is not VaultState.OK:
        says = f"{settings.vault_addr} is {state.lower()}"
        yield Finding("vault", Level.FAIL, says, _ADVICE[state])
        return
    says = f"unsealed, and logged in by {settings.vault_auth} in {(monotonic() - start) * 1000:.0f} ms"
    yield Finding("vault", Level.OK, says)
    if settings.key_cache_seconds:
        kept = text.duration(settings.key_cache_seconds)
        says = f"servers go on with a key for up to {kept} after it was changed or Vault was sealed"
        yield Finding("vault", Level.OK, says)
    for look in (_lease, _mount, _rights):
        try:
            yield look(vault, settings)
        except DomainError as error:
            # To ask is a right of the policy `default`, which a login need not have.
            yield Finding("vault", Level.WARN, f"it could not be asked: {error}", "")


def _lease(vault: Vault, _settings: Settings) -> Finding:
    lease = vault.lease()
    if not lease.seconds:
        return Finding("vault", Level.OK, "the login never ends")
    renewed = "and can be renewed" if lease.renewable else "then a new one is needed"
    whole = lease.seconds // 60 * 60 if lease.seconds > 2 * _SHORT_SECONDS else lease.seconds
    says = f"the login lasts {text.duration(whole)}, {renewed}"
    if lease.seconds < _SHORT_SECONDS:
        return Finding("vault", Level.WARN, says, "Give the role a token_ttl of an hour.")
    return Finding("vault", Level.OK, says)


def _mount(vault: Vault, settings: Settings) -> Finding:
    if vault.versions_keys():
        return Finding("vault", Level.OK, f"{settings.vault_mount} keeps versions (KV 2)")
    says = f"{settings.vault_mount} is no KV engine of version 2"
    advice = f"vault secrets enable -path={settings.vault_mount} -version=2 kv"
    return Finding("vault", Level.FAIL, says, advice)


def _rights(vault: Vault, settings: Settings) -> Finding:
    wanted = {f"{settings.vault_mount}/{path}": rights for path, rights in NEEDED.items()}
    granted = vault.rights(list(wanted))
    lacking = {
        path: sorted(rights - granted[path]) for path, rights in wanted.items() if "root" not in granted[path]
    }
    told = "; ".join(f"{', '.join(rights)} of {path}" for path, rights in lacking.items() if rights)
    if told:
        return Finding("vault", Level.FAIL, f"the login may not {told}", "docs/operations.md has the policy.")
    return Finding("vault", Level.OK, "the login may read, write, list and destroy keys")
