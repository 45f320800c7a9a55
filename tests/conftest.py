"""The real parts that tests run on: PostgreSQL and OpenBao, one of each per worker, started on demand."""

from __future__ import annotations

import http.client
import os
import shutil
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import structlog
from hypothesis import HealthCheck, settings

from imrs_server.cli import run_folder
from imrs_server.embedded.folder import remember_port
from imrs_server.embedded.openbao import OpenBao, RequestError
from imrs_server.embedded.postgres import Postgres
from tests.support import ports
from tests.support.cluster import Cluster, prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSIONS = (16, 18)
EXTERNAL = "IMRS_TEST_DATABASE_URL"
# For what three workers keep at a time.
ROOM_BYTES = 2 << 30
# What a server keeps of its log, and its shared memory: in its folder, where nothing outlives the run.
SETTINGS = {"max_wal_size": "256MB", "dynamic_shared_memory_type": "mmap"}

# Examples take the time that they need. `--hypothesis-profile=searching` looks for new ones, in CI too, where
# Hypothesis begins with a profile that does not.
settings.register_profile(
    "searching",
    settings.get_profile("default"),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# The same examples in every run: else a change may be refused for what it has nothing to do with.
settings.register_profile("steady", settings.get_profile("searching"), derandomize=True, database=None)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--postgres",
        type=int,
        choices=VERSIONS,
        default=max(VERSIONS),
        help="major version of PostgreSQL that the tests run on",
    )


def pytest_configure(config: pytest.Config) -> None:
    # In memory, where there is room: a database has seven hundred files, and most tests make one.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(run_folder.place(room_bytes=ROOM_BYTES)))
    log_plainly()
    config.addinivalue_line("markers", "both_postgres: run on the oldest and the newest PostgreSQL")
    config.addinivalue_line("markers", "long: takes many seconds; runs in `make test-long`")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    marked = metafunc.definition.get_closest_marker("both_postgres")
    if marked and "postgres_version" in metafunc.fixturenames:
        metafunc.parametrize("postgres_version", VERSIONS, indirect=True, ids="postgres{}".format)


def log_plainly() -> None:
    """As structlog does where nobody configures it, but for tracebacks: it would draw one for seconds."""
    structlog.reset_defaults()
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.fixture(autouse=True)
def unconfigured_logs() -> Iterator[None]:
    """Take back what a command under test did to the logs of this process."""
    yield
    log_plainly()


@pytest.fixture(scope="session")
def postgres_clusters(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[int], Cluster]]:
    """Answer the cluster of a major version; the server of the environment stands for the default one."""
    default: int = request.config.getoption("--postgres")
    with ExitStack() as stack:

        @cache
        def cluster(version: int) -> Cluster:
            dsn = os.environ.get(EXTERNAL) if version == default else None
            return stack.enter_context(prepared(dsn or stack.enter_context(embedded(version))))

        @contextmanager
        def embedded(version: int) -> Iterator[str]:
            folder = tmp_path_factory.mktemp(f"postgres{version}")
            server = Postgres(folder, version=version, durable=False, settings=SETTINGS)
            server.start()
            try:
                yield server.dsn
            finally:
                server.kill()
                shutil.rmtree(folder)

        yield cluster


@pytest.fixture
def postgres_version(request: pytest.FixtureRequest) -> int:
    """The major version this test runs on; mark a test `both_postgres` to have it run on each."""
    version: int = getattr(request, "param", request.config.getoption("--postgres"))
    return version


@pytest.fixture
def postgres_server(postgres_clusters: Callable[[int], Cluster], postgres_version: int) -> Cluster:
    return postgres_clusters(postgres_version)


@pytest.fixture(scope="session")
def postgres16(postgres_clusters: Callable[[int], Cluster]) -> Cluster:
    return postgres_clusters(16)


@pytest.fixture
def database(postgres_server: Cluster) -> Iterator[str]:
    """DSN of a fresh, migrated database; the user is a superuser."""
    with postgres_server.database() as dsn:
        yield dsn


@pytest.fixture
def empty_database(postgres_server: Cluster) -> Iterator[str]:
    """DSN of a fresh database without any migration."""
    with postgres_server.database(migrated=False) as dsn:
        yield dsn


@dataclass(frozen=True, slots=True, kw_only=True)
class Vault:
    """A running OpenBao and the credentials that IMRS gets; `server` seals, unseals, stops and starts it."""

    address: str
    role_id: str
    secret_id: str
    server: OpenBao


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    folder = tmp_path_factory.mktemp("openbao")
    with ports.held() as port:
        # Who kills it and starts it finds it where it was.
        remember_port(folder, port)
        server = OpenBao(folder)
        server.start()
        try:
            yield server
        finally:
            server.kill()
            shutil.rmtree(folder)


def credentials(server: OpenBao) -> Vault:
    return Vault(address=server.address, role_id=server.role_id, secret_id=server.secret_id, server=server)


@pytest.fixture(scope="module")
def shared_vault(openbao: OpenBao) -> Iterator[Vault]:
    """OpenBao for all tests of a module; what they keep there goes with the last of them."""
    yield credentials(openbao)
    clear(openbao, "llm/")


@pytest.fixture
def vault(openbao: OpenBao) -> Iterator[Vault]:
    """OpenBao, up, unsealed and without any key; a test may seal, stop or kill it."""
    yield credentials(openbao)
    if not openbao.running:
        openbao.stop()
        openbao.start()
    openbao.unseal()
    clear(openbao, "llm/")


def clear(server: OpenBao, prefix: str) -> None:
    """Delete every secret below a path, with all its versions."""
    try:
        listed = server.call("LIST", f"secret/metadata/{prefix}", token=server.root_token)
    except RequestError as error:
        if error.status != http.client.NOT_FOUND:
            raise
        return
    for name in listed["data"]["keys"]:
        path = f"{prefix}{name}"
        if name.endswith("/"):
            clear(server, path)
        else:
            server.call("DELETE", f"secret/metadata/{path}", token=server.root_token)


@pytest.fixture(scope="session")
def require_program() -> Callable[[str], Path]:
    """Answer where a program is, from the environment of the tests or the system.

    Without it the test is skipped; where CI=true it fails, so that nothing stays untested unnoticed.
    """
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

    def find(name: str) -> Path:
        found = shutil.which(name, path=places)
        if found is None:
            reason = f"the program {name} is not installed"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return Path(found)

    return find
