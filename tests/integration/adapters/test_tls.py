"""Certificates are checked against the name in the URL, though the connection goes to a checked address."""

from __future__ import annotations

import ssl
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import Unreachable
from imrs_server.adapters.http import Call, GuardedClient
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Hello(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


class Quiet(HTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that does not trust us hangs up."""


def certificate(folder: Path, name: str, *, expired: bool = False) -> tuple[Path, Path]:
    """A self-signed certificate for the name, and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 1)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=10))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = folder / "certificate.pem", folder / "key.pem"
    public.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return public, private


@pytest.fixture
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Path]]:
    """The port of a TLS server for models.example, and its certificate."""
    public, private = certificate(tmp_path, "models.example", expired=getattr(request, "param", False))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    server = Quiet(("127.0.0.1", 0), Hello)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_port, public
    server.shutdown()
    server.server_close()
    thread.join()


def call(port: int, host: str, ca_bundle: Path | None) -> object:
    client = GuardedClient(
        AddressRules(allowed=(ip_network("127.0.0.0/8"),)),
        ca_bundle=str(ca_bundle) if ca_bundle is not None else None,
        timing=patience.TIMING,
        resolver=lambda host, port: ["127.0.0.1"],
    )
    return client.get_json(Call(url=f"https://{host}:{port}/"), client.deadline(60))


def test_a_certificate_of_the_own_authority_is_trusted_for_its_name(served: tuple[int, Path]) -> None:
    port, bundle = served

    assert call(port, "models.example", bundle) == {}


def test_another_name_and_an_unknown_authority_are_not_trusted(served: tuple[int, Path]) -> None:
    port, bundle = served

    with pytest.raises(Unreachable, match="certificate"):
        call(port, "other.example", bundle)
    with pytest.raises(Unreachable, match="certificate"):
        call(port, "models.example", None)


@pytest.mark.parametrize("served", [True], indirect=True)
def test_an_expired_certificate_is_not_trusted(served: tuple[int, Path]) -> None:
    port, bundle = served

    with pytest.raises(Unreachable, match="certificate"):
        call(port, "models.example", bundle)
