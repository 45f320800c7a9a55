"""One caller of WatchAgent: what was told, what is on its way, and when more is due."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from grpc_status import rpc_status

from imrs_server.transport import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    import grpc

    from imrs_server.domain.errors import DomainError
    from imrs_server.transport.watch.room import Payload, Position, Room

# A server that lags behind the one before may catch up, and then need not send the whole.
_CATCH_UP_SECONDS = 5.0

_METHOD = "/imrs.v1.RouteService/WatchAgent"


class Stream:
    """``send`` takes serialised messages, waits until the transport has taken one, and ends with None.

    ``check`` raises what is wrong with the caller's token by now, and is asked every ``check_seconds``.
    ``from_revision`` and ``from_fingerprint`` say what the caller has already.
    """

    def __init__(
        self,
        context: grpc.ServicerContext,
        send: Callable[[bytes | None], None],
        check: Callable[[], object],
        *,
        from_revision: int,
        from_fingerprint: bytes,
        check_seconds: float,
        now: float,
    ) -> None:
        self._context = context
        self._send = send
        self._check = check
        self._claim: tuple[int, bytes] | None = (from_revision, from_fingerprint) if from_revision else None
        self._joined_at = now
        self._told_at = float("-inf")
        self._check_seconds = check_seconds
        self._check_at = now + check_seconds
        self._chunks: deque[bytes] = deque()
        self._leads_to: Position | None = None
        self.position: Position | None = None
        self.error: DomainError | None = None
        self.busy = False
        """Whether it is in the hands of a sender."""
        self.gone = False

    def lacks(self, room: Room, now: float, *, stale: bool, pause: float, beat: float) -> bool:
        """Whether it is due for more than it has.

        New content is due at once; a mere revision after ``pause`` seconds in which nothing was sent, and
        nothing at all after ``beat`` seconds.
        """
        if not room.revision or (self._claim is not None and not self._settle_claim(room, now)):
            return False
        position = self.position
        if position is None or position.fingerprint != room.fingerprint:
            return True
        moved = position.revision != room.revision or position.stale != stale
        return now - self._told_at >= (pause if moved else beat)

    def load(self, payload: Payload) -> None:
        """Take what is to be sent next."""
        self._chunks.extend(payload.chunks)
        self._leads_to = payload.position

    def is_due_for_check(self, now: float) -> bool:
        return now >= self._check_at

    def check_soon(self) -> None:
        """Tokens were revoked: this one may be among them."""
        self._check_at = 0.0

    def attend(self, now: float) -> bool:
        """Check the token where it is time, end for an error, else send a chunk; whether more is left.

        In a sender's thread, which waits as long as the caller has no room for the chunk.
        """
        if now >= self._check_at:
            self._check_at = now + self._check_seconds
            self._check_token()
        if self.error is not None:
            self._end(self.error)
            return False
        if self._chunks:
            self._send(self._chunks.popleft())
        return bool(self._chunks)

    def told(self, now: float) -> None:
        """All that was loaded is sent."""
        if self._leads_to is not None:
            self.position, self._leads_to, self._told_at = self._leads_to, None, now

    def cut(self) -> None:
        """End it however it stands: the caller has had no room for too long."""
        self._context.cancel()

    def _settle_claim(self, room: Room, now: float) -> bool:
        """Find out what the caller has; False while that is newer than what is known here."""
        assert self._claim is not None
        revision, fingerprint = self._claim
        if revision <= room.revision:
            self.position = room.find(revision, fingerprint)
        elif now - self._joined_at < _CATCH_UP_SECONDS:
            return False
        self._claim = None
        return True

    def _check_token(self) -> None:
        try:
            self._check()
        except Exception as error:  # noqa: BLE001  (whatever it is, the caller is not known any more)
            self.error = errors.as_domain(error, _METHOD)

    def _end(self, error: DomainError) -> None:
        self.gone = True
        self._chunks.clear()
        status: Any = rpc_status.to_status(errors.to_status(error))
        self._context.set_trailing_metadata(status.trailing_metadata)
        self._context.set_code(status.code)
        self._context.set_details(status.details)
        self._send(None)
