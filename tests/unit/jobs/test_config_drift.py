"""Drift is counted when something has changed, and now and then besides."""

from __future__ import annotations

from structlog.testing import capture_logs

from imrs_server.jobs.config_drift import ConfigDrift


class World:
    """Things that differ, a revision, and the time."""

    def __init__(self) -> None:
        self.differ = 0
        self.revision = 7
        self.now = 1000.0
        self.counted = 0
        self.drift = ConfigDrift(
            self._count, lambda: self.revision, recount_seconds=60, clock=lambda: self.now
        )

    def _count(self) -> int:
        self.counted += 1
        return self.differ

    def turn(self) -> int | None:
        self.drift.turn()
        return self.drift.things


def test_a_new_revision_is_counted_at_once_and_the_same_one_only_now_and_then() -> None:
    world = World()
    assert world.drift.things is None
    assert world.turn() == 0
    world.differ, world.revision = 1, 8
    assert world.turn() == 1
    world.now += 59
    assert world.turn() == 1
    assert world.counted == 2


def test_a_file_that_takes_over_an_edit_ends_the_drift_though_no_revision_tells() -> None:
    world = World()
    world.differ = 1
    assert world.turn() == 1
    world.differ = 0
    world.now += 60
    assert world.turn() == 0


def test_it_says_so_when_the_number_changes() -> None:
    world = World()
    with capture_logs() as logged:
        for differ in (0, 2, 2, 0):
            world.differ = differ
            world.revision += 1
            world.turn()
    assert [(each["event"], each.get("things")) for each in logged] == [
        ("config.drifted", 2),
        ("config.as_given", None),
    ]
