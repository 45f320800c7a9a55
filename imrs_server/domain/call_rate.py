"""A limit of calls a minute that many servers keep together, exactly, without asking for every single call.

A server is granted a block of calls at a time and uses it within a second, or loses it. Grants are counted by
the whole second, so those of the last WINDOW_SECONDS are all that can be made in any 60 seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

BLOCK_SECONDS = 1.0
"""What a server was granted and has not used by then is lost."""
WINDOW_SECONDS = 62
"""A minute, the second in which a block is used, and the second that a count is rounded by."""

# A block is a tenth of what an even pace needs in its second: losing one does not matter.
_BLOCKS_A_MINUTE = 600
# Once used up, so much of a limit must be free again, or a provider would come and go with every call.
_FREE_SHARE = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What was granted of late: calls by the second since 1970, the oldest first; and the limit a minute."""

    limit: int
    now_seconds: float
    calls: tuple[tuple[int, int], ...] = ()

    @property
    def second(self) -> int:
        return int(self.now_seconds)

    @property
    def block(self) -> int:
        """How many calls may be granted now; 0 for none."""
        left = self.limit - sum(calls for _, calls in self.calls)
        return max(0, min(left, max(1, self.limit // _BLOCKS_A_MINUTE)))

    @property
    def wait_seconds(self) -> float:
        """How long until a tenth of the limit is free; for when nothing is left."""
        wanted = max(1, self.limit // _FREE_SHARE) + sum(calls for _, calls in self.calls) - self.limit
        for second, calls in self.calls:
            wanted -= calls
            if wanted <= 0:
                return max(0.0, second + WINDOW_SECONDS - self.now_seconds)
        return 0.0
