"""A watched file is applied when it changes, however it is exchanged, and never half."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
import structlog

from imrs_server.config_file import file
from imrs_server.domain.configuration import AppliedAlready, Plan
from imrs_server.domain.errors import DatabaseUnavailable, ModelNotFound
from imrs_server.domain.written import Written
from imrs_server.jobs.config_watch import REFUSED_SECONDS, ConfigWatch
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

GOOD = "agents: {a: {use_case: v%s}}\n"


class Applied:
    """Takes what the watch applies."""

    def __init__(self, path: Path) -> None:
        self.texts: list[str] = []
        self.results: list[str] = []
        self.error: Exception | None = None
        self.now = 1000.0
        self.watch = ConfigWatch(
            path, self._apply, note=self.results.append, poll_seconds=0.005, clock=lambda: self.now
        )

    def _apply(self, text: str) -> Written[Plan]:
        if self.error is not None:
            raise self.error
        file.read(text)
        self.texts.append(text)
        return Written(Plan(changes=()), 1)

    def look(self) -> None:
        """Twice, for a file must rest."""
        self.watch.turn()
        self.watch.turn()


def edit(path: Path, text: str) -> None:
    """Later than whatever was written before, though clocks of files stand still for milliseconds."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    if path.stat().st_mtime_ns <= before:
        os.utime(path, ns=(before + 1, before + 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that was written long ago: by its time and size alone, what replaces it might be the same."""
    found = tmp_path / "models.yaml"
    found.write_text(GOOD % 1)
    os.utime(found, ns=(1, 1))
    return found


@pytest.fixture
def applied(path: Path) -> Applied:
    return Applied(path)


def test_it_is_applied_at_the_start_and_after_each_change_once(path: Path, applied: Applied) -> None:
    for _ in range(3):
        applied.look()
    edit(path, GOOD % 2)
    applied.look()
    os.utime(path)  # touched, and the same
    applied.look()
    assert applied.texts == [GOOD % 1, GOOD % 2]
    assert applied.results == ["ok", "ok"]


def test_a_file_that_is_renamed_over_it(path: Path, applied: Applied) -> None:
    applied.look()
    other = path.with_suffix(".new")
    other.write_text(GOOD % 2)
    other.replace(path)
    applied.look()
    assert applied.texts[-1] == GOOD % 2


def test_links_as_kubernetes_exchanges_them(tmp_path: Path) -> None:
    for version in (1, 2):
        (tmp_path / f"v{version}").mkdir()
        (tmp_path / f"v{version}" / "models.yaml").write_text(GOOD % version)
    data, new, path = tmp_path / "..data", tmp_path / "..new", tmp_path / "models.yaml"
    data.symlink_to("v1")
    path.symlink_to("..data/models.yaml")
    applied = Applied(path)
    applied.look()
    new.symlink_to("v2")
    new.replace(data)
    applied.look()
    assert applied.texts == [GOOD % 1, GOOD % 2]


def test_a_file_that_is_being_written_is_left_alone(path: Path, applied: Applied) -> None:
    applied.look()
    with path.open("w") as half:
        for part in ("agents: ", "{a: ", "{use_case: v2}"):
            half.write(part)
            half.flush()
            applied.watch.turn()
        half.write("}\n")
    applied.look()
    assert applied.texts == [GOOD % 1, GOOD % 2]
    assert applied.results == ["ok", "ok"]


def test_what_cannot_be_read_is_told_once_and_read_when_it_can_be(path: Path, applied: Applied) -> None:
    """Such as a folder, which a mount makes where there was no file."""
    applied.look()
    path.unlink()
    path.mkdir()
    with structlog.testing.capture_logs() as logs:
        applied.look()
        applied.look()
    assert [(each["event"], each["problems"]) for each in logs] == [
        ("config.refused", [f"{path}: Is a directory"])
    ]
    assert applied.watch.refused
    path.rmdir()
    edit(path, GOOD % 1)
    applied.look()
    assert not applied.watch.refused
    assert applied.results == ["ok", "refused", "ok"]


def test_the_very_file_that_was_applied_before_it_could_not_be_read(path: Path, applied: Applied) -> None:
    """As where a mount goes and comes back: it looks as it did."""
    applied.look()
    aside = path.with_suffix(".aside")
    path.rename(aside)
    path.mkdir()
    applied.look()
    assert applied.watch.refused
    path.rmdir()
    aside.rename(path)
    applied.look()
    assert not applied.watch.refused
    assert applied.results == ["ok", "refused", "ok"]


def test_a_bad_file_changes_nothing_and_tells_its_lines_once(path: Path, applied: Applied) -> None:
    applied.look()
    edit(path, "agents:\n  a: {temperature: 9}\n")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            applied.look()
    assert applied.texts == [GOOD % 1]
    assert applied.watch.refused
    assert [each["problems"] for each in lines if each["event"] == "config.refused"] == [
        [f"{path}:2:20: agents.a.temperature: must be at most 2.0, not 9"]
    ]
    edit(path, GOOD % 1)
    applied.look()
    assert not applied.watch.refused
    assert applied.results == ["ok", "refused", "ok"]


def test_a_file_that_was_applied_before_it_was_watched_is_left_at_that(path: Path, applied: Applied) -> None:
    applied.error = AppliedAlready()
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            applied.look()
    assert [each["event"] for each in lines] == ["config.unchanged"]
    applied.error = None
    edit(path, GOOD % 2)
    applied.look()
    assert applied.texts == [GOOD % 2]
    assert applied.results == ["unchanged", "ok"]


def test_bytes_that_are_no_text_and_what_the_server_refuses(path: Path, applied: Applied) -> None:
    path.write_bytes(b"\xff")
    applied.look()
    applied.error = ModelNotFound(model_id="p/m")
    edit(path, GOOD % 2)
    applied.look()
    assert applied.results == ["refused", "refused"]


def test_what_is_refused_for_what_there_is_is_tried_again_and_told_once(applied: Applied) -> None:
    applied.error = ModelNotFound(model_id="p/m")
    with structlog.testing.capture_logs() as lines:
        for _ in range(3):
            applied.look()
            applied.now += REFUSED_SECONDS
        applied.error = None  # a sync has brought it
        applied.now -= 1
        applied.look()
        assert applied.watch.refused
        applied.now += 1
        applied.look()
    assert not applied.watch.refused
    assert applied.texts == [GOOD % 1]
    assert applied.results == ["refused", "ok"]
    assert [each["event"] for each in lines] == ["config.refused", "config.applied"]


def test_a_database_that_is_away_when_it_is_tried_again_costs_only_that_try(applied: Applied) -> None:
    applied.error = ModelNotFound(model_id="p/m")
    applied.look()
    applied.now += REFUSED_SECONDS
    applied.error = DatabaseUnavailable()
    with pytest.raises(DatabaseUnavailable):
        applied.watch.turn()
    applied.error = None
    applied.watch.turn()
    assert applied.texts == [GOOD % 1]


def test_a_touch_tries_what_was_refused_for_what_there_is_at_once(path: Path, applied: Applied) -> None:
    applied.error = ModelNotFound(model_id="p/m")
    applied.look()
    applied.error = None
    os.utime(path, ns=(2, 2))
    applied.look()
    assert applied.texts == [GOOD % 1]


def test_while_the_database_is_away_it_is_tried_again(path: Path, applied: Applied) -> None:
    applied.error = DatabaseUnavailable()
    applied.watch.turn()
    for _ in range(2):
        with pytest.raises(DatabaseUnavailable):
            applied.watch.turn()
    applied.error = None
    applied.watch.turn()
    assert applied.texts == [GOOD % 1]
    assert applied.results == ["DATABASE_UNAVAILABLE", "DATABASE_UNAVAILABLE", "ok"]


def test_a_file_that_comes_later(path: Path, applied: Applied) -> None:
    path.unlink()
    with structlog.testing.capture_logs() as lines:
        applied.look()
        applied.look()
    assert [each["event"] for each in lines] == ["config.missing"]
    edit(path, GOOD % 1)
    applied.look()
    assert applied.texts == [GOOD % 1]


def test_the_thread_looks_by_itself(path: Path, applied: Applied) -> None:
    applied.watch.start()
    try:
        eventually(lambda: applied.texts == [GOOD % 1])
        edit(path, GOOD % 2)
        eventually(lambda: applied.texts == [GOOD % 1, GOOD % 2])
    finally:
        applied.watch.stop()
