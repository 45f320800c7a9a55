"""A key that is put through every path appears nowhere but in Vault and in the calls to the provider.

Looked at are answers, error details, trailing metadata, the logs of a server at DEBUG with those of every
library, the audit log, and a dump of every table.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import grpc
import psycopg
from psycopg import sql

from imrs_client import v1 as pb
from imrs_server.domain.principal import Role
from tests.support import catalogue
from tests.support.child import child
from tests.support.provider import FakeProvider, answer, fail
from tests.support.service import Service, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from google.protobuf.message import Message

    from tests.conftest import Vault

# Any part of it that is long enough to be of use to somebody counts as the key.
WORD = "SENTINEL7f3a91"
UNPRINTABLE = f"sk-{WORD}-\x00"
TOO_LONG = f"sk-{WORD}-" + "x" * 5000


def key(name: str) -> str:
    return f"sk-{WORD}-{name}"


class Caller:
    """Makes calls without a client of ours in between, and keeps everything that comes back."""

    def __init__(self, address: str, service: Service) -> None:
        self._channel = grpc.insecure_channel(address)
        self._service = service
        self.answers: list[str] = []
        self.codes: list[str] = []

    def __call__(self, method: str, request: Message, role: Role = Role.PLATFORM_ADMIN) -> None:
        stub = pb.AdminServiceStub(self._channel)
        metadata = (("authorization", f"Bearer {self._service.token(role)}"),)
        try:
            call: Any = getattr(stub, method)
            if method == "SyncProvider":
                self.answers += [str(each) for each in call(request, metadata=metadata, timeout=30)]
            else:
                answer, told = call.with_call(request, metadata=metadata, timeout=30)
                self.answers += [str(answer), repr(told.trailing_metadata())]
            self.codes.append("OK")
        except grpc.RpcError as error:
            failed: Any = error
            self.answers += [str(failed), failed.details(), repr(failed.trailing_metadata())]
            self.codes.append(failed.code().name)

    def close(self) -> None:
        self._channel.close()


def provider(upstream: FakeProvider, provider_id: str, api_key: str, **more: Any) -> pb.Provider:
    return pb.Provider(
        provider_id=provider_id,
        provider_type=pb.Provider.Type.OPENROUTER,
        api_base=upstream.url,
        api_key=api_key,
        **more,
    )


def create(upstream: FakeProvider, provider_id: str, api_key: str, **more: Any) -> pb.CreateProviderRequest:
    return pb.CreateProviderRequest(provider=provider(upstream, provider_id, api_key), **more)


def walk(call: Caller, service: Service, upstream: FakeProvider, vault: Vault) -> None:
    """Every path that a key can take, the failing ones included."""
    first = create(upstream, "acme", key("create"), request_id="once")
    call("CreateProvider", create(upstream, "acme", key("preview"), validate_only=True))
    for request in (first, first, create(upstream, "acme", key("other-body"), request_id="once")):
        call("CreateProvider", request)
    call("CreateProvider", create(upstream, "acme", key("exists")))
    call("CreateProvider", create(upstream, "Not An Id", key("bad-id")))
    for unfit in (TOO_LONG, UNPRINTABLE):
        call("CreateProvider", create(upstream, "unfit", unfit))
        call("RotateProviderKey", pb.RotateProviderKeyRequest(provider_id="acme", api_key=unfit))
    forbidden = provider(upstream, "meta", key("forbidden"))
    forbidden.api_base = "http://169.254.169.254/v1"
    call("CreateProvider", pb.CreateProviderRequest(provider=forbidden))
    call("CreateProvider", create(upstream, "nobody", key("wrong-role")), Role.TENANT_ADMIN)
    with_key = provider(upstream, "acme", key("update"))
    call("UpdateProvider", pb.UpdateProviderRequest(provider=with_key))
    masked = pb.UpdateProviderRequest(provider=with_key)
    masked.update_mask.paths.append("api_key")
    call("UpdateProvider", masked)
    call("GetProvider", pb.GetProviderRequest(provider_id="acme"))
    call("ListProviders", pb.ListProvidersRequest())

    # It goes out in a header, and a provider may well send it back.
    echo = f'{{"error": {{"message": "bad key {key("create")}"}}}}'.encode()
    upstream.script(
        fail(401), fail(500), fail(500), fail(500), *[answer(echo, status=each) for each in (400, 200)]
    )
    for _ in range(4):
        call("SyncProvider", pb.SyncProviderRequest(provider_id="acme"))
    call("CheckProvider", pb.CheckProviderRequest(provider_id="acme"))
    call("SyncProvider", pb.SyncProviderRequest(provider_id="acme", validate_only=True))
    call("SyncProvider", pb.SyncProviderRequest(provider_id="acme"))
    call("RotateProviderKey", pb.RotateProviderKeyRequest(provider_id="acme", api_key=key("rotate")))
    call("RotateProviderKey", pb.RotateProviderKeyRequest(provider_id="nobody", api_key=key("missing")))
    call("SyncProvider", pb.SyncProviderRequest(provider_id="acme"))

    def own(name: str, agent_id: str = "coder") -> pb.SetAgentKeyRequest:
        return pb.SetAgentKeyRequest(agent_id=agent_id, provider_id="acme", api_key=key(name))

    call("CreateAgent", pb.CreateAgentRequest(agent=pb.Agent(agent_id="coder")), Role.TENANT_ADMIN)
    call("SetAgentKey", own("own"), Role.TENANT_ADMIN)
    call("SetAgentKey", own("own-again"), Role.TENANT_ADMIN)
    call("SetAgentKey", own("nobody", "nobody"), Role.TENANT_ADMIN)
    call("SetAgentKey", own("user"), Role.USER)

    vault.server.seal()
    call("CreateProvider", create(upstream, "sealed", key("sealed")))
    call("SetAgentKey", own("sealed-own"), Role.TENANT_ADMIN)
    vault.server.unseal()
    vault.server.stop()
    call("RotateProviderKey", pb.RotateProviderKeyRequest(provider_id="acme", api_key=key("stopped")))
    vault.server.start()
    vault.server.unseal()

    delete = pb.DeleteAgentKeyRequest(agent_id="coder", provider_id="acme")
    call("DeleteAgentKey", delete, Role.TENANT_ADMIN)
    call("DeleteProvider", pb.DeleteProviderRequest(provider_id="acme"))
    call("ListAuditEvents", pb.ListAuditEventsRequest(page_size=1000))


def dump(database: str) -> Iterator[tuple[str, str]]:
    """Every row of every table, as text."""
    query = (
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    )
    with psycopg.connect(database) as connection:
        for (table,) in connection.execute(query).fetchall():
            rows = connection.execute(
                sql.SQL("select row_to_json(t)::text from {} t").format(sql.Identifier(table))
            )
            yield table, "\n".join(row[0] for row in rows)


def forms(word: str) -> list[bytes]:
    """The word as it may be written: plain, percent-encoded, in hex, in base64 at any offset."""
    encoded = [base64.b64encode(b"\0" * shift + word.encode())[4 if shift else 0 : -4] for shift in range(3)]
    return [word.encode(), quote(word).encode(), word.encode().hex().encode(), *encoded]


def test_a_key_appears_nowhere(database: str, vault: Vault, tmp_path: Path) -> None:
    with FakeProvider(catalogue.openrouter_body()) as upstream, serving(database, vault) as service:
        with child(service.settings, tmp_path) as (_, address):
            call = Caller(address, service)
            walk(call, service, upstream, vault)
            call.close()
        sent = [each.headers.get("authorization", "") for each in upstream.requests]

    # The test has tested something: keys were stored and used, and calls failed in many ways.
    assert f"Bearer {key('create')}" in sent
    assert f"Bearer {key('rotate')}" in sent
    assert set(call.codes) >= {
        "OK", "INVALID_ARGUMENT", "ALREADY_EXISTS", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION",
        "UNAVAILABLE",
    }  # fmt: skip
    log = (tmp_path / "output").read_bytes()
    assert b"DEBUG" in log

    places = {"answers": "\n".join(call.answers).encode(), "log": log}
    places |= {f"table {table}": rows.encode() for table, rows in dump(database)}
    assert len(places["table audit_events"]) > 1000
    found = [(place, form) for place, text in places.items() for form in forms(WORD) if form in text]
    assert found == []
