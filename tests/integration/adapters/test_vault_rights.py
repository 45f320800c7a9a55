"""What a login to Vault may do, how long it lasts, and what it is a login to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.errors import VaultForbidden
from tests.support import patience

if TYPE_CHECKING:
    from tests.conftest import Vault as Running


def root(running: Running, method: str, path: str, body: dict[str, object] | None = None) -> None:
    running.server.call(method, path, body, token=running.server.root_token)


def test_the_lease_of_a_login(vault: Running) -> None:
    with patience.vault(vault) as store:
        lease = store.lease()
    assert 3_500 < lease.seconds <= 3_600
    assert lease.renewable


def test_rights_path_by_path(vault: Running) -> None:
    with patience.vault(vault) as store:
        found = store.rights(["secret/data/llm/openai", "secret/metadata/llm", "sys/mounts"])
    assert found == {
        "secret/data/llm/openai": {"create", "read", "update", "delete"},
        "secret/metadata/llm": {"list"},
        "sys/mounts": {"deny"},
    }


def test_a_mount_without_versions_and_one_that_may_not_be_seen(vault: Running) -> None:
    with patience.vault(vault) as store:
        assert store.versions_keys()
    root(vault, "POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    root(vault, "PUT", "sys/policies/acl/old", {"policy": 'path "old/*" { capabilities = ["read"] }'})
    try:
        with patience.vault(vault, mount="old") as store, pytest.raises(VaultForbidden):
            store.versions_keys()
        root(vault, "POST", "auth/approle/role/imrs/policies", {"token_policies": ["imrs", "old"]})
        with patience.vault(vault, mount="old") as store:
            assert not store.versions_keys()
    finally:
        root(vault, "POST", "auth/approle/role/imrs/policies", {"token_policies": ["imrs"]})
        root(vault, "DELETE", "sys/mounts/old")
