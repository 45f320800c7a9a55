"""OpenBao from the wheel: sealed and unsealed, narrow in its rights, found again at the next start."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from imrs_server.embedded.openbao import OpenBao, RequestError
from tests.support import ports

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Vault


def log_in(server: OpenBao) -> str:
    credentials = {"role_id": server.role_id, "secret_id": server.secret_id}
    token: str = server.call("POST", "auth/approle/login", credentials)["auth"]["client_token"]
    return token


def write(server: OpenBao, path: str, api_key: str, token: str) -> None:
    server.call("POST", f"secret/data/{path}", {"data": {"api_key": api_key}}, token=token)


def read(server: OpenBao, path: str, token: str) -> Any:
    return server.call("GET", f"secret/data/{path}", token=token)["data"]["data"]["api_key"]


def test_the_role_may_do_with_provider_keys_what_the_server_needs(vault: Vault) -> None:
    server, token = vault.server, log_in(vault.server)
    write(server, "llm/one", "first", token)
    write(server, "llm/one", "second", token)
    write(server, "llm/one/agents/tenant/agent", "own", token)
    assert read(server, "llm/one", token) == "second"
    assert server.call("LIST", "secret/metadata/llm", token=token)["data"]["keys"] == ["one", "one/"]
    assert server.call("LIST", "secret/metadata/llm/one", token=token)["data"]["keys"] == ["agents/"]
    server.call("POST", "secret/destroy/llm/one", {"versions": [2]}, token=token)
    assert (
        server.call("GET", "secret/data/llm/one?version=1", token=token)["data"]["data"]["api_key"] == "first"
    )
    server.call("DELETE", "secret/metadata/llm/one", token=token)
    with pytest.raises(RequestError) as missing:
        read(server, "llm/one", token)
    assert missing.value.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "secret/data/other"),
        ("POST", "secret/data/other"),
        ("POST", "secret/data/llmx"),
        ("LIST", "secret/metadata"),
        ("POST", "sys/policies/acl/imrs"),
        ("POST", "auth/approle/role/imrs/secret-id"),
        ("PUT", "sys/seal"),
    ],
)
def test_the_role_may_do_nothing_else(vault: Vault, method: str, path: str) -> None:
    write(vault.server, "other", "not for the server", vault.server.root_token)
    with pytest.raises(RequestError) as refused:
        vault.server.call(method, path, {} if method == "POST" else None, token=log_in(vault.server))
    assert refused.value.status == 403


def test_sealed_it_refuses_and_unsealed_the_old_token_still_works(vault: Vault) -> None:
    token = log_in(vault.server)
    write(vault.server, "llm/one", "key", token)
    vault.server.seal()
    with pytest.raises(RequestError) as refused:
        read(vault.server, "llm/one", token)
    assert refused.value.status == 503
    vault.server.unseal()
    assert read(vault.server, "llm/one", token) == "key"


def test_the_next_start_finds_everything_again_after_a_stop_and_after_a_crash(tmp_path: Path) -> None:
    with OpenBao(tmp_path / "openbao") as server:
        address, role_id, secret_id = server.address, server.role_id, server.secret_id
        write(server, "llm/one", "key", log_in(server))
    with ports.held(server.port), OpenBao(tmp_path / "openbao") as server:
        assert (server.address, server.role_id, server.secret_id) == (address, role_id, secret_id)
        assert read(server, "llm/one", log_in(server)) == "key"
        server.kill()
        server.start()
        assert read(server, "llm/one", log_in(server)) == "key"
        server.kill()


def test_keys_are_for_the_owner_only_and_in_no_log(openbao: OpenBao) -> None:
    secret = openbao.folder / "keys.json"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    log = (openbao.folder / "openbao.log").read_text()
    assert openbao.root_token not in log
    assert openbao.secret_id not in log


def test_a_start_killed_before_the_keys_were_saved_begins_anew(tmp_path: Path) -> None:
    server = OpenBao(tmp_path / "openbao")
    server.start()
    (server.folder / "keys.json").unlink()
    server.kill()
    server.start()
    write(server, "llm/one", "key", log_in(server))
    server.kill()


def test_a_start_killed_before_the_role_was_made_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = OpenBao(tmp_path / "openbao")
    real = server.call

    def die(method: str, path: str, body: Any = None, *, token: str | None = None) -> dict[str, Any]:
        if path.startswith("sys/policies"):
            raise KeyboardInterrupt
        return real(method, path, body, token=token)

    monkeypatch.setattr(server, "call", die)
    with pytest.raises(KeyboardInterrupt):
        server.start()
    assert not server.running
    monkeypatch.undo()
    server.start()
    write(server, "llm/one", "key", log_in(server))
    server.kill()
