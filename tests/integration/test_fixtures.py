"""What the fixtures of conftest.py promise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Vault
    from tests.support.cluster import Cluster

ROUNDS = ("first", "second")


@pytest.mark.parametrize("turn", ROUNDS)
@pytest.mark.both_postgres
def test_each_test_has_a_fresh_migrated_database(database: str, postgres_version: int, turn: str) -> None:
    with psycopg.connect(database) as tx:
        assert tx.info.server_version // 10000 == postgres_version
        rows = tx.execute("select count(*) from tenants").fetchone()
        assert rows == (0,)
        tx.execute("create table left_behind ()")


def test_an_empty_database_has_no_tables_of_ours(empty_database: str) -> None:
    with psycopg.connect(empty_database) as tx:
        assert tx.execute("select to_regclass('tenants')").fetchone() == (None,)


def test_a_version_can_be_named(postgres16: Cluster) -> None:
    with postgres16.database() as dsn, psycopg.connect(dsn) as tx:
        assert tx.info.server_version // 10000 == 16


@pytest.mark.parametrize("turn", ROUNDS)
def test_each_test_has_an_open_vault_without_keys(vault: Vault, turn: str) -> None:
    login = vault.server.call(
        "POST", "auth/approle/login", {"role_id": vault.role_id, "secret_id": vault.secret_id}
    )
    token = login["auth"]["client_token"]
    for path in ("llm/one", "llm/one/agents/tenant/agent"):
        written = vault.server.call(
            "POST", f"secret/data/{path}", {"data": {"api_key": turn}, "options": {"cas": 0}}, token=token
        )
        assert written["data"]["version"] == 1
    if turn == "first":
        vault.server.seal()


def test_a_missing_program_skips_here_and_fails_in_continuous_integration(
    require_program: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert require_program("python").name == "python"
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        require_program("no-such-program")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-program is not installed"):
        require_program("no-such-program")
