"""The spool against a played service, which says what it is told to say."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections import Counter, defaultdict, deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from imrs_client import FeedbackSpool, ImrsClient, SpoolError, v1
from imrs_client.ids import new_id
from tests.support.waiting import eventually
from tests.unit.client.conftest import status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_client import ImrsError

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


@dataclass
class Desk(v1.FeedbackServiceServicer):
    """Counts votes by their keys. ``away`` and ``errors`` (by message) hold what comes first.

    ``ill`` answers every vote while it is set; a batch with a vote of ``poison`` fails as a whole.
    """

    address: str = ""
    away: deque[Any] = field(default_factory=deque)
    errors: dict[str, deque[v1.ItemError]] = field(default_factory=lambda: defaultdict(deque))
    counted: list[v1.SubmitFeedbackRequest] = field(default_factory=list)
    batches: list[list[str]] = field(default_factory=list)
    lose_answers: int = 0
    poison: frozenset[str] = frozenset()
    ill: v1.ItemError | None = None
    hang: Event | None = None
    told: Event = field(default_factory=Event)
    counting: Lock = field(default_factory=Lock)

    def BatchSubmitFeedback(
        self, request: v1.BatchSubmitFeedbackRequest, context: grpc.ServicerContext
    ) -> v1.BatchSubmitFeedbackResponse:
        self.batches.append([each.message_id for each in request.requests])
        self.told.set()
        if self.hang is not None:
            self.hang.wait(20)
        if self.away:
            context.abort_with_status(self.away.popleft())
        if self.poison.intersection(each.message_id for each in request.requests):
            context.abort(grpc.StatusCode.INTERNAL, "in words")
        answers = [self._count(each) for each in request.requests]
        if self.lose_answers:
            self.lose_answers -= 1
            context.abort_with_status(status(UNAVAILABLE, "DATABASE_UNAVAILABLE"))
        return v1.BatchSubmitFeedbackResponse(feedback=answers)

    def _count(self, request: v1.SubmitFeedbackRequest) -> v1.Feedback:
        if self.ill is not None:
            return v1.Feedback(error=self.ill)
        waiting = self.errors[request.message_id]
        if waiting:
            return v1.Feedback(error=waiting.popleft())
        with self.counting:
            if request.request_id not in {each.request_id for each in self.counted}:
                self.counted.append(request)
        return v1.Feedback(message_id=request.message_id)

    @property
    def votes(self) -> list[str]:
        return [each.message_id for each in self.counted]


@pytest.fixture
def desk() -> Iterator[Desk]:
    played = Desk()
    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    v1.add_FeedbackServiceServicer_to_server(played, server)
    played.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield played
    if played.hang is not None:
        played.hang.set()
    server.stop(None).wait()


@pytest.fixture
def client(desk: Desk) -> Iterator[ImrsClient]:
    # The client's own repeats would hide what the spool does.
    options = (("grpc.enable_retries", 0), ("grpc.max_reconnect_backoff_ms", 200))
    with ImrsClient(desk.address, token="t", options=options) as opened:
        yield opened


def item(code: grpc.StatusCode, reason: str) -> v1.ItemError:
    return v1.ItemError(code=code.value[0], reason=reason, message="in words")


NOT_KNOWN = item(grpc.StatusCode.NOT_FOUND, "MESSAGE_NOT_FOUND")
MALFORMED = item(grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
BROKEN = item(grpc.StatusCode.INTERNAL, "INTERNAL")
NO_DATABASE = item(UNAVAILABLE, "DATABASE_UNAVAILABLE")


@pytest.fixture(params=["memory", "disk"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path | None:
    return tmp_path / "votes" if request.param == "disk" else None


def test_votes_arrive_once_with_all_that_was_said(desk: Desk, client: ImrsClient, path: Path | None) -> None:
    before = time.time_ns()
    with FeedbackSpool(client, path) as spool:
        assert spool.rate("a", 0.5, user_id="u", comment="fine")
        assert spool.rate("b", signal=v1.Feedback.COPY)
        assert spool.submit(v1.SubmitFeedbackRequest(message_id="c", rating=1.0, request_id="mine"))
        assert spool.flush(20) == 0
        assert spool.status.delivered == 3
    first, second, third = desk.counted
    assert (first.message_id, first.rating, first.user_id, first.comment) == ("a", 0.5, "u", "fine")
    assert (second.message_id, second.signal, third.request_id) == ("b", v1.Feedback.COPY, "mine")
    assert before < first.event_time.ToNanoseconds() + 1000 <= time.time_ns() + 1000
    assert len({each.request_id for each in desk.counted}) == 3


def test_what_was_given_later_is_never_dated_earlier(desk: Desk, client: ImrsClient) -> None:
    with FeedbackSpool(client) as spool:
        for _ in range(50):
            assert spool.rate("a", 1.0)
        assert spool.flush(20) == 0
    times = [each.event_time.ToNanoseconds() for each in desk.counted]
    assert times == sorted(set(times))


def test_the_message_of_the_caller_is_not_touched(client: ImrsClient) -> None:
    request = v1.SubmitFeedbackRequest(message_id="a", rating=1.0)
    with FeedbackSpool(client) as spool:
        spool.submit(request)
    assert request == v1.SubmitFeedbackRequest(message_id="a", rating=1.0)


def test_what_piled_up_goes_in_batches(desk: Desk, client: ImrsClient, path: Path | None) -> None:
    spool = FeedbackSpool(client, path, sync=False)
    for number in range(1203):
        assert spool.rate(str(number), 1.0)
    with spool:
        assert spool.flush(20) == 0
    assert [len(each) for each in desk.batches] == [500, 500, 203]
    assert desk.votes == [str(number) for number in range(1203)]


def test_batches_are_bounded_in_bytes_too(desk: Desk, client: ImrsClient) -> None:
    spool = FeedbackSpool(client)
    for number in range(60):
        assert spool.rate(str(number), 1.0, comment="x" * 40_000)
    with spool:
        assert spool.flush(20) == 0
    assert [len(each) for each in desk.batches] == [26, 26, 8]
    assert len(desk.votes) == 60


def test_while_the_service_is_away_votes_wait_and_a_lost_answer_counts_once(
    desk: Desk, client: ImrsClient, path: Path | None
) -> None:
    desk.away += [status(UNAVAILABLE, "DATABASE_UNAVAILABLE")]
    desk.lose_answers = 1
    with FeedbackSpool(client, path) as spool:
        spool.rate("a", 1.0)
        assert desk.told.wait(20)
        spool.rate("b", 1.0)
        assert spool.flush(20) == 0
        error = spool.status.last_error
    assert Counter(desk.votes) == {"a": 1, "b": 1}
    # RetryInfo of the played status says 1.5 s: it is honoured.
    assert getattr(error, "retry_after_seconds", None) == 1.5
    # Once while it is away, once for the lost answer; the second vote may have been too late for that one.
    assert 3 <= len(desk.batches) <= 5


def test_refused_votes_leave_and_are_told_the_others_count(desk: Desk, client: ImrsClient) -> None:
    refused: list[tuple[str, str]] = []

    def told(request: v1.SubmitFeedbackRequest, error: ImrsError) -> None:
        refused.append((request.message_id, error.reason))
        raise RuntimeError("of the caller")

    desk.errors["bad"].append(MALFORMED)
    spool = FeedbackSpool(client, on_refused=told, patience_seconds=0)
    for message_id in ("a", "bad", "b"):
        spool.rate(message_id, 1.0)
    with spool:
        assert spool.flush(20) == 0
        assert (spool.status.delivered, spool.status.refused) == (2, 1)
    assert refused == [("bad", "INVALID_REQUEST")]
    assert desk.votes == ["a", "b"]


def test_a_message_that_comes_late_still_gets_its_vote(desk: Desk, client: ImrsClient) -> None:
    desk.errors["late"] += [NOT_KNOWN, NOT_KNOWN]
    with FeedbackSpool(client) as spool:
        spool.rate("late", 1.0)
        assert spool.flush(20) == 0
        assert (spool.status.delivered, spool.status.refused) == (1, 0)


def test_a_message_that_never_comes_is_given_up(desk: Desk, client: ImrsClient) -> None:
    desk.errors["never"] += [NOT_KNOWN] * 100
    with FeedbackSpool(client, patience_seconds=0.3) as spool:
        spool.rate("never", 1.0)
        assert spool.flush(20) == 0
        assert (spool.status.delivered, spool.status.refused) == (0, 1)
    assert 1 < len(desk.batches) < 10


def test_votes_on_one_message_keep_their_order_through_failures(desk: Desk, client: ImrsClient) -> None:
    desk.errors["m"] += [BROKEN, NOT_KNOWN]
    spool = FeedbackSpool(client)
    for rating in (0.1, 0.2, 0.3):
        spool.rate("m", rating)
    spool.rate("other", 0.9)
    with spool:
        assert spool.flush(20) == 0
    assert [each.rating for each in desk.counted if each.message_id == "m"] == [0.1, 0.2, 0.3]
    # What fails holds up nobody else.
    assert desk.votes[0] == "other"


def test_what_is_away_for_one_is_away_for_all(desk: Desk, client: ImrsClient) -> None:
    desk.errors["a"].append(NO_DATABASE)
    with FeedbackSpool(client) as spool:
        spool.rate("a", 1.0)
        assert spool.flush(20) == 0
        assert spool.status.delivered == 1


def test_a_token_without_the_right_keeps_the_votes(desk: Desk, client: ImrsClient) -> None:
    desk.away.append(status(grpc.StatusCode.PERMISSION_DENIED, "ROLE_REQUIRED"))
    with FeedbackSpool(client) as spool:
        spool.rate("a", 1.0)
        assert spool.flush(20) == 0
    assert desk.votes == ["a"]


def test_no_more_than_its_capacity_is_kept(client: ImrsClient, path: Path | None) -> None:
    spool = FeedbackSpool(client, path, capacity=2)
    assert [spool.rate(name, 1.0) for name in "abc"] == [True, True, False]
    assert (spool.status.waiting, spool.status.dropped) == (2, 1)
    spool.close()


def test_what_no_service_takes_is_said_at_once(client: ImrsClient) -> None:
    with FeedbackSpool(client) as spool:
        with pytest.raises(ValueError, match="too large"):
            spool.rate("a", 1.0, comment="x" * 70_000)
        assert spool.status.waiting == 0
    with pytest.raises(ValueError, match="closed"):
        spool.rate("a", 1.0)


def test_what_is_left_at_the_end_is_there_for_the_next(
    desk: Desk, client: ImrsClient, tmp_path: Path
) -> None:
    desk.away += [status(UNAVAILABLE, "DATABASE_UNAVAILABLE")] * 100
    spool = FeedbackSpool(client, tmp_path / "votes")
    spool.start()
    spool.rate("a", 1.0)
    spool.rate("a", 0.0)
    assert spool.close(timeout_seconds=0.1) == 2
    desk.away.clear()
    with FeedbackSpool(client, tmp_path / "votes") as again:
        assert again.flush(20) == 0
    assert [each.rating for each in desk.counted] == [1.0, 0.0]
    assert FeedbackSpool(client, tmp_path / "votes").close() == 0


def test_closing_does_not_wait_for_a_service_that_hangs(desk: Desk, client: ImrsClient) -> None:
    desk.hang = Event()
    spool = FeedbackSpool(client)
    spool.start()
    spool.rate("a", 1.0)
    assert desk.told.wait(20)
    start = time.monotonic()
    assert spool.close(timeout_seconds=0.2) == 1
    assert time.monotonic() - start < 15  # it hangs for 20 s


def test_closing_sends_what_waits(desk: Desk, client: ImrsClient) -> None:
    spool = FeedbackSpool(client)
    for number in range(2000):
        spool.rate(str(number), 1.0)
    spool.start()
    assert spool.close(timeout_seconds=30) == 0
    assert len(desk.votes) == 2000


def test_votes_from_many_threads_all_arrive(desk: Desk, client: ImrsClient, path: Path | None) -> None:
    with FeedbackSpool(client, path, sync=False) as spool:
        threads = [
            Thread(target=lambda: [spool.rate(str(new_id()), 1.0) for _ in range(100)]) for _ in range(8)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert spool.flush(20) == 0
    assert len(set(desk.votes)) == len(desk.votes) == 800


def test_one_process_a_file(client: ImrsClient, tmp_path: Path) -> None:
    spool = FeedbackSpool(client, tmp_path / "votes")
    code = (
        "import sys; from imrs_client.spool_store import Store, SpoolError\n"
        "try: Store(sys.argv[1], sync=False)\n"
        "except SpoolError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "votes")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "another process uses it" in said
    with pytest.raises(SpoolError, match="another process uses it"):
        FeedbackSpool(client, tmp_path / "votes")
    spool.close()
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == ""


def test_a_file_that_is_no_spool_is_left_alone(client: ImrsClient, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database " * 100)
    with pytest.raises(SpoolError, match="it is no spool"):
        FeedbackSpool(client, tmp_path / "text")
    other = sqlite3.connect(tmp_path / "other")
    other.execute("create table theirs (n)")
    other.close()
    before = (tmp_path / "other").read_bytes()
    with pytest.raises(SpoolError, match="of another program"):
        FeedbackSpool(client, tmp_path / "other")
    assert (tmp_path / "other").read_bytes() == before
    with pytest.raises(SpoolError, match="No such file or directory"):
        FeedbackSpool(client, tmp_path / "missing" / "votes")


FULL = """
import resource, sys
from imrs_client.spool_store import SpoolError, Store
store, kept = Store(sys.argv[1], sync=True), 0
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
try:
    while kept < 10_000:
        store.put("m", b"x" * 500)
        kept += 1
except SpoolError as error:
    print(kept, store.count, error)
"""


def test_a_file_that_cannot_grow_says_so_and_loses_nothing(client: ImrsClient, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(tmp_path / "votes")]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    kept, count, error = said.split(maxsplit=2)
    assert int(kept) == int(count) > 0
    assert "disk I/O error" in error
    spool = FeedbackSpool(client, tmp_path / "votes")
    assert spool.status.waiting == int(kept)
    spool.close()


def test_only_the_owner_reads_the_file(client: ImrsClient, tmp_path: Path) -> None:
    spool = FeedbackSpool(client, tmp_path / "votes")
    spool.rate("a", 1.0)
    assert {oct(each.stat().st_mode & 0o777) for each in tmp_path.iterdir()} == {"0o600"}
    spool.close()


def test_what_waits_wakes_up_when_the_service_comes(desk: Desk, client: ImrsClient) -> None:
    """A vote that is held back does not hold up new ones, and goes when it is due."""
    desk.errors["held"] += [BROKEN] * 1000
    with FeedbackSpool(client) as spool:
        spool.rate("held", 1.0)
        eventually(lambda: bool(desk.batches))
        spool.rate("new", 1.0)
        eventually(lambda: "new" in desk.votes)
        desk.errors["held"].clear()
        assert spool.flush(20) == 0
    assert desk.votes == ["new", "held"]
