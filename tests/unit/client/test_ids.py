from __future__ import annotations

import copy
import pickle
import threading
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest

from imrs_client import ids
from imrs_client.ids import derived_id, new_id, time_of


def test_ids_are_version_7_and_rise_strictly_across_threads() -> None:
    made: list[list[uuid.UUID]] = []

    def make() -> None:
        made.append([new_id() for _ in range(5000)])

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(each == sorted(each) for each in made)
    together = [one for part in made for one in part]
    assert len(set(together)) == 20_000
    assert {(one.version, one.variant) for one in together} == {(7, uuid.RFC_4122)}


def test_an_id_is_like_any_other_uuid() -> None:
    made = new_id()
    same = uuid.UUID(str(made))
    assert (made, hash(made), made.is_safe) == (same, hash(same), same.is_safe)
    assert pickle.loads(pickle.dumps(made)) == copy.deepcopy(made) == made


def test_ids_rise_past_the_last_of_a_millisecond_that_the_clock_stays_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = 2_000_000_000_000
    monkeypatch.setattr(ids, "_last", start << 80 | 7 << 76 | 0xFFF << 64 | 0b10 << 62 | (1 << 61) - 5)
    made = [new_id() for _ in range(3)]
    assert made == sorted(made)
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert [one.int >> 80 for one in made] == [start, start + 1, start + 1]


def test_a_fresh_id_carries_the_present() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    made = time_of(new_id())
    assert made is not None
    assert before <= made <= datetime.now(UTC) + timedelta(seconds=1)


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2027, 1, 1, 8, 59, 59, 1_000, tzinfo=timezone(timedelta(hours=9))),
        datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC),
    ],
)
def test_a_given_time_comes_back_to_the_millisecond(moment: datetime) -> None:
    assert time_of(new_id(moment)) == moment
    assert time_of(str(new_id(moment))) == moment
    assert new_id(moment) != new_id(moment)


@pytest.mark.parametrize(
    "value",
    [
        uuid.uuid4(),
        "not a uuid",
        "",
        # Version 7 with the variant of Microsoft's old GUIDs, and one from the year 10889.
        uuid.UUID("01a1fd90-a860-79cc-c434-260212e4fda0"),
        uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"),
    ],
)
def test_what_is_no_dated_uuid7_has_no_time(value: uuid.UUID | str) -> None:
    assert time_of(value) is None


def test_a_derived_id_is_the_same_for_the_same_time_and_seed_alone() -> None:
    time = datetime(2026, 1, 14, 12, 0, 0, 123_000, tzinfo=UTC)
    made = derived_id(time, b"a")
    assert (made, time_of(made)) == (derived_id(time, b"a"), time)
    assert len({made, derived_id(time, b"b"), derived_id(time + timedelta(milliseconds=1), b"a")}) == 3
