"""A database of the size that the specification names, made once a run, and servers on it.

100 providers, 50,000 models that agents use, 10,000 agents, 1,000,000 pairs of agent and model, four million
rows of evidence: ``population.sql``. Growth is measured between it and smaller ones.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from imrs_client.v1 import RouteRequest
from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import databases, migrate
from imrs_server.transport import tokens
from imrs_server.transport.tokens import Trust

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SECRET = "a secret of the benchmark of more than 32 bytes"
DATABASE = "imrs"
AGENTS = 10_000
TENANTS = 10
TASKS = 15
POPULATION = Path(__file__).with_name("population.sql")


@dataclass(frozen=True, slots=True)
class World:
    """``dsn`` is a superuser's, ``pid`` that of PostgreSQL's first process, which starts one a connection."""

    dsn: str
    pid: int

    @property
    def environment(self) -> Mapping[str, str]:
        """What a server on it needs; it takes any free port."""
        return server_environment(self.dsn)


@dataclass(frozen=True, slots=True)
class Agent:
    """One of the agents, by its number."""

    number: int

    @property
    def tenant_id(self) -> UUID:
        return UUID(f"11111111-1111-7111-8111-11111111111{self.number % TENANTS}")

    @property
    def agent_id(self) -> str:
        return f"agent-{self.number}"

    @property
    def token(self) -> str:
        return token(Role.AGENT, self.tenant_id, self.agent_id)

    def request(self, number: int) -> RouteRequest:
        """One of its requests: a task that is named and a capability that is asked for."""
        return RouteRequest(
            task_type=f"task-{number % TASKS}",
            required_capabilities=(["text"], ["text", "vision"], ["code"])[number % 3],
            estimated_prompt_tokens=500 + number % 4000,
        )


def server_environment(dsn: str) -> Mapping[str, str]:
    """The environment of a server on a database, with no Vault; it takes any free port."""
    return {
        **os.environ,
        "IMRS_GRPC_ADDR": "127.0.0.1:0",
        "IMRS_HTTP_ADDR": "127.0.0.1:0",
        "IMRS_METRICS_ADDR": "127.0.0.1:0",
        "IMRS_DATABASE_URL": dsn,
        # Nobody is there: what is measured needs no secret.
        "IMRS_VAULT_ADDR": "http://127.0.0.1:9",
        "IMRS_VAULT_ROLE_ID": "none",
        "IMRS_VAULT_SECRET_ID": "none",
        "IMRS_JWT_SECRETS": SECRET,
        "IMRS_LOG_LEVEL": "WARNING",
    }


def token(role: Role, tenant_id: UUID | None = None, agent_id: str | None = None) -> str:
    trust = Trust(secrets=(SECRET.encode(),))
    return tokens.issue(trust, roles=[role], subject="bench", tenant_id=tenant_id, agent_id=agent_id)


def agents(step: int) -> Iterator[Agent]:
    """Every so many-th agent."""
    return (Agent(number) for number in range(0, AGENTS, step))


def world(agents: int = AGENTS) -> World:
    """The one of this run with so many agents."""
    if agents not in _made:
        _made[agents] = _make(agents)
    return _made[agents]


def logged_decisions(made: World) -> int:
    """How many decisions the log has."""
    with psycopg.connect(made.dsn) as connection:
        found = connection.execute("select count(*) from decisions").fetchone()
    assert found is not None
    return int(found[0])


def close() -> None:
    """Take it away, where one was made."""
    _made.clear()
    _kept.close()


_made: dict[int, World] = {}
_kept = ExitStack()


def _make(agents: int) -> World:
    folder = _kept.enter_context(tempfile.TemporaryDirectory(prefix="imrs-bench-"))
    # Fewer checkpoints while the four million rows are made.
    settings = {"max_wal_size": "8GB", "maintenance_work_mem": "256MB"}
    postgres = _kept.enter_context(Postgres(Path(folder), settings=settings))
    databases.create(postgres.dsn, DATABASE)
    dsn = postgres.dsn_of(DATABASE)
    migrate.apply(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select set_config('bench.agents', %s, false)", [str(agents)])
        for statement in POPULATION.read_text(encoding="utf-8").split(";\n"):
            connection.execute(statement.encode())
    return World(dsn, postgres.pid)
