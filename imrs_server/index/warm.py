"""The index in use: one reference that readers take, and the refresher replaces."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

from imrs_server.domain.vault_view import NEVER_LOOKED

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.vault_view import VaultView
    from imrs_server.index.state import State


class Index:
    """``current`` is the newest state, None until one was read. It never changes: take it once a call."""

    def __init__(self, *, poll_seconds: float = 2.0) -> None:
        """``poll_seconds`` without a word from the database make the answers stale."""
        self.current: State | None = None
        self.connected = False
        self.poll_seconds = poll_seconds
        self.vault = NEVER_LOOKED
        self._heard = monotonic()
        self._moved = threading.Condition()
        self._listeners: tuple[Callable[[], None], ...] = ()

    @property
    def revision(self) -> int:
        """0 until the first state is read."""
        state = self.current
        return 0 if state is None else state.revision

    @property
    def age_seconds(self) -> float:
        """Time since the database last confirmed the current state."""
        return monotonic() - self._heard

    @property
    def stale(self) -> bool:
        """Whether changes may have been missed for longer than a poll interval.

        A connection that is up and silent is given the time of a second poll.
        """
        limit = self.poll_seconds * 2 if self.connected else self.poll_seconds
        return monotonic() - self._heard > limit

    def confirm(self, state: State) -> None:
        """Put a state into use, or confirm that the one in use is the newest."""
        self._heard = monotonic()
        self.connected = True
        with self._moved:
            if state is self.current:
                return
            self.current = state if state.vault is self.vault else state.seeing(self.vault)
            self._moved.notify_all()
        self._tell()

    def see(self, vault: VaultView) -> None:
        """Answer by a new view of Vault from now on, whatever the revision."""
        with self._moved:
            if vault == self.vault:
                return
            self.vault = vault
            if self.current is not None:
                self.current = self.current.seeing(vault)
        self._tell()

    def listen(self, hear: Callable[[], None]) -> None:
        """Call ``hear`` after every change of ``current``, in the thread that makes it: it must not wait."""
        self._listeners += (hear,)

    def _tell(self) -> None:
        for hear in self._listeners:
            hear()

    def revoked(self) -> frozenset[str]:
        """Ids of revoked tokens."""
        state = self.current
        return frozenset() if state is None else state.revoked

    def wait_for(self, revision: int, timeout_seconds: float) -> bool:
        """Wait until a revision is in use; for start-up, tests and lists of an admin, never for Route."""
        with self._moved:
            return self._moved.wait_for(
                lambda: self.current is not None and self.current.revision >= revision, timeout_seconds
            )
