"""Keys in a real secret store: read, written, rolled back; and every way in which it can refuse."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from imrs_server.adapters.vault import Vault, VaultState, VaultTiming
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import CredentialMissing, VaultForbidden, VaultSealed, VaultUnreachable
from imrs_server.domain.secret import Secret
from tests.support import patience
from tests.support.tcp_relay import nobody
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Vault as Running

OPENAI = CredentialPath("openai")
TENANT = UUID("018f0000-0000-7000-8000-000000000001")
OF_AGENT = CredentialPath("openai", TENANT, "agent-1")
SENTINEL = "sk-sentinel-0123456789"
# An open circuit stays open until the store is seen again.
PATIENT = replace(patience.VAULT, open_seconds=patience.SECONDS)
HURRIED = VaultTiming(connect_seconds=patience.SECONDS, read_seconds=0.5, open_seconds=0.2)


@contextmanager
def connected(
    running: Running,
    *,
    address: str = "",
    secret_id: Callable[[], str] | None = None,
    mount: str = "secret",
    timing: VaultTiming = PATIENT,
) -> Iterator[Vault]:
    vault = Vault(
        address or running.address,
        role_id=lambda: running.role_id,
        secret_id=secret_id or (lambda: running.secret_id),
        mount=mount,
        timing=timing,
    )
    yield vault
    vault.close()


@pytest.fixture
def store(vault: Running) -> Iterator[Vault]:
    with connected(vault) as made:
        yield made


def root(running: Running, method: str, path: str, body: dict[str, object] | None = None) -> None:
    running.server.call(method, path, body, token=running.server.root_token)


def reads(store: Vault) -> bool:
    try:
        store.read(OPENAI)
    except VaultUnreachable:
        return False
    return True


def test_a_key_is_read_as_it_was_written(store: Vault) -> None:
    assert store.write(OPENAI, Secret(SENTINEL)) == 1

    key = store.read(OPENAI)
    assert key.reveal() == SENTINEL
    assert SENTINEL not in f"{key} {key!r} {[key]}"


def test_a_rotated_key_is_another_version_and_the_old_one_stays(store: Vault) -> None:
    store.write(OPENAI, Secret("old"))
    assert store.write(OPENAI, Secret("new")) == 2

    assert store.read(OPENAI).reveal() == "new"
    assert store.read(OPENAI, version=1).reveal() == "old"


def test_a_failed_rotation_is_undone_by_destroying_its_version(store: Vault) -> None:
    store.write(OPENAI, Secret("old"))
    version = store.write(OPENAI, Secret("new"))
    store.destroy_version(OPENAI, version)

    assert store.read(OPENAI, version=1).reveal() == "old"
    with pytest.raises(CredentialMissing):
        store.read(OPENAI, version=version)


def test_a_failed_creation_leaves_nothing(store: Vault) -> None:
    store.write(OPENAI, Secret(SENTINEL))
    store.delete(OPENAI)

    assert list(store.paths()) == []
    with pytest.raises(CredentialMissing) as caught:
        store.read(OPENAI)
    assert caught.value.metadata == {"provider_id": "openai"}


def test_deleting_what_is_not_there_is_fine(store: Vault) -> None:
    store.delete(OPENAI)
    store.destroy_version(OPENAI, 7)


def test_agents_have_keys_of_their_own(store: Vault) -> None:
    store.write(OF_AGENT, Secret("agent"))

    assert store.read(OF_AGENT).reveal() == "agent"
    with pytest.raises(CredentialMissing):
        store.read(OPENAI)


def test_all_keys_can_be_listed_for_the_sweep(store: Vault, vault: Running) -> None:
    paths = {OPENAI, OF_AGENT, CredentialPath("azure"), CredentialPath("ollama", TENANT, "a.b")}
    for path in paths:
        store.write(path, Secret("key"))
    root(vault, "POST", "secret/data/llm/Not-Ours", {"data": {"api_key": "x"}})
    root(vault, "POST", "secret/data/llm/openai/agents/no-uuid/a", {"data": {"api_key": "x"}})

    assert set(store.paths()) == paths


@pytest.mark.parametrize(
    "data",
    [{}, {"key": "x"}, {"api_key": ""}, {"api_key": 7}, {"api_key": "a\nb"}, {"api_key": "x" * 4097}],
    ids=["nothing", "another field", "empty", "number", "line break", "too long"],
)
def test_what_is_no_key_counts_as_missing(store: Vault, vault: Running, data: dict[str, object]) -> None:
    root(vault, "POST", "secret/data/llm/openai", {"data": data})

    with pytest.raises(CredentialMissing):
        store.read(OPENAI)


def test_a_softly_deleted_key_is_missing(store: Vault, vault: Running) -> None:
    store.write(OPENAI, Secret("key"))
    root(vault, "DELETE", "secret/data/llm/openai")

    with pytest.raises(CredentialMissing):
        store.read(OPENAI)


def test_sealed_is_told_and_ends_without_a_restart(store: Vault, vault: Running) -> None:
    store.write(OPENAI, Secret("key"))
    vault.server.seal()

    for _ in range(5):
        with pytest.raises(VaultSealed):
            store.read(OPENAI)
    with pytest.raises(VaultSealed):
        store.write(OPENAI, Secret("other"))
    assert store.check() is VaultState.SEALED

    vault.server.unseal()
    assert store.read(OPENAI).reveal() == "key"
    assert store.check() is VaultState.OK


def test_a_store_sealed_before_the_first_login_is_told_as_such(vault: Running) -> None:
    vault.server.seal()

    with connected(vault) as store, pytest.raises(VaultSealed):
        store.read(OPENAI)


def test_a_store_that_is_gone_is_unreachable_at_once_and_found_again(store: Vault, vault: Running) -> None:
    store.write(OPENAI, Secret("key"))
    vault.server.kill()

    started = time.monotonic()
    for _ in range(5):
        with pytest.raises(VaultUnreachable) as caught:
            store.read(OPENAI)
    # Nobody waits for an answer.
    assert time.monotonic() - started < PATIENT.read_seconds
    assert caught.value.retry_after_seconds is not None
    assert 0 < caught.value.retry_after_seconds <= PATIENT.open_seconds
    assert store.check() is VaultState.UNREACHABLE

    vault.server.start()
    eventually(lambda: store.check() is VaultState.OK)
    assert store.read(OPENAI).reveal() == "key"


@pytest.fixture
def hurried(vault: Running, store: Vault) -> Iterator[Vault]:
    """One that is logged in, and has read a key."""
    store.write(OPENAI, Secret("key"))
    with connected(vault, timing=HURRIED) as made:
        eventually(lambda: reads(made))
        yield made


def test_a_store_that_hangs_costs_each_caller_a_bounded_time_and_then_none(
    hurried: Vault, vault: Running
) -> None:
    waited: list[float] = []

    def ask() -> None:
        started = time.monotonic()
        with pytest.raises(VaultUnreachable):
            hurried.read(OPENAI)
        waited.append(time.monotonic() - started)

    os.kill(vault.server.pid, signal.SIGSTOP)
    try:
        threads = [threading.Thread(target=ask) for _ in range(60)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        # A place is waited for at most 0.5 s, then the answer for at most 0.5 s.
        # One after the other they would wait for 30 s.
        assert max(waited) < 15
        for _ in range(5):
            ask()
        assert min(waited[-5:]) < 0.4
    finally:
        os.kill(vault.server.pid, signal.SIGCONT)
    eventually(lambda: hurried.check() is VaultState.OK)
    eventually(lambda: reads(hurried))


def test_nobody_at_the_address_is_unreachable(vault: Running) -> None:
    with (
        nobody() as address,
        connected(vault, address=f"http://{address}") as store,
        pytest.raises(VaultUnreachable),
    ):
        store.read(OPENAI)


def test_a_wrong_secret_id_is_forbidden_until_it_is_right(vault: Running) -> None:
    given = ["wrong"]
    with connected(vault, secret_id=lambda: given[0]) as store:
        with pytest.raises(VaultForbidden):
            store.read(OPENAI)
        assert store.check() is VaultState.FORBIDDEN

        given[0] = vault.secret_id
        with pytest.raises(CredentialMissing):
            store.read(OPENAI)


def test_a_secret_id_that_cannot_be_read_is_forbidden(vault: Running) -> None:
    def unreadable() -> str:
        raise PermissionError("/run/secrets/secret_id")

    with connected(vault, secret_id=unreadable) as store, pytest.raises(VaultForbidden):
        store.read(OPENAI)


def test_a_revoked_token_is_replaced_within_the_call(store: Vault, vault: Running) -> None:
    store.write(OPENAI, Secret("key"))
    root(vault, "POST", "auth/token/revoke", {"token": store._client.token})

    assert store.read(OPENAI).reveal() == "key"


def test_many_threads_with_a_revoked_token_log_in_once(store: Vault, vault: Running) -> None:
    store.write(OPENAI, Secret("key"))
    root(vault, "POST", "auth/token/revoke", {"token": store._client.token})
    tokens: set[str] = set()

    def ask() -> None:
        assert store.read(OPENAI).reveal() == "key"
        tokens.add(store._client.token)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(tokens) == 1


def test_a_token_is_renewed_when_two_thirds_of_its_lease_are_over(store: Vault) -> None:
    store.write(OPENAI, Secret("key"))
    first = store._client.token
    assert 0 < store._login._renew_at - time.monotonic() <= 3600 * 2 / 3

    store._login._renew_at = time.monotonic()
    assert store.read(OPENAI).reveal() == "key"

    assert store._client.token == first
    assert store._login._renew_at > time.monotonic()


def test_a_token_is_replaced_at_its_maximal_age(vault: Running) -> None:
    role = "auth/approle/role/imrs"
    root(vault, "POST", role, {"token_policies": ["imrs"], "token_ttl": "6s", "token_max_ttl": "10s"})
    try:
        with connected(vault) as store:
            store.write(OPENAI, Secret("key"))
            first = store._client.token

            def replaced() -> bool:
                assert store.read(OPENAI).reveal() == "key"
                return bool(store._client.token != first)

            eventually(replaced, 60)
    finally:
        root(vault, "POST", role, {"token_policies": ["imrs"], "token_ttl": "1h", "token_max_ttl": "24h"})


def test_a_path_outside_the_policy_is_forbidden(vault: Running) -> None:
    policy = 'path "secret/data/llm/openai" { capabilities = ["read"] }'
    root(vault, "PUT", "sys/policies/acl/narrow", {"policy": policy})
    root(vault, "POST", "auth/approle/role/imrs", {"token_policies": ["narrow"]})
    try:
        with connected(vault) as store:
            with pytest.raises(CredentialMissing):
                store.read(OPENAI)
            with pytest.raises(VaultForbidden):
                store.read(CredentialPath("azure"))
            with pytest.raises(VaultForbidden):
                store.write(OPENAI, Secret("key"))
    finally:
        root(vault, "POST", "auth/approle/role/imrs", {"token_policies": ["imrs"]})


def test_a_mount_that_is_not_there_is_forbidden_not_a_missing_key(vault: Running) -> None:
    with connected(vault, mount="elsewhere") as store:
        with pytest.raises(VaultForbidden):
            store.read(OPENAI)
        with pytest.raises(VaultForbidden):
            store.write(OPENAI, Secret("key"))


def test_the_environment_gives_neither_token_nor_address(
    vault: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VAULT_TOKEN", vault.server.root_token)
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    with connected(vault, secret_id=lambda: "wrong") as store, pytest.raises(VaultForbidden):
        store.read(OPENAI)


def test_the_key_is_in_no_log_and_no_error(
    store: Vault, vault: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    store.write(OPENAI, Secret(SENTINEL))
    store.read(OPENAI)
    vault.server.seal()
    with pytest.raises(VaultSealed) as caught:
        store.write(OPENAI, Secret(SENTINEL))

    chain: BaseException | None = caught.value
    while chain is not None:
        assert SENTINEL not in f"{chain!r} {chain} {vars(chain)}"
        chain = chain.__cause__ or chain.__context__
    assert SENTINEL not in caplog.text
    assert vault.secret_id not in caplog.text
    assert store._client.token not in caplog.text
