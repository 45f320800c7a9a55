"""Rows of a history: how they are read, and what becomes of what they leave out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client import ImrsError, NotFound, Unavailable
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.cli.history import columns
from imrs_server.cli.history.columns import Header, HeaderError, Problem
from imrs_server.cli.history.delivery import Delivery
from imrs_server.cli.history.rows import Call, Names, Reader
from imrs_server.cli.history.table import Rejects, Source

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
NOON = datetime(2026, 1, 14, 12, tzinfo=UTC)
ROW = {"model_id": "p/m", "agent_id": "a", "event_time": "2026-01-14T12:00:00Z"}


def reader() -> Reader:
    return Reader(Names(agent=str, model=str), NOW)


def read(**row: str) -> Call:
    found = reader().read(2, (), {**ROW, **row})
    assert found is not None
    return found


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-14T12:00:00Z",
        "2026-01-14 12:00:00",
        "2026-01-14 13:00:00.000000+01",
        "20260114T120000Z",
        "1768392000",
        "1768392000.000",
    ],
)
def test_times_are_iso_8601_or_seconds(text: str) -> None:
    assert columns.time(text) == NOON


@pytest.mark.parametrize(
    ("text", "names"),
    [('["a", "b"]', ["a", "b"]), ("a, b", ["a", "b"]), ("a|b", ["a", "b"]), ("a", ["a"]), ("[]", [])],
)
def test_tools_are_a_json_list_or_words(text: str, names: list[str]) -> None:
    assert list(read(tools_used=text).message.message.tools_used) == names


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rating", "1.01"),
        ("rating", "nan"),
        ("latency_ms", "fast"),
        ("latency_ms", "-1"),
        ("prompt_tokens", "3000000000"),
        ("cached_tokens", "5"),
        ("tools_used", "[1]"),
        ("tools_used", "[" * 100_000),
        ("metadata", "[]"),
        ("event_time", "1969-12-31T00:00:00Z"),
        ("event_time", "2026-11-22"),
        ("feedback_time", "2026-11-22"),
        ("signal", "LIKE"),
        ("outcome", "OUTCOME"),
        ("task_type", "Code"),
        ("decision_id", "7"),
        ("user_id", "x" * 300),
    ],
)
def test_a_value_that_cannot_be_names_its_field(field: str, value: str) -> None:
    with pytest.raises(Problem) as caught:
        read(**{"rating": "1", field: value})
    assert caught.value.field == field


def test_a_signal_may_come_with_the_rating_that_it_stands_for_and_no_other() -> None:
    vote = read(signal="copy", rating="1.0", feedback_type="implicit").vote
    assert vote is not None
    assert (vote.HasField("rating"), vote.signal) == (False, pb.Feedback.Signal.COPY)
    with pytest.raises(Problem, match="must be unset: the signal COPY carries one"):
        read(signal="copy", rating="0.9")


def test_times_and_tokens_stand_in_for_each_other() -> None:
    later = "2026-01-15T00:00:00Z"
    both = read(rating="1", feedback_time=later)
    one = reader().read(2, (), {**ROW, "event_time": later, "rating": "1"})
    assert one is not None
    for call, day in ((both, 14), (one, 15)):
        assert call.vote is not None
        assert call.message.message.create_time.ToDatetime().day == day
        assert call.vote.event_time.ToDatetime().day == 15
    inside = reader().read(2, (), {"model_id": "p/m", "agent_id": "a", "message_id": str(new_id(NOON))})
    assert inside is not None
    assert inside.message.message.create_time.ToDatetime(UTC) == NOON
    assert read(token_count="7.0").message.message.completion_tokens == 7
    assert read(token_count="7", prompt_tokens="2").message.message.completion_tokens == 0


def test_without_any_time_nothing_is_guessed() -> None:
    with pytest.raises(Problem, match="event_time: must be set"):
        reader().read(2, (), {"model_id": "p/m", "agent_id": "a"})


def test_only_what_an_assistant_said_is_a_call() -> None:
    assert reader().read(2, (), {**ROW, "role": "user"}) is None
    assert reader().read(2, (), {**ROW, "role": "Assistant"}) is not None


def test_equal_rows_without_ids_are_two_calls_with_the_same_ids_each_time() -> None:
    def ids() -> list[str]:
        rows = reader()
        calls = [rows.read(line, (), ROW) for line in (2, 3)]
        return [call.message.message.message_id for call in calls if call]

    assert ids() == ids()
    assert len(set(ids())) == 2


def test_a_header_is_read_by_the_srs_names_whatever_their_case() -> None:
    header = Header(["ID", "Model", "agent_id", "content", "recorded_at"], agent_known=False)
    assert header.ignored == ["content"]
    assert header.column("message_id") == "ID"
    assert header.read(["7", " p/m ", "NULL", "...", r"\N"]) == {"message_id": "7", "model_id": "p/m"}
    with pytest.raises(Problem, match="must have 5 columns as the header has, not 2"):
        header.read(["7", "p/m"])
    with pytest.raises(Problem, match="agent_id: must be UTF-8"):
        header.read(["7", "p/m", "\udcff", "", ""])
    with pytest.raises(HeaderError, match="no column agent_id"):
        Header(["model", "created_at"], agent_known=False)
    assert Header(["model", "created_at"], agent_known=True)


def test_files_of_spreadsheets_are_read(tmp_path: Path) -> None:
    """A byte order mark, semicolons, carriage returns, line breaks in a cell, empty lines."""
    path = tmp_path / "m.csv"
    path.write_bytes('\ufeff"model";b\r\n"p/m";"two\r\nlines"\r\n\r\nlast;1\r\n'.encode())
    with Source(path) as source:
        assert source.columns == ["model", "b"]
        assert list(source.rows()) == [(2, ("p/m", "two\r\nlines")), (5, ("last", "1"))]
        assert source.read_bytes == source.size_bytes


def test_rejects_are_added_to_when_an_import_goes_on(tmp_path: Path) -> None:
    path, header = tmp_path / "r.csv", Header(["import_line", "model", "created_at"], agent_known=True)
    for add in (False, True):
        rejects = Rejects(path, header, ",", add=add)
        rejects.write(9, ("3", "p/m"), Problem("model_id", "is wrong"))
        rejects.close()
    line = "9,model: is wrong,p/m,"
    assert path.read_text().splitlines() == ["import_line,import_error,model,created_at", line, line]
    Rejects(path, header, ",", add=False)
    assert not path.exists()


class Server:
    """Answers of a server, one after the other: the errors of the items by place, or of the call."""

    def __init__(self, *answers: dict[int, int] | ImrsError) -> None:
        self.feedback = self
        self.answers = list(answers)
        self.sizes: list[int] = []

    def BatchRecordMessages(self, request: Any, timeout: float) -> Any:
        assert timeout
        answer = self.answers.pop(0)
        self.sizes.append(len(request.requests))
        if isinstance(answer, ImrsError):
            raise answer
        errors = {place: pb.ItemError(code=code, reason="R", message="m") for place, code in answer.items()}
        items = [pb.Message(error=errors.get(place)) for place in range(len(request.requests))]
        return pb.BatchRecordMessagesResponse(messages=items)

    def BatchSubmitFeedback(self, request: Any, timeout: float) -> Any:
        assert timeout
        return pb.BatchSubmitFeedbackResponse(feedback=[pb.Feedback() for _ in request.requests])


def deliver(server: Any, number: int, *, give_up: bool = False) -> tuple[Any, list[float]]:
    waits: list[float] = []

    def wait(seconds: float) -> bool:
        waits.append(seconds)
        return give_up

    # Ids that end alike go one way, so that the server's answers are for them in this order.
    calls = [read(message_id=f"{str(new_id())[:-2]}00") for _ in range(number)]
    return Delivery(server, wait).send(calls), waits


def test_items_that_fail_for_a_reason_that_passes_are_sent_again_alone() -> None:
    server = Server({1: 8, 2: 5}, Unavailable(retry_after_seconds=3), {})
    delivered, waits = deliver(server, 3)
    assert (delivered.messages, server.sizes, waits) == (2, [3, 1, 1], [0.5, 3])
    assert [str(problem) for _, problem in delivered.refused] == [": R: m"]


def test_a_server_that_stays_away_ends_it() -> None:
    server = Server(*[Unavailable() for _ in range(6)])
    with pytest.raises(Unavailable):
        deliver(server, 1)
    assert len(server.sizes) == 6
    with pytest.raises(Unavailable):
        deliver(Server({0: 14}), 1, give_up=True)
    with pytest.raises(NotFound):
        deliver(Server(NotFound()), 1)


def test_what_is_said_of_one_message_is_sent_in_its_order() -> None:
    server = Server({}, {}, {}, {})
    message_id = str(new_id())
    others = [read(message_id=f"{message_id[:-2]}{lane:02x}") for lane in range(4)]
    delivered = Delivery(server, lambda _: False).send([*others, read(message_id=message_id)])  # type: ignore[arg-type]
    assert (delivered.messages, sorted(server.sizes)) == (5, [1, 1, 1, 2])
