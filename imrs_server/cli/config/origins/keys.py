"""Keys of other systems on their way to Vault, through the server; they are never shown or written."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cryptography.fernet import Fernet, InvalidToken

from imrs_client import ImrsError, NotFound
from imrs_client import v1 as pb
from imrs_server.cli import advice
from imrs_server.cli.config.origins.draft import Key
from imrs_server.cli.config.origins.reading import Place
from imrs_server.cli.config.origins.yaml_source import KEY_VARIABLES
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imrs_client import ImrsClient

CIPHER_VARIABLE: Final = "ENCRYPTION_KEY"
_HERE: Final = "the environment"


@dataclass(frozen=True, slots=True)
class Sent:
    """A key that is in Vault now, or why it is not."""

    key: Key
    problem: str = ""


def of_environment(providers: Iterable[str]) -> list[Key]:
    """Keys of providers that variables of this process hold; of two variables the first counts."""
    wanted = set(providers)
    found: dict[str, Key] = {}
    for name, provider_id in KEY_VARIABLES.items():
        value = os.environ.get(name)
        if value and provider_id in wanted and provider_id not in found:
            found[provider_id] = Key(
                provider_id=provider_id, secret=Secret(value), place=Place(f"{_HERE} ({name})")
            )
    return list(found.values())


def send(client: ImrsClient, keys: Sequence[Key]) -> list[Sent]:
    """Each on its own: one that fails leaves the others. Raises what concerns all, such as Unavailable."""
    return [Sent(key, _problem(client, key)) for key in keys]


def _problem(client: ImrsClient, key: Key) -> str:
    try:
        api_key = _decrypted(key) if key.encrypted else key.secret.reveal()
    except ValueError as error:
        return str(error)
    try:
        if key.agent_id:
            client.admin.SetAgentKey(
                pb.SetAgentKeyRequest(agent_id=key.agent_id, provider_id=key.provider_id, api_key=api_key)
            )
        else:
            client.admin.RotateProviderKey(
                pb.RotateProviderKeyRequest(provider_id=key.provider_id, api_key=api_key)
            )
    except NotFound as error:
        return f"{error.message} Apply the file first, then import again with --keys."
    except ImrsError as error:
        if not error.reason:
            raise
        return " ".join(filter(None, [str(error), advice.of(error)]))
    return ""


def _decrypted(key: Key) -> str:
    """Raises ValueError, which says nothing of the key."""
    cipher = os.environ.get(CIPHER_VARIABLE, "")
    if not cipher:
        raise ValueError(f"is encrypted: set {CIPHER_VARIABLE} to the Fernet key of that system")
    try:
        return Fernet(cipher).decrypt(key.secret.reveal().encode()).decode()
    except (ValueError, TypeError):
        raise ValueError(f"{CIPHER_VARIABLE} is no Fernet key, or this is none of its texts") from None
    except InvalidToken:
        raise ValueError(f"was not encrypted with this {CIPHER_VARIABLE}") from None
