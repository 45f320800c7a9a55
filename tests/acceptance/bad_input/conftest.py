"""One furnished server for a whole file, because a call that is refused changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.refusals import World, furnished
from tests.support.service import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Vault
    from tests.support.cluster import Cluster


@pytest.fixture(scope="module")
def world(
    postgres_clusters: Callable[[int], Cluster], shared_vault: Vault, request: pytest.FixtureRequest
) -> Iterator[World]:
    cluster = postgres_clusters(request.config.getoption("--postgres"))
    with cluster.database() as dsn, serving(dsn, shared_vault, provider_allow=()) as service:
        yield furnished(service, dsn)
