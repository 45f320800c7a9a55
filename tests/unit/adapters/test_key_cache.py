"""Keys in memory: for how long, in which version, and never by themselves."""

from __future__ import annotations

from uuid import UUID

import pytest

from imrs_server.adapters.key_cache import KeyCache
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import VaultSealed
from imrs_server.domain.secret import Secret

PATH = CredentialPath("p")
OWN = CredentialPath("p", UUID(int=1), "bot")


class Store:
    """Counts what is read; sealed where that is said."""

    def __init__(self) -> None:
        self.reads = 0
        self.sealed = False
        self.now = 0.0

    def read(self, path: CredentialPath) -> Secret:
        if self.sealed:
            raise VaultSealed
        self.reads += 1
        return Secret(f"{path}-{self.reads}")

    def cache(self, seconds: float) -> KeyCache:
        return KeyCache(self.read, seconds, lambda: self.now)


def test_without_a_wish_nothing_is_kept() -> None:
    store = Store()
    cache = store.cache(0)
    assert [cache.read(PATH, 1).reveal() for _ in range(2)] == ["llm/p-1", "llm/p-2"]
    store.sealed = True
    with pytest.raises(VaultSealed):
        cache.read(PATH, 1)


def test_a_key_is_kept_for_so_long_after_it_was_read_and_not_after_it_was_used() -> None:
    store = Store()
    cache = store.cache(10)
    for store.now in (0.0, 4.0, 9.9):
        cache.read(PATH, 1)
    assert store.reads == 1
    store.sealed = True
    cache.read(PATH, 1)
    store.now = 10.0
    with pytest.raises(VaultSealed):
        cache.read(PATH, 1)
    assert not cache._kept


def test_another_version_is_another_key_and_a_version_that_nobody_notes_is_not_kept() -> None:
    store = Store()
    cache = store.cache(10)
    assert cache.read(PATH, 1).reveal() == "llm/p-1"
    assert cache.read(PATH, 2).reveal() == "llm/p-2"
    assert cache.read(PATH, 2).reveal() == "llm/p-2"
    assert cache.read(PATH, None).reveal() == "llm/p-3"
    assert cache.read(PATH, None).reveal() == "llm/p-4"


def test_each_path_has_its_own_and_one_that_did_not_open_is_forgotten() -> None:
    store = Store()
    cache = store.cache(10)
    shared, own = cache.read(PATH, 1), cache.read(OWN, 1)
    assert shared.reveal() != own.reveal()
    cache.forget(OWN)
    assert cache.read(PATH, 1) is shared
    assert cache.read(OWN, 1) is not own
    cache.forget(CredentialPath("other"))


def test_what_is_kept_does_not_pile_up() -> None:
    store = Store()
    cache = store.cache(10)
    for number in range(1000):
        store.now = float(number)
        cache.read(CredentialPath(f"p{number}"), 1)
    assert len(cache._kept) <= 10
