"""A spool of votes through kills of the server and of its own process, and outages of the database."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest

from imrs_client import FeedbackSpool
from imrs_client.ids import new_id
from imrs_client.v1 import (
    BatchRecordMessagesRequest,
    ListPerformanceRequest,
    Message,
    RecordMessageRequest,
)
from imrs_server.domain.principal import Role
from imrs_server.embedded.postgres import Postgres
from imrs_server.storage import databases, migrate
from tests.support import patience, schema
from tests.support.child import child
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault

MESSAGES = 500
A_BATCH = 50
ARRIVED = 100
AFTER_THE_KILL = 100

# Votes on each message that it is given, and says so once the vote is kept.
VOTER = """
import sys
from imrs_client import FeedbackSpool, ImrsClient
address, token, path = sys.argv[1:]
with ImrsClient(address, token=token) as client, FeedbackSpool(client, path) as spool:
    for line in sys.stdin:
        spool.rate(line.strip(), 1.0)
        print(line, end="", flush=True)
"""


def recorded(service: Service, dsn: str, count: int) -> list[str]:
    """Ids of messages that an agent has recorded."""
    tenant_id = UUID(str(service.tenant_id))
    with psycopg.connect(dsn) as connection:
        schema.insert(connection, "providers")
        schema.insert(connection, "models")
        schema.insert(connection, "agents", tenant_id=tenant_id)
    messages = [
        Message(message_id=str(new_id()), agent_id="a", model_id="p/m", task_type="code")
        for _ in range(count)
    ]
    requests = [RecordMessageRequest(message=each) for each in messages]
    record = service.tenant.feedback.BatchRecordMessages
    for start in range(0, count, A_BATCH):
        answer = record(BatchRecordMessagesRequest(requests=requests[start : start + A_BATCH]))
        assert not any(each.HasField("error") for each in answer.messages)
    return [each.message_id for each in messages]


def voted(dsn: str) -> list[str]:
    """The message of each vote."""
    with psycopg.connect(dsn) as connection:
        return [found for (found,) in connection.execute("select message_id::text from feedback")]


def learned(service: Service) -> float:
    """How many ratings the service has learned from."""
    request = ListPerformanceRequest(model_id="p/m", task_type="code")
    return sum(each.rating_count for each in service.tenant.feedback.ListPerformance(request).performance)


def test_server_and_client_killed_every_spooled_vote_counts_exactly_once(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    spool_path = tmp_path / "votes"
    with serving(database, vault) as service:
        message_ids = recorded(service, database, MESSAGES)
        token = service.token(Role.AGENT, agent_id="a")
        with child(service.settings, tmp_path) as (server, address):
            voter = subprocess.Popen(
                [sys.executable, "-c", VOTER, address, token, str(spool_path)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert voter.stdin is not None
            assert voter.stdout is not None
            waiting = iter(message_ids)
            kept: list[str] = []

            def vote() -> None:
                assert voter.stdin is not None
                assert voter.stdout is not None
                print(next(waiting), file=voter.stdin, flush=True)
                kept.append(voter.stdout.readline().strip())

            def votes_arrive() -> bool:
                if len(kept) < MESSAGES - AFTER_THE_KILL:
                    vote()
                return len(voted(database)) >= ARRIVED

            eventually(votes_arrive, 60)
            server.kill()
            server.wait()
            before = len(voted(database))
            for _ in range(AFTER_THE_KILL):
                vote()
            voter.kill()
            voter.communicate()
        assert kept == message_ids[: len(kept)]
        assert before < len(kept)
        with child(service.settings, tmp_path) as (_, address), patience.client(address, token) as client:
            spool = FeedbackSpool(client, spool_path)
            # What the last answer of the first server did not reach is sent again, and counts once.
            assert spool.status.waiting >= AFTER_THE_KILL
            with spool:
                assert spool.flush(60) == 0
                assert (spool.status.refused, spool.status.dropped) == (0, 0)
        assert sorted(voted(database)) == sorted(kept)
        eventually(lambda: learned(service) == len(kept))


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    # Durable: what it has acknowledged must outlive its kill.
    with Postgres(tmp_path / "postgres") as found:
        yield found


def test_votes_wait_for_the_database(postgres: Postgres, vault: Vault) -> None:
    databases.create(postgres.dsn, "imrs")
    dsn = postgres.dsn_of("imrs")
    migrate.apply(dsn)
    with serving(dsn, vault) as service:
        message_ids = recorded(service, dsn, 60)
        with FeedbackSpool(service.agent("a")) as spool:
            for each in message_ids[:20]:
                assert spool.rate(each, 1.0)
            assert spool.flush(20) == 0
            postgres.kill()
            for each in message_ids[20:]:
                assert spool.rate(each, 0.0)
            eventually(lambda: "DATABASE_UNAVAILABLE" in str(spool.status.last_error))
            assert spool.status.waiting == 40
            postgres.start()
            assert spool.flush(60) == 0
        assert sorted(voted(dsn)) == sorted(message_ids)
        eventually(lambda: learned(service) == len(message_ids))
