"""Decisions on their way to the service."""

from __future__ import annotations

from typing import Any

from imrs_client import ImrsClient, v1
from imrs_client.reporting import Reports

NOBODY = "127.0.0.1:1"


class Seen:
    """A decision that notes how many were said to wait when it was made a report."""

    context = b""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self.waiting = 0

    def to_report(self) -> v1.Decision:
        self.waiting = self._reports.waiting
        return v1.Decision()


def test_what_is_not_reported_yet_is_said_to_wait_at_every_moment() -> None:
    with ImrsClient(NOBODY, token="t") as client:
        reports = Reports(client, capacity=10)
        decisions: list[Any] = [Seen(reports), Seen(reports)]
        for each in decisions:
            reports.offer(each)
        reports.send()
        assert reports.waiting == 2
    assert all(each.waiting >= 2 for each in decisions)
