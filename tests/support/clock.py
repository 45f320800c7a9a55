"""Time that a test moves."""

from __future__ import annotations


class Clock:
    """Stands still until somebody lets time pass: for deadlines that only what is tested may miss."""

    def __init__(self) -> None:
        self.now_seconds = 0.0

    def __call__(self) -> float:
        return self.now_seconds

    def pass_by(self, seconds: float) -> None:
        self.now_seconds += seconds
