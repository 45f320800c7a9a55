"""A whole server for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault


@pytest.fixture
def service(database: str, vault: Vault) -> Iterator[Service]:
    """A whole server, ready, on a fresh database and an empty Vault."""
    with serving(database, vault) as found:
        yield found
