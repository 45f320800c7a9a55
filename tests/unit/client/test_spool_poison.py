"""Votes that the service fails at, each time or with all that goes with them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import grpc
import pytest
from google.rpc import status_pb2
from grpc_status import rpc_status

from imrs_client import FeedbackSpool, ImrsClient, v1
from imrs_client.spool_delivery import Delivery
from imrs_client.spool_store import SpoolError, Store
from tests.support.waiting import eventually
from tests.unit.client.conftest import status
from tests.unit.client.test_spool import BROKEN, Desk, client, desk, path

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["client", "desk", "path"]


def told(code: grpc.StatusCode) -> object:
    # As the service says it: not when to come back.
    return rpc_status.to_status(status_pb2.Status(code=code.value[0]))


def internal() -> object:
    return told(grpc.StatusCode.INTERNAL)


def test_a_vote_that_fails_a_whole_batch_takes_no_other_along(
    desk: Desk, client: ImrsClient, path: Path | None, caplog: pytest.LogCaptureFixture
) -> None:
    desk.poison = frozenset({"9"})
    spool = FeedbackSpool(client, path, tries=2)
    for number in range(20):
        spool.rate(str(number), 1.0)
    with spool:
        assert spool.flush(60) == 1
        found = spool.status
    assert (found.waiting, found.set_aside, found.delivered, found.refused) == (0, 1, 19, 0)
    assert sorted(desk.votes, key=int) == [str(number) for number in range(20) if number != 9]
    assert desk.batches[0] == desk.batches[1] == [str(number) for number in range(20)]
    assert "on message 9, is set aside: INTERNAL" in caplog.text


def test_what_is_set_aside_stays_in_the_file_and_is_tried_by_the_next(
    desk: Desk, client: ImrsClient, tmp_path: Path
) -> None:
    desk.poison = frozenset({"a"})
    spool = FeedbackSpool(client, tmp_path / "votes", tries=1)
    spool.rate("a", 0.1)
    spool.rate("b", 0.3)
    with spool:
        eventually(lambda: spool.status.set_aside == 1)
        assert spool.close(20) == 1
    desk.poison = frozenset()
    again = FeedbackSpool(client, tmp_path / "votes")
    again.rate("a", 0.2)
    assert (again.status.waiting, again.status.set_aside) == (2, 0)
    with again:
        assert again.flush(20) == 0
    assert [each.rating for each in desk.counted] == [0.3, 0.1, 0.2]


def test_what_is_set_aside_has_no_room_for_others(client: ImrsClient, desk: Desk) -> None:
    desk.poison = frozenset({"a"})
    with FeedbackSpool(client, capacity=2, tries=1) as spool:
        assert spool.rate("a", 1.0)
        assert spool.rate("b", 1.0)
        eventually(lambda: spool.status.set_aside == 1)
        desk.ill = BROKEN
        assert spool.rate("c", 1.0)
        assert not spool.rate("d", 1.0)
        assert spool.status.dropped == 1
        desk.ill = None


def test_a_vote_that_alone_is_answered_with_a_fault_is_set_aside(desk: Desk, client: ImrsClient) -> None:
    desk.errors["bad"] += [BROKEN] * 100
    with FeedbackSpool(client, tries=3) as spool:
        spool.rate("bad", 1.0)
        spool.rate("bad", 0.0)
        spool.rate("good", 1.0)
        eventually(lambda: spool.status.set_aside == 1, 20)
        assert desk.votes == ["good"]
        desk.errors["bad"].clear()
        eventually(lambda: spool.status.waiting == 0, 20)
    assert [(each.message_id, each.rating) for each in desk.counted] == [("good", 1.0), ("bad", 0.0)]


def test_a_fault_of_a_moment_costs_no_vote(desk: Desk, client: ImrsClient, path: Path | None) -> None:
    desk.away += [internal()] * 2
    spool = FeedbackSpool(client, path, tries=3)
    for number in range(5):
        spool.rate(str(number), 1.0)
    with spool:
        assert spool.flush(60) == 0
        assert (spool.status.delivered, spool.status.set_aside) == (5, 0)
    assert [len(each) for each in desk.batches] == [5] * 3


def test_what_the_file_has_no_room_to_set_aside_sends_no_other_twice(
    desk: Desk, client: ImrsClient, tmp_path: Path
) -> None:
    path = tmp_path / "votes"
    FeedbackSpool(client, path).close()
    with closing(sqlite3.connect(path)) as file:
        full = "begin select raise(abort, 'database or disk is full'); end"
        file.execute(f"create trigger full before insert on votes_aside {full}")
    desk.errors["bad"] += [BROKEN] * 100
    store = Store(path, sync=False)
    delivery = Delivery(client, store, refuse=lambda *_: None, patience_seconds=0, tries=1)

    def put(message_id: str) -> None:
        vote = v1.SubmitFeedbackRequest(message_id=message_id, rating=1.0, request_id=message_id)
        store.put(message_id, vote.SerializeToString())

    put("first")
    put("bad")
    assert delivery.step()
    put("second")
    with pytest.raises(SpoolError, match="is full"):
        delivery.step()
    assert (delivery.delivered, store.count, store.aside) == (2, 1, 0)
    assert desk.batches == [["first", "bad"], ["bad", "second"]]
    store.close()


@pytest.mark.parametrize("way", ["each vote", "each call"])
def test_while_the_service_fails_at_everything_no_vote_is_at_fault(
    desk: Desk, client: ImrsClient, way: str
) -> None:
    message_ids = ["a", "b"]
    if way == "each vote":
        desk.ill = BROKEN
    else:
        desk.poison = frozenset(message_ids)
    with FeedbackSpool(client, tries=1) as spool:
        for each in message_ids:
            spool.rate(each, 1.0)
        eventually(lambda: len(desk.batches) > 4)
        assert (spool.status.waiting, spool.status.set_aside) == (2, 0)
        desk.ill, desk.poison = None, frozenset()
        assert spool.flush(20) == 0
        assert (spool.status.delivered, spool.status.set_aside) == (2, 0)
    assert sorted(desk.votes) == message_ids


def test_a_vote_that_fails_while_there_is_no_other_is_tried_on_and_that_is_said_once(
    desk: Desk, client: ImrsClient, caplog: pytest.LogCaptureFixture
) -> None:
    faults = desk.errors["bad"]
    faults += [BROKEN] * 1000
    with FeedbackSpool(client, tries=2) as spool:
        spool.rate("bad", 1.0)
        eventually(lambda: len(faults) <= 996, 20)
        found = spool.status
        assert (found.waiting, found.set_aside) == (1, 0)
        assert "INTERNAL" in str(found.last_error)
        faults.clear()
        assert spool.flush(20) == 0
        assert caplog.text.count("on message bad, and takes no other") == 1
        # The service took one: should it fail again, that is news.
        faults += [BROKEN] * 2
        spool.rate("bad", 0.0)
        assert spool.flush(20) == 0
    assert caplog.text.count("on message bad, and takes no other") == 2


@pytest.mark.parametrize(
    ("code", "is_refusal"),
    [(grpc.StatusCode.INVALID_ARGUMENT, False), (grpc.StatusCode.PERMISSION_DENIED, True)],
)
def test_only_what_the_caller_must_mend_is_said_to_be_so(
    desk: Desk, client: ImrsClient, caplog: pytest.LogCaptureFixture, code: grpc.StatusCode, is_refusal: bool
) -> None:
    desk.away.append(told(code))
    with FeedbackSpool(client) as spool:
        spool.rate("a", 1.0)
        assert spool.flush(20) == 0
    assert ("no vote is taken from here" in caplog.text) == is_refusal


def test_what_is_divided_goes_on_when_the_service_is_back(desk: Desk, client: ImrsClient) -> None:
    """Away in the middle of the search for the vote at fault."""
    away = status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    desk.away += [internal(), away, away]
    spool = FeedbackSpool(client, tries=1)
    for number in range(8):
        spool.rate(str(number), 1.0)
    with spool:
        assert spool.flush(60) == 0
    assert [len(each) for each in desk.batches] == [8, 4, 4, 4, 4]
    assert desk.votes == [str(number) for number in range(8)]


def test_what_is_no_vote_holds_up_no_vote(
    desk: Desk, client: ImrsClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = FeedbackSpool(client, tmp_path / "votes")
    spool.rate("damaged", 1.0)
    spool.rate("good", 1.0)
    spool.close(0)
    with closing(sqlite3.connect(tmp_path / "votes")) as file:
        file.execute("update votes set request = x'ff' where message_id = 'damaged'")
        file.commit()
    with FeedbackSpool(client, tmp_path / "votes") as again:
        assert again.flush(20) == 1
        assert (again.status.delivered, again.status.set_aside) == (1, 1)
    assert desk.votes == ["good"]
    assert "on message damaged, is set aside" in caplog.text
