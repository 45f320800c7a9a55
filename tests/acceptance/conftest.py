"""A whole server for each test, or for each file of tests."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.dev import Dev, running
from tests.support.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Vault
    from tests.support.cluster import Cluster

# What these servers know of changes they were told.
NEVER_SECONDS = 60.0


@pytest.fixture
def service(database: str, vault: Vault) -> Iterator[Service]:
    """A whole server, ready, on a fresh database and an empty Vault."""
    with serving(database, vault, poll_seconds=NEVER_SECONDS) as found:
        yield found


@pytest.fixture(scope="module")
def shared_service(
    request: pytest.FixtureRequest, postgres_clusters: Callable[[int], Cluster], shared_vault: Vault
) -> Iterator[Service]:
    """A whole server, ready, for all tests of a module that do not mind each other."""
    cluster = postgres_clusters(request.config.getoption("--postgres"))
    with cluster.database() as database, serving(database, shared_vault, poll_seconds=NEVER_SECONDS) as found:
        yield found


@pytest.fixture(scope="session")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dev]:
    """A running `imrs dev` with its demo data, for all tests that only talk to it."""
    folder = tmp_path_factory.mktemp("dev")
    with running(folder / "data") as found:
        found.await_ready()
        yield found
    shutil.rmtree(folder)
