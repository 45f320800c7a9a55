"""What a server is made of: threads that begin and end with it."""

from __future__ import annotations

from typing import Protocol


class Part(Protocol):
    """A thread, or some, that live as long as the server."""

    def start(self) -> None: ...

    def stop(self) -> None: ...
