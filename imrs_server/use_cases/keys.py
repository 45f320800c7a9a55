"""Keys on their way to Vault: written before the database notes them, taken back when it does not."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.errors import CredentialMissing, DomainError
from imrs_server.storage import changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.credential import CredentialPath
    from imrs_server.domain.secret import Secret
    from imrs_server.storage.database import Tx

log = structlog.get_logger()


def owner(tx: Tx) -> UUID:
    """Whose keys this database's are: the sweep of orphans leaves those of other databases alone."""
    return changes.current(tx).epoch


@contextmanager
def stored(vault: Vault, path: CredentialPath, api_key: Secret, owner: UUID) -> Iterator[int]:
    """Put a key into Vault while the database follows; when that fails, put back what was there.

    Gives the version. It must be left after the transaction, so that a commit that fails is seen here. What a
    crash leaves in between, the sweep of orphans takes away. Raises what Vault may raise.
    """
    previous = _find(vault, path)
    version = vault.write(path, api_key, owner=owner)
    try:
        yield version
    except BaseException:
        _put_back(vault, path, previous, owner)
        raise


def _find(vault: Vault, path: CredentialPath) -> Secret | None:
    try:
        return vault.read(path)
    except CredentialMissing:
        return None


def _put_back(vault: Vault, path: CredentialPath, previous: Secret | None, owner: UUID) -> None:
    try:
        if previous is None:
            vault.delete(path)
        else:
            vault.write(path, previous, owner=owner)
    except DomainError as error:
        # The caller hears why the change failed; this one only the log.
        log.warning("key.left", path=path.shown, reason=error.reason)
