"""Settings of the ways out: to providers through a proxy, to Vault as a pod."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError

from imrs_server.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

NEEDED = {
    "DATABASE_URL": "postgresql://localhost/imrs",
    "VAULT_ADDR": "http://127.0.0.1:8200",
    "JWT_SECRETS": "a secret of the tests of more than 32 bytes",
}
APPROLE = {"VAULT_ROLE_ID": "role", "VAULT_SECRET_ID": "proof"}


def settings(monkeypatch: pytest.MonkeyPatch, **environment: Any) -> Settings:
    for name, value in {**NEEDED, **environment}.items():
        monkeypatch.setenv(f"IMRS_{name}", str(value))
    return Settings()


def test_without_a_proxy_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://elsewhere:1")

    assert settings(monkeypatch, **APPROLE).proxy is None


def test_a_proxy_its_login_and_what_goes_round_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(
        monkeypatch,
        **APPROLE,
        PROVIDER_PROXY="http://imrs:p%40ss@Proxy.corp.example:3128",
        PROVIDER_NO_PROXY="llm.corp.example, .internal",
    )

    assert found.proxy is not None
    assert (found.proxy.url, found.proxy.auth) == ("http://proxy.corp.example:3128", ("imrs", "p@ss"))
    assert found.proxy.direct == ("llm.corp.example", ".internal")
    assert "p%40ss" not in repr(found)


def test_what_is_no_proxy_is_named_and_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(monkeypatch, **APPROLE, PROVIDER_PROXY="socks5://imrs:hunter2@proxy:1080")

    (problem,) = caught.value.errors(include_input=False, include_url=False)
    assert problem["loc"] == ("provider_proxy",)
    assert "http://host:port" in problem["msg"]
    assert "hunter2" not in str(problem)


@pytest.mark.parametrize("name", ["PROVIDER_CA_BUNDLE", "VAULT_CA_BUNDLE"])
def test_a_bundle_must_be_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    with pytest.raises(ValidationError):
        settings(monkeypatch, **APPROLE, **{name: tmp_path / "nothing.pem"})


def test_a_pod_needs_a_role_and_no_secret_id(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n", encoding="utf-8")
    found = settings(
        monkeypatch,
        VAULT_AUTH="kubernetes",
        VAULT_KUBERNETES_ROLE="imrs",
        VAULT_KUBERNETES_TOKEN_FILE=file,
    )

    assert (found.vault_role, found.vault_proof) == ("imrs", "first")
    file.write_text("second", encoding="utf-8")
    assert found.vault_proof == "second"


@pytest.mark.parametrize(
    "environment",
    [{"VAULT_AUTH": "kubernetes"}, {"VAULT_AUTH": "ldap", **APPROLE}, {"VAULT_SECRET_ID": "x"}],
    ids=["no role", "unknown method", "no role id"],
)
def test_a_login_that_cannot_work_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    with pytest.raises(ValidationError):
        settings(monkeypatch, **environment)
