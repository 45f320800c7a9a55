"""A value that must never be printed."""

from __future__ import annotations


class Secret:
    """Holds a key; shows three stars wherever it is printed, logged or formatted."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself: call it only where it goes over the wire."""
        return self._value

    def __repr__(self) -> str:
        return "***"
