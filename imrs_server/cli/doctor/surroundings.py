"""Settings that are good one by one and not together; names that are none; files that others can read."""

from __future__ import annotations

import os
import stat
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from imrs_client.channel import stays_here
from imrs_server.cli import cores
from imrs_server.cli.doctor.finding import Finding, Level
from imrs_server.domain.principal import Role
from imrs_server.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Variables of commands, and what `imrs dev` and the tests set.
_OTHERS: Final = (
    "IMRS_ADDRESS",
    "IMRS_TOKEN",
    "IMRS_TENANT_ID",
    *(f"IMRS_TOKEN_{role.upper()}" for role in Role),
)
_TESTS: Final = "IMRS_TEST_"


def contradictions(settings: Settings) -> Iterator[Finding]:
    """What the settings say against each other, and against this machine."""
    found = [*_addresses(settings), *_ignored(settings), *_in_the_clear(settings), *_files(settings)]
    if settings.workers > cores.count():
        says = f"IMRS_WORKERS is {settings.workers}, and there are {cores.count()} cores"
        found.append(_warn(says, "More workers than cores only cost memory and connections."))
    yield from found
    if not found:
        yield Finding("settings", Level.OK, "no two of them contradict each other")


def unknown_names() -> Iterator[Finding]:
    """Variables that look like settings, and that nobody reads."""
    known = [f"IMRS_{name.upper()}" for name in Settings.model_fields] + list(_OTHERS)
    for name in sorted(os.environ):
        if name.startswith("IMRS_") and name not in known and not name.startswith(_TESTS):
            near = get_close_matches(name, known, n=1)
            advice = f"Should it be {near[0]}?" if near else "docs/operations.md has every setting."
            yield _warn(f"{name} is no setting; nobody reads it", advice)


def _addresses(settings: Settings) -> Iterator[Finding]:
    served = {
        f"IMRS_{name.upper()}": value
        for name, value in settings
        if name.endswith("_addr") and name != "vault_addr" and value
    }
    seen: dict[str, str] = {}
    for name, address in served.items():
        if address in seen and not address.endswith(":0"):
            says = f"{seen[address]} and {name} are both {address}"
            yield Finding("settings", Level.FAIL, says, "Give each a port of its own.")
        seen[address] = name
        if not stays_here(address):
            yield _warn(
                f"{name} is {address}, which other machines may reach, and it speaks no TLS",
                "Serve on loopback behind a proxy that speaks TLS, or on a network of your own.",
            )


def _ignored(settings: Settings) -> Iterator[Finding]:
    if settings.jwks_url and settings.jwks_file is not None:
        yield _warn("IMRS_JWKS_URL is not read while IMRS_JWKS_FILE is set", "Set one of them.")
    for name in ("vault_secret_id", "somabrain_token"):
        if getattr(settings, name) is not None and getattr(settings, f"{name}_file") is not None:
            variable = f"IMRS_{name.upper()}"
            yield _warn(f"{variable} is not read while {variable}_FILE is set", f"Unset {variable}.")
    if settings.vault_auth == "kubernetes" and settings.vault_role_id:
        yield _warn("IMRS_VAULT_ROLE_ID is not read with IMRS_VAULT_AUTH=kubernetes", "Unset it.")
    if settings.vault_ca_bundle is not None and settings.vault_addr.startswith("http:"):
        yield _warn("IMRS_VAULT_CA_BUNDLE is not read: IMRS_VAULT_ADDR is http", "Use https.")
    if settings.provider_no_proxy and settings.provider_proxy is None:
        yield _warn("IMRS_PROVIDER_NO_PROXY is not read without IMRS_PROVIDER_PROXY", "Unset it.")
    if not settings.somabrain_url and (settings.somabrain_token or settings.somabrain_token_file):
        yield _warn("there is a token for SomaBrain, and no IMRS_SOMABRAIN_URL", "Set the URL, or unset it.")


def _in_the_clear(settings: Settings) -> Iterator[Finding]:
    for name in ("vault_addr", "somabrain_url"):
        url = urlsplit(str(getattr(settings, name)))
        if url.scheme == "http" and not stays_here(url.netloc):
            says = f"IMRS_{name.upper()} is http to {url.hostname}: what is said there can be read on the way"
            yield _warn(says, "Use https.")


def _files(settings: Settings) -> Iterator[Finding]:
    for name in ("vault_secret_id_file", "somabrain_token_file"):
        path: Path | None = getattr(settings, name)
        if path is not None and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            says = f"the file of IMRS_{name.upper()} can be read by others on this machine"
            yield _warn(says, f"chmod 600 {path}")


def _warn(says: str, advice: str) -> Finding:
    return Finding("settings", Level.WARN, says, advice)
