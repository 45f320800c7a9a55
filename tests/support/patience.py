"""What waits: where a deadline is not what a test is about, a slow machine must not make it so."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from imrs_client import ImrsClient
from imrs_client.methods import METHODS
from imrs_server.adapters.http import Timing
from imrs_server.adapters.vault import Vault, VaultTiming
from imrs_server.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.embedded.openbao import OpenBao
    from tests import conftest

SECONDS = 30.0

TIMEOUTS_SECONDS = {
    method.name: max(SECONDS, method.timeout_seconds)
    for method in METHODS.values()
    if method.timeout_seconds is not None
}
# Of a GuardedClient, and of a Vault.
TIMING = Timing(connect_seconds=SECONDS, read_seconds=SECONDS, tries=1)
VAULT = VaultTiming(connect_seconds=SECONDS, read_seconds=SECONDS, slot_seconds=SECONDS)


def client(address: str, token: str | Callable[[], str], **options: Any) -> ImrsClient:
    """To be closed."""
    return ImrsClient(address, token=token, timeouts_seconds=TIMEOUTS_SECONDS, **options)


@contextmanager
def vault(running: conftest.Vault | OpenBao, **options: Any) -> Iterator[Vault]:
    """The keys in a running one, closed at the end."""
    found = Vault(
        running.address,
        role_id=lambda: running.role_id,
        secret_id=lambda: running.secret_id,
        timing=VAULT,
        **options,
    )
    try:
        yield found
    finally:
        found.close()


@contextmanager
def database(dsn: str, **connections: int) -> Iterator[Database]:
    """Open, and closed at the end. It waits long for connections, and for what others have locked."""
    found = Database(dsn, **connections)
    for pool in (found._app, found._system):
        assert isinstance(pool.conninfo, str)
        assert "lock_timeout=5s" in pool.conninfo
        pool.conninfo = pool.conninfo.replace("lock_timeout=5s", f"lock_timeout={SECONDS:.0f}s")
        pool.timeout = pool.reconnect_timeout = SECONDS
    found.open()
    try:
        for pool in (found._app, found._system):
            # Group commit gives up on a connection after a second.
            pool.wait(SECONDS)
        yield found
    finally:
        found.close()
