"""Keys that were read a moment ago, where an operator wishes for that: in memory, and for some seconds only.

It saves a call of Vault for each call of a model, at the price that a Vault which is sealed, or a key that
somebody changes there by hand, is noticed that much later. A key that is set through IMRS is noticed at once:
it has another version.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.credential import CredentialPath
    from imrs_server.domain.secret import Secret


class _Kept(NamedTuple):
    key: Secret
    version: int
    end: float


class KeyCache:
    """What ``read`` gives, for ``seconds`` after it gave it; with 0 it is asked each time. Thread-safe."""

    def __init__(
        self,
        read: Callable[[CredentialPath], Secret],
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._seconds = seconds
        self._clock = clock
        self._lock = threading.Lock()
        # In the order in which they end, since all are kept for as long.
        self._kept: dict[CredentialPath, _Kept] = {}

    def read(self, path: CredentialPath, version: int | None) -> Secret:
        """The key that the index notes in this version; one that it does not note is never kept.

        Raises what ``read`` raises.
        """
        if not self._seconds:
            return self._read(path)
        with self._lock:
            self._drop_old()
            kept = self._kept.get(path)
        if kept is not None and kept.version == version:
            return kept.key
        # From before the reading on: a key is never used for longer than that after Vault was sealed.
        end = self._clock() + self._seconds
        key = self._read(path)
        if version is not None:
            with self._lock:
                self._kept.pop(path, None)
                self._kept[path] = _Kept(key, version, end)
        return key

    def forget(self, path: CredentialPath) -> None:
        """Ask for this key anew: it did not open."""
        with self._lock:
            self._kept.pop(path, None)

    def _drop_old(self) -> None:
        now = self._clock()
        while self._kept:
            oldest = next(iter(self._kept))
            if self._kept[oldest].end > now:
                return
            del self._kept[oldest]
