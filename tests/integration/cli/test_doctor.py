"""``imrs doctor`` on real parts: what it finds, what it advises, how it ends."""

from __future__ import annotations

import json
import os
import re
import socket
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.conninfo import make_conninfo

from imrs_server.cli import main
from imrs_server.cli.doctor import database as looked_at
from imrs_server.cli.doctor import running
from imrs_server.cli.doctor import vault as vault_check
from imrs_server.domain.principal import Role
from imrs_server.embedded.openbao import POLICY
from imrs_server.settings import Settings
from imrs_server.storage.database import Database
from tests.support import patience
from tests.support.serve import started, variables
from tests.support.service import serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from click.testing import Result

    from tests.conftest import Vault
    from tests.support.cluster import Cluster

Findings = list[dict[str, str]]
# Loopback, where no other process takes a port that is free just now.
ALONE = "127.7.7.7"


def run(environment: dict[str, str], *words: str) -> Result:
    ours = {name: value for name, value in environment.items() if name.startswith("IMRS_")}
    inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith("IMRS_")}
    return CliRunner().invoke(main, ["doctor", *words], env=inherited | ours)


def findings(environment: dict[str, str], *words: str) -> Findings:
    result = run(environment, "--json", *words)
    found: Findings = json.loads(result.stdout)["findings"]
    assert result.exit_code == int(any(each["level"] == "FAIL" for each in found))
    return found


def of(found: Findings, check: str, level: str = "") -> list[str]:
    return [each["says"] for each in found if each["check"] == check and level in {"", each["level"]}]


def told(found: Findings, *levels: str) -> list[tuple[str, str]]:
    return [(each["check"], each["says"]) for each in found if each["level"] in levels]


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """That the machine of a test stands still for a moment is no finding."""
    monkeypatch.setattr(looked_at, "NEWS_SECONDS", patience.SECONDS)
    monkeypatch.setattr(running, "ANSWER_SECONDS", patience.SECONDS)


@pytest.fixture
def whole(database: str, vault: Vault) -> dict[str, str]:
    """What a server needs, all of it good."""
    return variables(database, vault, metrics_addr="127.0.0.1:0")


def test_a_server_that_has_all_it_needs(whole: dict[str, str]) -> None:
    found = findings(whole)
    assert told(found, "FAIL") == []
    # The tests' login owns its cluster.
    assert [check for check, _ in told(found, "WARN")] == ["database"]
    assert {"settings", "database", "roles", "schema", "partitions", "clock", "listener", "vault"} <= {
        each["check"] for each in found if each["level"] == "OK"
    }
    assert of(found, "vault", "OK")[0].startswith("unsealed, and logged in by approle in ")
    assert run(whole).exit_code == 0
    assert run(whole, "--strict").exit_code == 1


def test_people_read_a_line_for_each_and_what_to_do(whole: dict[str, str]) -> None:
    lines = run(whole | {"IMRS_VAULT_ADR": "x"}).stdout.splitlines()
    assert "OK    settings    complete and well-formed" in lines
    place = lines.index("WARN  settings    IMRS_VAULT_ADR is no setting; nobody reads it")
    assert lines[place + 1].strip() == "Should it be IMRS_VAULT_ADDR?"


def test_without_an_environment_nothing_is_looked_at() -> None:
    found = findings({})
    assert {each["level"] for each in found} == {"SKIP"}


def test_what_is_missing_is_named_and_the_rest_is_looked_at(whole: dict[str, str]) -> None:
    found = findings({name: value for name, value in whole.items() if name != "IMRS_VAULT_ROLE_ID"})
    assert of(found, "settings", "FAIL") == ["IMRS_VAULT_ROLE_ID is needed"]
    assert of(found, "schema") == ["every migration is applied"]
    assert of(found, "vault") == []


def test_no_secret_is_ever_told(whole: dict[str, str]) -> None:
    hidden = "a%20hush%20of%20theirs"
    for dsn in (f"postgresql://ann:{hidden}@127.0.0.1:1/x", "postgresql://ann:a hush@127.0.0.1"):
        for more in ({}, {"IMRS_VAULT_ROLE_ID": ""}):
            dsns = {"IMRS_DATABASE_URL": dsn, "IMRS_LISTEN_DATABASE_URL": dsn}
            result = run(whole | dsns | more)
            assert (result.exit_code, "hush" in result.output) == (1, False)


def test_a_database_without_schema_or_months(
    whole: dict[str, str], empty_database: str, database: str
) -> None:
    found = findings(whole | {"IMRS_DATABASE_URL": empty_database})
    assert "migrations are missing" in of(found, "schema", "FAIL")[0]
    with psycopg.connect(database) as tx:
        later = datetime.now(UTC).replace(day=1) + timedelta(days=70)
        tx.execute(f"drop table decisions_{later:%Y_%m}")
    [late] = of(findings(whole), "partitions", "WARN")
    assert late == f"1 are missing, the first of decisions for {later:%Y-%m}"
    with psycopg.connect(database) as tx:
        tx.execute(f"drop table messages_{datetime.now(UTC):%Y_%m} cascade")
    assert of(findings(whole), "partitions", "FAIL") == [
        f"2 are missing, the first of messages for {datetime.now(UTC):%Y-%m}"
    ]


def test_a_login_that_may_not_act_as_the_roles(
    whole: dict[str, str], postgres_server: Cluster, database: str
) -> None:
    name = "doctor_stranger"
    with psycopg.connect(database, autocommit=True) as tx:
        tx.execute(f"create role {name} login password 'p'")
        tx.execute(f"grant select on schema_migrations to {name}")
    try:
        found = findings(whole | {"IMRS_DATABASE_URL": make_conninfo(database, user=name, password="p")})
        assert of(found, "roles", "FAIL") == [
            "the login may not act as imrs_app",
            "the login may not act as imrs_system",
        ]
    finally:
        with psycopg.connect(database, autocommit=True) as tx:
            tx.execute(f"drop owned by {name}")
            tx.execute(f"drop role {name}")


def test_a_listener_on_another_database_or_none(whole: dict[str, str], empty_database: str) -> None:
    [other] = of(findings(whole | {"IMRS_LISTEN_DATABASE_URL": empty_database}), "listener", "FAIL")
    assert "another database" in other
    away = "postgresql://u@127.0.0.1:1/x"
    assert of(findings(whole | {"IMRS_LISTEN_DATABASE_URL": away}), "listener", "FAIL")


def test_vault_sealed_away_or_not_letting_in(whole: dict[str, str], vault: Vault) -> None:
    assert of(findings(whole | {"IMRS_VAULT_SECRET_ID": "wrong"}), "vault", "FAIL") == [
        f"{vault.address} is forbidden"
    ]
    vault.server.seal()
    assert of(findings(whole), "vault", "FAIL") == [f"{vault.address} is sealed"]
    vault.server.unseal()
    assert of(findings(whole | {"IMRS_VAULT_ADDR": "http://127.0.0.1:1"}), "vault", "FAIL") == [
        "http://127.0.0.1:1 is unreachable"
    ]


def test_rights_that_a_vault_login_lacks(whole: dict[str, str]) -> None:
    found = findings(whole | {"IMRS_VAULT_MOUNT": "elsewhere"})
    [lacking] = [each for each in of(found, "vault", "FAIL") if "may not" in each]
    assert "create, read, update of elsewhere/data/llm/any" in lacking


def test_the_rights_that_are_looked_for_are_in_the_policy() -> None:
    granted = {
        path.replace("*", "any"): set(re.findall(r'"(\w+)"', rights))
        for path, rights in re.findall(r'path "secret/([^"]+)" \{ capabilities = \[(.*)\] \}', POLICY)
    }
    assert all(rights <= granted[path] for path, rights in vault_check.NEEDED.items())


@contextmanager
def listening() -> Iterator[int]:
    with socket.create_server((ALONE, 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_another_process_has(whole: dict[str, str]) -> None:
    with listening() as port:
        [taken] = of(findings(whole | {"IMRS_GRPC_ADDR": f"{ALONE}:{port}"}), "ports", "FAIL")
    assert f"process {os.getpid()}" in taken
    [free] = of(findings(whole | {"IMRS_GRPC_ADDR": f"{ALONE}:{port}"}), "ports")
    assert free == f"{ALONE}:{port} (IMRS_GRPC_ADDR) is free"


def test_a_port_that_a_server_of_ours_has(whole: dict[str, str], tmp_path: Path) -> None:
    with started(whole | {"IMRS_WORKERS": "2"}, tmp_path) as server:
        served = {
            "IMRS_GRPC_ADDR": server.address("server.started"),
            "IMRS_HTTP_ADDR": server.address("console.started"),
        }
        found = findings(whole | served)
    assert told(found, "FAIL") == []
    by = f"is served by process {server.process.pid} ("
    assert [by in line for line in of(found, "ports", "OK")] == [True, True]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"grpc_addr": "127.0.0.1:7", "http_addr": "127.0.0.1:7"}, ["are both 127.0.0.1:7"]),
        ({"grpc_addr": "0.0.0.0:0"}, ["speaks no TLS"]),
        ({"provider_no_proxy": "a.example"}, ["IMRS_PROVIDER_NO_PROXY is not read"]),
        ({"jwks_url": "https://a.example/keys", "jwks_file": "FILE"}, ["IMRS_JWKS_URL is not read"]),
        ({"vault_secret_id_file": "FILE"}, ["IMRS_VAULT_SECRET_ID is not read", "read by others"]),
        ({"vault_addr": "http://vault.example:8200"}, ["can be read on the way"]),
        ({"workers": "200"}, ["IMRS_WORKERS is 200", "200 workers take up to 3600 connections"]),
        ({"somabrain_token": "t"}, ["no IMRS_SOMABRAIN_URL"]),
    ],
)
def test_settings_that_contradict_each_other(
    whole: dict[str, str], tmp_path: Path, changes: dict[str, str], says: Sequence[str]
) -> None:
    file = tmp_path / "file"
    file.write_text("{}")
    file.chmod(0o644)
    changed = {f"IMRS_{name.upper()}": value.replace("FILE", str(file)) for name, value in changes.items()}
    found = findings(whole | changed)
    lines = [says for _, says in told(found, "WARN", "FAIL")]
    for each in says:
        assert any(each in line for line in lines), lines


def test_a_running_server_is_asked(database: str, vault: Vault, whole: dict[str, str]) -> None:
    with serving(database, vault) as service:
        address = {"IMRS_ADDRESS": service.app.address}
        found = findings(address | {"IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN)})
        assert told(found, "WARN", "FAIL") == []
        [seen] = of(found, "database", "OK")
        assert re.fullmatch(r"the server sees PostgreSQL \d+\.\d+ up, within \d+ ms", seen)
        assert "the server sees it up" in of(found, "vault", "OK")[0]
        assert [re.sub(r"\d+\.\d+ s (behind|ahead of)", "_", each) for each in of(found, "clock", "OK")] == [
            "the database's is _ the server's",
            "the server's is _ this machine's",
        ]
        assert of(found, "listener", "OK") == ["the server hears of changes at once"]
        [less] = of(findings(address | {"IMRS_TOKEN": service.token(Role.TENANT_ADMIN)}), "server")
        assert "no platform admin's" in less
    [away] = of(findings(address | {"IMRS_TOKEN": "t"}), "server", "WARN")
    assert away.startswith("no server answers at ")


def test_beside_a_server_of_which_only_addresses_are_known(database: str, vault: Vault) -> None:
    with serving(database, vault) as service:
        known = {
            "IMRS_GRPC_ADDR": service.app.address,
            "IMRS_HTTP_ADDR": f"{ALONE}:{free_port()}",
            "IMRS_METRICS_ADDR": "elsewhere.example:9464",
            "IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN),
        }
        found = findings(known)
    [grpc] = of(found, "ports", "OK")
    assert grpc.startswith(f"{service.app.address} (IMRS_GRPC_ADDR) is served by process ")
    assert of(found, "ports", "WARN") == [f"nobody serves on {known['IMRS_HTTP_ADDR']} (IMRS_HTTP_ADDR)"]


def free_port() -> int:
    with socket.create_server((ALONE, 0)) as found:
        port: int = found.getsockname()[1]
        return port


def test_a_worker_takes_no_more_connections_than_is_said(database: str) -> None:
    pools = Database(database)
    sizes = [pool.max_size for pool in (pools._app, pools._system)]
    assert sum(sizes) + 2 == looked_at.CONNECTIONS_A_WORKER


def test_no_variable_of_ours_is_taken_for_a_mistake(
    imrs: Callable[..., Result], whole: dict[str, str]
) -> None:
    known: dict[str, Any] = {f"IMRS_{name.upper()}": "" for name in Settings.model_fields}
    more = {
        "IMRS_TOKEN_AGENT": "t",
        "IMRS_TOKEN_PLATFORM_ADMIN": "t",
        "IMRS_TENANT_ID": "",
        "IMRS_TEST_DATABASE_URL": "",
    }
    assert not [says for says in of(findings(known | more | whole), "settings") if "no setting" in says]
