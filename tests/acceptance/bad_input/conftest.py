"""One furnished server for a whole file, because a call that is refused changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import Vault, clear
from tests.support.refusals import World, furnished
from tests.support.service import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.embedded.openbao import OpenBao
    from tests.support.cluster import Cluster


@pytest.fixture(scope="module")
def world(
    postgres_clusters: Callable[[int], Cluster], openbao: OpenBao, request: pytest.FixtureRequest
) -> Iterator[World]:
    vault = Vault(
        address=openbao.address, role_id=openbao.role_id, secret_id=openbao.secret_id, server=openbao
    )
    cluster = postgres_clusters(request.config.getoption("--postgres"))
    with cluster.database() as dsn, serving(dsn, vault, provider_allow=()) as service:
        yield furnished(service, dsn)
    clear(openbao, "llm/")
