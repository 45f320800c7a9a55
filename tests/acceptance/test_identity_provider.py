"""A whole server that takes the tokens of an identity provider beside its own."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from imrs_client import Unauthenticated
from imrs_client.v1 import ListAgentsRequest
from imrs_server.domain.errors import AddressForbidden
from imrs_server.domain.principal import Role
from imrs_server.wiring import App
from tests.support import patience
from tests.support.provider import FakeProvider, fail
from tests.support.service import Service, serving, settings
from tests.support.waiting import eventually
from tests.unit.adapters.test_addresses import FORBIDDEN

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Vault

ISSUER = "https://idp.example"


class IdentityProvider:
    """Signs with one key, and publishes it."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self._key = ec.generate_private_key(ec.SECP256R1())

    @property
    def document(self) -> bytes:
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**public, "kid": self.kid, "use": "sig", "alg": "ES256"}]}).encode()

    def token(self, service: Service, **changes: object) -> str:
        now = int(time.time())
        claims = {
            "sub": "ann@example.org",
            "tenant_id": str(service.tenant_id),
            "roles": ["tenant_admin"],
            "iss": ISSUER,
            "aud": "imrs",
            "iat": now,
            "exp": now + 600,
            "jti": "idp-1",
        }
        return jwt.encode(claims | changes, self._key, algorithm="ES256", headers={"kid": self.kid})


def accepted(service: Service, token: str) -> bool:
    with patience.client(service.app.address, token) as client:
        try:
            client.admin.ListAgents(ListAgentsRequest())
        except Unauthenticated as error:
            return error.reason != "TOKEN_INVALID"
    return True


def test_tokens_of_the_identity_provider_count_and_outlive_its_outage(database: str, vault: Vault) -> None:
    idp, stranger = IdentityProvider("one"), IdentityProvider("one")
    with FakeProvider(idp.document) as site:
        options = {"jwks_url": f"{site.url}/keys", "jwks_issuer": ISSUER}
        with serving(database, vault, **options) as service:
            # Its keys are fetched beside the start, and who comes first waits for them a second at most.
            eventually(lambda: accepted(service, idp.token(service)))
            asked = len(site.requests)
            assert accepted(service, service.token(Role.TENANT_ADMIN))
            assert not accepted(service, stranger.token(service))
            assert not accepted(service, idp.token(service, iss="imrs"))
            assert not accepted(service, idp.token(service, roles=["emperor"]))

            site.script(*[fail(500)] * 10)
            assert accepted(service, idp.token(service, sub="bob"))
            assert len(site.requests) == asked  # known names are looked up in memory


def test_a_server_starts_without_the_identity_provider_and_takes_its_own_tokens(
    database: str, vault: Vault
) -> None:
    idp = IdentityProvider("one")
    with FakeProvider(idp.document) as site:
        site.script(*[fail(503)] * 1000)
        options = {"jwks_url": f"{site.url}/keys", "jwks_issuer": ISSUER}
        with serving(database, vault, **options) as service:
            eventually(lambda: len(site.requests) >= 1)
            assert not accepted(service, idp.token(service))
            service.tenant.admin.ListAgents(ListAgentsRequest())


def test_keys_may_come_from_a_file(database: str, vault: Vault, tmp_path: Path) -> None:
    idp, path = IdentityProvider("one"), tmp_path / "keys.json"
    path.write_bytes(idp.document)
    with serving(database, vault, jwks_file=path, jwks_issuer=ISSUER, jwks_audience="models") as service:
        eventually(lambda: accepted(service, idp.token(service, aud="models")))
        assert not accepted(service, idp.token(service))


@pytest.mark.parametrize("url", [FORBIDDEN[0], "https://10.0.0.1/keys"])
def test_a_server_does_not_start_with_a_forbidden_address_of_keys(
    database: str, vault: Vault, url: str
) -> None:
    with pytest.raises(AddressForbidden):
        App(settings(database, vault, jwks_url=url, provider_allow=()))
