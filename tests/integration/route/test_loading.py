"""Loading models where a server has come to its limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.network import Deadline
from imrs_server.adapters.vault import Vault
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.errors import DatabaseUnavailable, ProviderUnavailable
from imrs_server.storage.database import Database
from imrs_server.use_cases.loading import Loading
from tests.support.threads import no_more_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

ENDPOINT = Endpoint(endpoint_id="e", model_id="p/m", base_url="http://127.0.0.1:9")


@pytest.fixture
def loading() -> Iterator[Loading]:
    """Of a server whose database is away."""
    away = Database("postgresql://postgres@127.0.0.1:1/none", app_connections=1, system_connections=1)
    away.open()
    nobody = Vault("http://127.0.0.1:9", role_id=str, secret_id=str)
    yield Loading(away, nobody, GuardedClient())
    away.close()


def test_a_load_that_no_thread_could_be_started_for_is_waited_for_by_nobody(loading: Loading) -> None:
    with no_more_threads(), pytest.raises(ProviderUnavailable, match="no thread left"):
        loading.hot(ENDPOINT, Deadline(30))
    # The next one tries by itself.
    with pytest.raises(DatabaseUnavailable):
        loading.hot(ENDPOINT, Deadline(30))
    loading.stop()
