"""When a watcher is due for more, and what he is told from where he is."""

from __future__ import annotations

from typing import Any

import pytest

from imrs_client import v1 as pb
from imrs_server.domain.errors import ServerStopping
from imrs_server.index.warm import Index
from imrs_server.storage.index import Key
from imrs_server.transport.watch.hub import Hub, Pace
from imrs_server.transport.watch.room import Position, Room
from imrs_server.transport.watch.stream import Stream
from tests.support.schema import HERE
from tests.support.tables import candidate, table
from tests.unit.transport.test_snapshots import content

PACE: dict[str, Any] = {"stale": False, "pause": 2.0, "beat": 10.0}


def room(*scores: float) -> Room:
    """One whose content changed with each score, at revisions 10, 20, ..."""
    found = Room(Key(HERE, "a"))
    for number, score in enumerate(scores, 1):
        told = content({"*": table(candidate("p/a", score))})
        found.accept(told, told.fingerprint, number * 10)
    return found


def stream(from_revision: int = 0, from_fingerprint: bytes = b"") -> Stream:
    """One that joined at 100."""
    return Stream(
        None,  # type: ignore[arg-type]  # nothing is sent here
        lambda _: None,
        lambda: None,
        from_revision=from_revision,
        from_fingerprint=from_fingerprint,
        check_seconds=10.0,
        now=100.0,
    )


def kind(where: Room, position: Position | None) -> str:
    first = pb.AgentSnapshot.FromString(where.lacking(position, stale=False).chunks[0])
    return pb.AgentSnapshot.Kind.Name(first.kind)


def tell(whom: Stream, where: Room, now: float) -> None:
    whom.load(where.lacking(whom.position, stale=False))
    while whom.attend(now):
        pass
    whom.told(now)


def test_nothing_is_due_before_anything_is_known() -> None:
    assert not stream().lacks(Room(Key(HERE, "a")), 100.0, **PACE)


def test_the_whole_and_changes_are_due_at_once_and_a_mere_revision_later() -> None:
    where, whom = room(0.1), stream()
    assert whom.lacks(where, 100.0, **PACE)
    tell(whom, where, 100.0)
    assert not whom.lacks(where, 109.9, **PACE)
    assert whom.lacks(where, 110.0, **PACE)
    assert whom.lacks(where, 102.0, **PACE | {"stale": True})
    where.confirm(11)
    assert not whom.lacks(where, 101.9, **PACE)
    assert whom.lacks(where, 102.0, **PACE)
    told = content({"*": table(candidate("p/a", 0.2))})
    where.accept(told, told.fingerprint, 12)
    assert whom.lacks(where, 100.1, **PACE)


def test_who_is_ahead_is_waited_for_and_then_told_the_whole() -> None:
    where, whom = room(0.1), stream(from_revision=11, from_fingerprint=room(0.1).fingerprint)
    assert not whom.lacks(where, 104.9, **PACE)
    assert whom.lacks(where, 105.0, **PACE)
    assert kind(where, whom.position) == "FULL"


def test_who_comes_with_what_is_known_is_told_the_difference() -> None:
    where = room(0.1, 0.2, 0.3)
    assert where.find(20, b"") == Position(room(0.1, 0.2).fingerprint, 20)
    assert where.find(19, b"") is None
    assert where.find(30, b"another") is None
    assert [kind(where, where.find(each, b"")) for each in (5, 20, 30)] == ["FULL", "DELTA", "HEARTBEAT"]


def test_what_the_first_revision_was_before_is_not_known() -> None:
    where = room(0.1, 0.2)
    assert where.find(10, b"") is None
    assert kind(where, where.find(10, room(0.1).fingerprint)) == "DELTA"


def test_who_is_far_behind_is_told_the_whole() -> None:
    where = room(*(number / 100 for number in range(20)))
    known = [
        each
        for each in range(10, 210, 10)
        if where.find(each, b"") and kind(where, where.find(each, b"")) != "FULL"
    ]
    assert known == list(range(130, 210, 10))


def test_what_is_remembered_is_bounded_in_bytes(monkeypatch: Any) -> None:
    monkeypatch.setattr("imrs_server.transport.watch.room._MOST_BYTES", 1)
    where = room(0.1, 0.2, 0.3)
    assert kind(where, where.find(20, b"")) == "FULL"
    assert kind(where, where.find(30, b"")) == "HEARTBEAT"


def test_content_that_returns_is_the_same_again() -> None:
    where = room(0.3, 0.1, 0.2, 0.1)
    assert where.fingerprint == room(0.1).fingerprint
    assert kind(where, where.find(20, b"")) == "HEARTBEAT"
    assert kind(where, where.find(30, b"")) == "DELTA"


class Leaving:
    """The context of a caller who comes while the server says goodbye."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def invocation_metadata(self) -> tuple[()]:
        self._hub.stop()
        return ()

    def add_callback(self, _callback: object) -> bool:
        return True


def test_who_comes_while_goodbye_is_said_hears_it_too() -> None:
    hub = Hub(Index(), lambda _: None)
    hub.start()
    caller: Any = Leaving(hub)
    with pytest.raises(ServerStopping):
        hub.join(Key(HERE, "a"), caller, lambda _: None)


def test_who_comes_to_a_full_server_that_stops_is_sent_elsewhere() -> None:
    hub = Hub(Index(), lambda _: None, Pace(most_streams=0))
    hub.stop()
    caller: Any = None
    with pytest.raises(ServerStopping):
        hub.join(Key(HERE, "a"), caller, lambda _: None)
