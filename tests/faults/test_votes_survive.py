"""Votes through kills of the server and outages of the database: acknowledged is there, and there once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import grpc
import psycopg
import pytest

from imrs_client.errors import ImrsError
from imrs_client.ids import new_id
from imrs_client.v1 import Feedback, FeedbackServiceStub, SubmitFeedbackRequest
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

    from imrs_client import ImrsClient
    from tests.conftest import Vault

KILLS = 4
CALLERS = 8
BEFORE_A_KILL = 60
# The server answers when nine tenths of it are over at the latest: the rest is for a machine that is busy.
DEADLINE_SECONDS = 15


@dataclass
class Voters:
    """Callers who vote on fresh ids, each with a key, and note which votes were acknowledged."""

    token: str
    sent: list[SubmitFeedbackRequest] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)
    """Which feedback_id each request_id got."""

    def vote(self, client: ImrsClient, request: SubmitFeedbackRequest) -> bool:
        try:
            stored = client.feedback.SubmitFeedback(request)
        except ImrsError:
            return False
        before = self.acknowledged.setdefault(request.request_id, stored.feedback_id)
        assert before == stored.feedback_id, "the same key got another vote"
        return True

    def keep_voting(self, address: str, stop: threading.Event) -> None:
        with patience.client(address, self.token) as client:
            while not stop.is_set():
                request = SubmitFeedbackRequest(
                    message_id=str(new_id()), signal=Feedback.THUMBS_UP, request_id=str(new_id())
                )
                self.sent.append(request)
                if not self.vote(client, request):
                    return

    def repeat(self, client: ImrsClient) -> None:
        """Hand in everything once more, as whoever got no answer does."""
        for request in self.sent:
            assert self.vote(client, request)


def stored(dsn: str) -> dict[str, str]:
    """Message to vote; fails where a message has two."""
    with psycopg.connect(dsn) as connection:
        rows = connection.execute("select message_id::text, feedback_id::text from feedback").fetchall()
    assert len(rows) == len(dict(rows))
    return dict(rows)


def test_killed_with_votes_in_flight_nothing_acknowledged_is_lost_or_counted_twice(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with serving(database, vault) as service:
        voters = Voters(service.token(Role.TENANT_ADMIN))
        for _ in range(KILLS):
            killed_under_load(service, voters, tmp_path)
            rows = stored(database)
            by_key = {each.request_id: each.message_id for each in voters.sent}
            for request_id, feedback_id in voters.acknowledged.items():
                assert rows[by_key[request_id]] == feedback_id
        with patience.client(service.app.address, voters.token) as client:
            voters.repeat(client)
    assert len(voters.sent) >= KILLS * BEFORE_A_KILL
    assert stored(database) == {each.message_id: voters.acknowledged[each.request_id] for each in voters.sent}


def killed_under_load(service: Service, voters: Voters, folder: Path) -> None:
    """Kill a server of its own, with SIGKILL, while votes are in flight."""
    enough = len(voters.acknowledged) + BEFORE_A_KILL
    stop = threading.Event()
    with child(service.settings, folder) as (process, address), ThreadPoolExecutor(CALLERS) as pool:
        calls = [pool.submit(voters.keep_voting, address, stop) for _ in range(CALLERS)]
        with suppress(AssertionError):
            eventually(lambda: len(voters.acknowledged) >= enough, 30)
        process.kill()
        stop.set()
    for each in calls:
        each.result()
    assert len(voters.acknowledged) >= enough


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[Postgres]:
    with Postgres(tmp_path / "postgres", durable=False) as found:
        yield found


def test_while_the_database_is_away_votes_fail_in_time_and_then_they_count(
    postgres: Postgres, vault: Vault
) -> None:
    databases.create(postgres.dsn, "imrs")
    dsn = postgres.dsn_of("imrs")
    migrate.apply(dsn)
    with serving(dsn, vault) as service:
        with psycopg.connect(dsn) as connection:
            schema.insert(connection, "agents", tenant_id=UUID(str(service.tenant_id)))
        voters = Voters(service.token(Role.TENANT_ADMIN))
        client = service.tenant
        requests = [
            SubmitFeedbackRequest(message_id=str(new_id()), signal=Feedback.COPY, request_id=str(new_id()))
            for _ in range(CALLERS * 4)
        ]
        voters.sent += requests
        postgres.kill()
        with grpc.insecure_channel(service.app.address) as channel:
            # Without the client's repeats, which would use up the deadline.
            metadata = (("authorization", f"Bearer {voters.token}"),)
            submit = FeedbackServiceStub(channel).SubmitFeedback
            calls = [submit.future(each, metadata=metadata, timeout=DEADLINE_SECONDS) for each in requests]
            assert {each.code() for each in calls} == {grpc.StatusCode.UNAVAILABLE}
        postgres.start()
        eventually(lambda: voters.vote(client, requests[0]))
        voters.repeat(client)
        assert len(stored(dsn)) == len(requests)
