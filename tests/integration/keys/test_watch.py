"""The watch on Vault: what it looks at, how much of it, and when Vault hangs."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.vault import Vault, VaultTiming
from imrs_server.domain.agent import Agent
from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.secret import Secret
from imrs_server.index import rows
from imrs_server.index.rows import Enrolled
from imrs_server.index.warm import Index
from imrs_server.jobs.credentials import PERIOD_SECONDS, CredentialWatch
from imrs_server.storage.index import Key
from tests.support import patience
from tests.support.schema import HERE
from tests.support.state import PROVIDER, state
from tests.support.vault_proxy import VaultProxy
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.index.state import State
    from tests.conftest import Vault as Running

AGENTS = 5


@contextmanager
def connected(running: Running, address: str = "", timing: VaultTiming = patience.VAULT) -> Iterator[Vault]:
    made = Vault(
        address or running.address,
        role_id=lambda: running.role_id,
        secret_id=lambda: running.secret_id,
        timing=timing,
    )
    yield made
    made.close()


@pytest.fixture
def store(vault: Running) -> Iterator[Vault]:
    with connected(vault) as made:
        yield made


def own(number: int) -> AgentKey:
    return AgentKey(tenant_id=HERE, agent_id=f"a{number}", provider_id="p", key_version=1)


def with_keys() -> State:
    agents = {
        Key(HERE, key.agent_id): Enrolled(Agent(agent_id=key.agent_id, tenant_id=HERE), keys=(key,))
        for key in map(own, range(AGENTS))
    }
    return replace(state(), agents=rows.given(agents))


def test_without_an_index_there_is_nothing_to_look_for(store: Vault) -> None:
    index = Index()
    assert not CredentialWatch(store, index).turn()
    index.confirm(state())
    assert CredentialWatch(store, index).turn()


def test_more_keys_of_agents_than_fit_into_a_turn_take_turns(store: Vault, vault: Running) -> None:
    for number in range(AGENTS):
        store.write(own(number).path, Secret("sk"))
    index = Index()
    index.confirm(with_keys())
    looked: list[str] = []

    def note(method: str, path: str) -> bool:
        looked.extend([path] if "/metadata/" in path else [])
        return True

    with VaultProxy(vault.address) as proxy, connected(vault, proxy.address) as through:
        proxy.before = note
        watch = CredentialWatch(through, index, agent_keys_a_turn=2)
        for _ in range(3):
            looked.clear()
            watch.turn()
            assert len(looked) == 3  # the provider's, and two
        assert len(index.vault.sightings) == 1 + AGENTS
        assert all(index.vault.usable(own(number).path, 1) for number in range(AGENTS))

        store.delete(own(3).path)
        for _ in range(3):
            watch.turn()
    gone = [number for number in range(AGENTS) if not index.vault.usable(own(number).path, 1)]
    assert gone == [3]


def test_to_look_at_keys_makes_no_agents(store: Vault) -> None:
    def make(_row: object) -> Enrolled:
        raise AssertionError("nobody asked for it")

    store.write(own(0).path, Secret("sk"))
    index = Index()
    index.confirm(replace(with_keys(), agents=rows.Shaped(with_keys().agents.rows, make)))
    assert CredentialWatch(store, index).turn()
    assert index.vault.usable(own(0).path, 1)


def test_what_changes_in_vault_is_known_within_5_s_however_it_answers() -> None:
    timing = VaultTiming()
    assert PERIOD_SECONDS + timing.connect_seconds + timing.read_seconds < 5


def test_a_vault_that_hangs_is_away_and_back_when_it_answers(store: Vault, vault: Running) -> None:
    store.write(CredentialPath("p"), Secret("sk"))
    index = Index()
    index.confirm(state())

    def usable() -> bool:
        return index.vault.provider(PROVIDER).credentials_ok

    with connected(vault, timing=VaultTiming()) as hurried:
        watch = CredentialWatch(hurried, index)
        watch.start()
        try:
            eventually(lambda: bool(index.vault.sightings))
            os.kill(vault.server.pid, signal.SIGSTOP)
            try:
                eventually(lambda: not usable())
            finally:
                os.kill(vault.server.pid, signal.SIGCONT)
            eventually(usable)
        finally:
            watch.stop()
