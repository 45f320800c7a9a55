"""Servers whose models are served at several places, and those places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.pooled import pooled
from tests.support.pools import NOBODY, OLLAMA, FakeOllama, Service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault
    from tests.support.pooled import Pooled


@pytest.fixture
def one() -> Iterator[Service]:
    with Service("one") as found:
        yield found


@pytest.fixture
def two() -> Iterator[Service]:
    with Service("two") as found:
        yield found


@pytest.fixture
def other() -> Iterator[Service]:
    """Where the fallback model answers."""
    with Service("other") as found:
        yield found


@pytest.fixture
def ollama() -> Iterator[FakeOllama]:
    with FakeOllama("ollama") as found:
        yield found


@pytest.fixture
def world(database: str, vault: Vault, other: Service) -> Iterator[Pooled]:
    """A model that is always loaded, wherever it is."""
    with pooled(database, vault, api_base=NOBODY, fallback=other.base_url) as found:
        yield found


@pytest.fixture
def cold(database: str, vault: Vault, other: Service, ollama: FakeOllama) -> Iterator[Pooled]:
    """A model of Ollama, which nobody has loaded, on two servers."""
    found = pooled(database, vault, api_base=ollama.base_url, fallback=other.base_url, servers=2, **OLLAMA)
    with found as world:
        yield world
