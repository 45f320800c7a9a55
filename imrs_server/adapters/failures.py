"""How a call to another service fails. The text is always ours: what libraries say may hold URLs and keys."""

from __future__ import annotations


class CallFailed(Exception):
    """No usable answer came; ``detail`` says why.

    ``status`` is the HTTP status if there was one, ``again`` whether another try in a moment makes sense.
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int | None = None,
        retry_after_seconds: float | None = None,
        again: bool = False,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.again = again


class Unreachable(CallFailed):
    """No connection, no answer in time, or an answer that says "later"."""


class Untrusted(Unreachable):
    """It cannot prove who it is."""


class TimedOut(Unreachable):
    """There is a connection, and no answer in time."""


class RateLimited(CallFailed):
    """The caller is told to slow down."""


class Unusable(CallFailed):
    """An answer came, and asking again would bring the same."""


class CutOff(Unusable):
    """The answer breaks the rules of HTTP, or ends before its end."""
