"""Login to Vault as a pod: a real secret store asks a cluster that is played here whose token that is."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from imrs_server.adapters.vault import Vault
from imrs_server.adapters.vault_login import VaultAuth
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import VaultForbidden
from imrs_server.domain.secret import Secret
from tests.integration.adapters.test_tls import certificate
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault as Running

ACCOUNT = "kubernetes.io/serviceaccount"
PATH = CredentialPath("openai")


class Cluster(HTTPServer):
    """Answers TokenReview: every token but those in ``revoked`` is the service account's."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Reviewer)
        self.revoked: set[str] = set()
        self.reviewed: list[str] = []


class Reviewer(BaseHTTPRequestHandler):
    server: Cluster

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        token = review["spec"]["token"]
        self.server.reviewed.append(token)
        user = {"username": "system:serviceaccount:models:imrs", "uid": "u1", "groups": []}
        good = token not in self.server.revoked
        answer = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "status": {"authenticated": good, "user": user if good else {}},
        }
        body = json.dumps(answer).encode()
        self.send_response(201)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


def token(name: str) -> str:
    """A service account's token; the cluster judges it, not its signature."""
    claims = {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:models:imrs",
        "jti": name,
        "iat": int(time.time()) - 60,
        "exp": int(time.time()) + 3600,
        f"{ACCOUNT}/namespace": "models",
        f"{ACCOUNT}/service-account.name": "imrs",
        f"{ACCOUNT}/service-account.uid": "u1",
    }
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256")


@pytest.fixture
def cluster(vault: Running, tmp_path: Path) -> Iterator[Cluster]:
    """A cluster whose pods with the account models/imrs have the role imrs, mounted as k8s."""
    server = Cluster()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    authority, _ = certificate(tmp_path, "kubernetes.example")
    config = {
        "kubernetes_host": f"http://127.0.0.1:{server.server_port}",
        "kubernetes_ca_cert": authority.read_text(encoding="utf-8"),
        "token_reviewer_jwt": "reviewer",
        "disable_local_ca_jwt": True,
    }
    role = {
        "bound_service_account_names": ["imrs"],
        "bound_service_account_namespaces": ["models"],
        "token_policies": ["imrs"],
    }
    for path, body in (
        ("sys/auth/k8s", {"type": "kubernetes"}),
        ("auth/k8s/config", config),
        ("auth/k8s/role/imrs", role),
    ):
        vault.server.call("POST", path, body, token=vault.server.root_token)
    yield server
    vault.server.call("DELETE", "sys/auth/k8s", token=vault.server.root_token)
    server.shutdown()
    server.server_close()
    thread.join()


def pod(running: Running, file: Path, role: str = "imrs") -> Vault:
    return Vault(
        running.address,
        role_id=lambda: role,
        secret_id=lambda: file.read_text(encoding="utf-8").strip(),
        auth=VaultAuth.KUBERNETES,
        auth_mount="k8s",
        timing=patience.VAULT,
    )


def test_a_pod_logs_in_with_its_token_and_a_renewed_one_counts_at_once(
    vault: Running, cluster: Cluster, tmp_path: Path
) -> None:
    file, first, second = tmp_path / "token", token("first"), token("second")
    file.write_text(f"{first}\n", encoding="utf-8")
    store = pod(vault, file)
    assert store.write(PATH, Secret("key")) == 1

    # The kubelet has put a new token there, and what Vault gave for the old one is gone.
    cluster.revoked.add(first)
    file.write_text(second, encoding="utf-8")
    body = {"token": store._client.token}
    vault.server.call("POST", "auth/token/revoke", body, token=vault.server.root_token)

    assert store.read(PATH).reveal() == "key"
    assert cluster.reviewed == [first, second]
    store.close()


def test_a_pod_that_is_not_let_in_is_forbidden(vault: Running, cluster: Cluster, tmp_path: Path) -> None:
    file = tmp_path / "token"
    store = pod(vault, file)
    with pytest.raises(VaultForbidden):
        store.read(PATH)

    file.write_text(token("revoked"), encoding="utf-8")
    cluster.revoked.add(file.read_text(encoding="utf-8"))
    with pytest.raises(VaultForbidden):
        store.read(PATH)
    store.close()

    file.write_text(token("good"), encoding="utf-8")
    other = pod(vault, file, role="elsewhere")
    with pytest.raises(VaultForbidden):
        other.read(PATH)
    other.close()
