"""A server in a company's network: out through its proxy, and with an authority of its own."""

from __future__ import annotations

import json
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from imrs_client.v1 import (
    CheckProviderRequest,
    CreateProviderRequest,
    ListModelsRequest,
    Provider,
    SyncProviderRequest,
)
from tests.integration.adapters.test_tls import certificate
from tests.support.forward_proxy import ForwardProxy
from tests.support.service import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault

HOST = "models.corp.example"


class Models(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"data": [{"id": "alpha"}, {"id": "beta"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return certificate(tmp_path, HOST)[0]


@pytest.fixture
def place(bundle: Path) -> Iterator[tuple[str, int]]:
    """Where the provider really is; nobody outside of the proxy knows."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, bundle.parent / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), Models)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_provider_behind_the_proxy_is_checked_and_synced(
    database: str, vault: Vault, bundle: Path, place: tuple[str, int]
) -> None:
    with (
        ForwardProxy({f"{HOST}:443": place}, login="imrs:secret") as proxy,
        serving(
            database,
            vault,
            provider_allow=(),
            provider_proxy=SecretStr(f"http://imrs:secret@127.0.0.1:{proxy.port}"),
            provider_ca_bundle=bundle,
        ) as service,
    ):
        platform = service.platform
        provider = Provider(
            provider_id="corp",
            provider_type=Provider.Type.CUSTOM,
            api_base=f"https://{HOST}/v1",
            api_key="sk-corp",
        )
        platform.admin.CreateProvider(CreateProviderRequest(provider=provider))

        found = platform.admin.CheckProvider(CheckProviderRequest(provider_id="corp"))
        *_, last = platform.admin.SyncProvider(SyncProviderRequest(provider_id="corp"))

        assert (found.reachable, found.authorized, found.model_count) == (True, True, 2)
        assert last.result.models_added == 2
        listed = platform.catalog.ListModels(ListModelsRequest())
        assert [model.model_id for model in listed.models] == ["corp/alpha", "corp/beta"]
        # A sync tries again where somebody is slow.
        assert len(proxy.asked) >= 2
        assert set(proxy.asked) == {f"{HOST}:443"}
