"""How a replica follows the service: changes, silence, and streams that break."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING

import grpc
import pytest

from imrs_client import (
    ImrsClient,
    NotFound,
    Replica,
    v1,
)
from imrs_server.transport.convert import snapshots
from imrs_server.transport.convert.snapshots import Head
from tests.support.tables import candidate, table
from tests.support.waiting import eventually
from tests.unit.client.conftest import status
from tests.unit.client.replica.conftest import BASE, TURNED, Played
from tests.unit.transport.test_snapshots import DELTA, FULL, HEARTBEAT, content

if TYPE_CHECKING:
    from imrs_client.local_decision import LocalDecision


def test_changes_arrive(played: Played, replica: Replica) -> None:
    assert replica.route(task_type="code").selected.model_id == "p/good"
    played.say(Head(kind=DELTA, revision=7, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(7, 20)
    made = replica.route(task_type="code")
    assert (made.selected.model_id, made.index_revision) == ("q/fair", 7)


def test_half_a_revision_decides_nothing(
    played: Played, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "CHUNK_BYTES", 1000)
    large = content({"*": table(*[candidate(f"p/m{number}") for number in range(50)])})
    head = Head(kind=FULL, revision=8, fingerprint=large.fingerprint)
    *first, last = [v1.AgentSnapshot.FromString(each) for each in snapshots.chunks(head, large.whole)]
    assert len(first) > 1
    for each in first:
        played.said.put(each)
    played.say(Head(kind=HEARTBEAT, revision=6, base_revision=5))
    assert replica.wait_for_revision(6, 20)
    assert replica.route().candidates_total == 2
    played.said.put(last)
    assert replica.wait_for_revision(8, 20)
    assert replica.route().candidates_total == 50


def test_silence_makes_stale_and_a_heartbeat_fresh(played: Played, client: ImrsClient) -> None:
    played.say_whole()
    with Replica(client, report=False, stale_after_seconds=0.3) as replica:
        replica.wait_until_ready(20)
        eventually(lambda: replica.route().stale)
        made = replica.route()
        assert made.age_seconds > 0.3
        assert made.selected.model_id == "p/good"
        assert made.to_proto().stale

        def fresh() -> bool:
            """It is, for a moment after each heartbeat."""
            played.say(Head(kind=HEARTBEAT, revision=6, base_revision=5, fingerprint=BASE.fingerprint))
            return not replica.route().stale

        eventually(fresh)
        assert replica.route().index_revision == 6


def test_a_server_that_may_have_missed_changes_says_so(played: Played, replica: Replica) -> None:
    age_seconds = replica.route().age_seconds
    played.say(Head(kind=HEARTBEAT, revision=5, base_revision=5, stale=True, fingerprint=BASE.fingerprint))
    eventually(lambda: replica.route().stale)
    assert replica.status.stale
    # It vouched for nothing, so the age goes on.
    assert replica.route().age_seconds > age_seconds


def test_a_stream_that_broke_goes_on_where_it_was(played: Played, replica: Replica) -> None:
    played.said.put(status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE"))
    eventually(lambda: len(played.watched) == 2)
    first, second = played.watched
    assert (first.from_revision, first.from_fingerprint) == (0, b"")
    assert (second.from_revision, second.from_fingerprint) == (5, BASE.fingerprint)
    played.say(Head(kind=DELTA, revision=7, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(7, 20)
    assert str(replica.status.last_error).startswith("DATABASE_UNAVAILABLE")
    assert replica.status.connected


def test_what_does_not_fit_makes_it_ask_for_the_whole(played: Played, replica: Replica) -> None:
    played.say(Head(kind=DELTA, revision=9, base_revision=8, fingerprint=b"x"), TURNED.since(BASE))
    eventually(lambda: len(played.watched) == 2)
    assert played.watched[1].from_revision == 0
    assert replica.route().index_revision == 5
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9, 20)


def test_what_cannot_be_read_makes_it_ask_for_the_whole(played: Played, replica: Replica) -> None:
    broken = v1.AgentSnapshot(
        kind=DELTA,
        revision=6,
        base_revision=5,
        last_chunk=True,
        tables=[v1.SnapshotTable(task_type="*", numbers=[99], priority_terms=[1.0], experience_terms=[1.0])],
    )
    replica.route(task_type="code")
    played.said.put(broken)
    eventually(lambda: len(played.watched) == 2)
    assert played.watched[1].from_revision == 0
    assert replica.route(task_type="code").index_revision == 5
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9, 20)


def test_a_token_that_cannot_be_had_is_asked_for_again(
    played: Played, caplog: pytest.LogCaptureFixture
) -> None:
    failures = [OSError("no token today")] * 3

    def token() -> str:
        if failures:
            raise failures.pop()
        return "t"

    played.say_whole()
    with ImrsClient(played.address, token=token) as client, Replica(client, report=False) as replica:
        replica.wait_until_ready(20)
        assert str(replica.status.last_error) == "no token today"
    told = [each.message for each in caplog.records if each.name == "imrs_client.watching"]
    assert told == ["agent '' cannot be watched, it is tried again: no token today"]


def test_an_agent_that_is_gone_is_not_found_until_it_is_back(played: Played, replica: Replica) -> None:
    played.said.put(status(grpc.StatusCode.NOT_FOUND, "AGENT_NOT_FOUND", agent_id="bot"))
    eventually(lambda: len(played.watched) == 2)
    with pytest.raises(NotFound) as raised:
        replica.route()
    assert (raised.value.reason, raised.value.metadata) == ("AGENT_NOT_FOUND", {"agent_id": "bot"})
    played.say_whole(TURNED, 9)
    assert replica.wait_for_revision(9, 20)
    assert played.watched[-1].from_revision == 0
    assert replica.route().selected.model_id == "q/fair"


def test_threads_share_one_replica_while_it_changes(played: Played, replica: Replica) -> None:
    wrong: list[LocalDecision] = []
    answers = {5: "p/good", 6: "q/fair", 7: "p/good"}

    def work() -> None:
        while (made := replica.route(task_type="code")).index_revision < 7:
            if made.selected.model_id != answers[made.index_revision]:
                wrong.append(made)

    threads = [Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    played.say(Head(kind=DELTA, revision=6, base_revision=5, fingerprint=b"x"), TURNED.since(BASE))
    assert replica.wait_for_revision(6, 20)
    played.say(Head(kind=DELTA, revision=7, base_revision=6, fingerprint=b"y"), BASE.since(TURNED))
    for each in threads:
        each.join()
    assert not wrong
