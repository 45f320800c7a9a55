"""Makes offers of models before an agent asks for them, a little at a time.

Of a model that nobody asked for the index has only a row. The first decisions after a start would make
hundreds of them each; this way they find them made.
"""

from __future__ import annotations

from time import thread_time
from typing import TYPE_CHECKING

from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.index.offers import Shared
    from imrs_server.index.warm import Index

# So long it keeps others from working, and so long it lets them: a call waits a slice longer at most.
SLICE_SECONDS = 0.001
PAUSE_SECONDS = 0.004
# Nothing is left to make until the index changes, which wakes it.
_DONE_SECONDS = 3600.0
_RETRY_SECONDS = 10.0


class Warming:
    """Follows the index; what changes is made anew."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self._shared: Shared | None = None
        self._left: Iterator[int] = iter(())
        self._loop = Loop("warming", self.turn, retry_seconds=_RETRY_SECONDS)
        index.listen(self._loop.wake)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        self._loop.stop()

    def turn(self) -> float:
        """Make some; returns the seconds until the next turn."""
        state = self._index.current
        if state is None:
            return _DONE_SECONDS
        if state.made.shared is not self._shared:
            self._shared = state.made.shared
            self._left = iter(list(state.numbered.by_number))
        catalogue, until = state.catalogue, thread_time() + SLICE_SECONDS
        for number in self._left:
            catalogue.shared_offer(number)
            if thread_time() > until:
                return PAUSE_SECONDS
        return _DONE_SECONDS
