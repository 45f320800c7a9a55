"""The public keys of an identity provider: kept in memory, fetched by a thread, never by what a token says.

A token names its key by ``kid``, which is looked up in a dictionary and used for nothing else. When the
identity provider is down, the last good keys stay.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import jwt
import structlog

from imrs_server.adapters.failures import CallFailed
from imrs_server.adapters.http import Call
from imrs_server.domain.errors import AddressForbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from imrs_server.adapters.http import GuardedClient

log = structlog.get_logger()

REFRESH_SECONDS = 300.0
SHORTEST_PAUSE_SECONDS = 30.0
WAIT_SECONDS = 1.0
_FETCH_SECONDS = 5.0
_WAITERS = 2
_MAX_KEYS = 100
_MAX_KID = 256
_MIN_RSA_BITS = 2048
_FILE_BYTES = 1 << 20

# The one algorithm that each kind of key is good for; symmetric keys have no place in a public list.
_ALGORITHMS = {("RSA", None): "RS256", ("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA"}
_PUBLIC_MEMBERS = frozenset({"kty", "crv", "n", "e", "x", "y", "kid"})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key and the only algorithm that it verifies."""

    algorithm: str
    key: Any = field(repr=False)


def from_url(client: GuardedClient, url: str) -> Callable[[], Any]:
    """A source that fetches a set. Raises AddressForbidden for an address that may not be called."""
    client.rules.check_url(url, field="IMRS_JWKS_URL")
    return lambda: client.get_json(Call(url=url), client.deadline(_FETCH_SECONDS))


def from_file(path: Path) -> Callable[[], Any]:
    """A source that reads a set from a file."""

    def read() -> Any:
        with path.open("rb") as file:
            content = file.read(_FILE_BYTES + 1)
        if len(content) > _FILE_BYTES:
            raise ValueError("the file is larger than 1 MiB")
        try:
            return json.loads(content)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None

    return read


class Jwks:
    """Keys by ``kid``. ``changed``, which may be set until it starts, is called after they have changed.

    A thread reads the set at start and every ``refresh_seconds``, so that a key that was withdrawn stops
    counting, and at once for an unknown ``kid``, though not before ``pause_seconds`` after the last time:
    invented ones cost the identity provider nothing.
    """

    def __init__(
        self,
        source: Callable[[], Any],
        *,
        refresh_seconds: float = REFRESH_SECONDS,
        pause_seconds: float = SHORTEST_PAUSE_SECONDS,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self.changed: Callable[[], None] = lambda: None
        self._refresh_seconds = refresh_seconds
        self._pause_seconds = pause_seconds
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._keys: Mapping[str, PublicKey] = {}
        self._read_at = float("-inf")
        self._waiters = threading.BoundedSemaphore(_WAITERS)
        self._turn = threading.Condition()
        self._begun = 0
        self._done = 0
        self._wanted = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="jwks", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopping.set()
        self._wanted.set()
        self._thread.join()

    def find(self, kid: str) -> PublicKey | None:
        """The key of that name.

        For an unknown one a refresh may be due: two callers wait for it, a second at most, and all others are
        told at once that there is none, so that invented names cannot hold threads.
        """
        found = self._keys.get(kid)
        if found is not None or len(kid) > _MAX_KID:
            return found
        if not self._is_due():
            # The set may have been read since.
            return self._keys.get(kid)
        if not self._waiters.acquire(blocking=False):
            return None
        try:
            with self._turn:
                # The turn under way may have read the set before the key was added: the next one counts.
                mine = self._begun + 1
                self._wanted.set()
                self._turn.wait_for(lambda: self._done >= mine, self._wait_seconds)
            return self._keys.get(kid)
        finally:
            self._waiters.release()

    def refresh(self) -> bool:
        """Read the set now; False where it could not be had, and then nothing has changed."""
        before = self._keys
        try:
            self._keys = public_keys(self._source())
        except (CallFailed, AddressForbidden, OSError, ValueError) as failure:
            log.warning("jwks.failed", detail=_detail(failure), keys=len(self._keys))
            return False
        finally:
            # After the keys: who sees that the set was just read sees what it brought.
            self._read_at = self._clock()
        if _identities(self._keys) != _identities(before):
            self.changed()
            log.info("jwks.changed", keys=len(self._keys))
        return True

    def _is_due(self) -> bool:
        return self._clock() - self._read_at >= self._pause_seconds

    def _run(self) -> None:
        while True:
            with self._turn:
                # Before the look, or it could take away the word of a stop that comes between the two.
                self._wanted.clear()
                self._begun += 1
            if self._stopping.is_set():
                return
            try:
                if self._is_due():
                    self.refresh()
            except Exception:
                # The thread outlives whatever a source can answer; the last good keys stay.
                log.exception("jwks.failed")
            with self._turn:
                self._done = self._begun
                self._turn.notify_all()
            self._wanted.wait(self._refresh_seconds)


def public_keys(document: Any) -> dict[str, PublicKey]:
    """The usable keys of a set (RFC 7517); others are passed over. Raises ValueError where there is none."""
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise ValueError("it is no key set: there is no list `keys`")  # noqa: TRY004  (of a document)
    found: dict[str, PublicKey] = {}
    for each in listed[:_MAX_KEYS]:
        key = _public_key(each) if isinstance(each, dict) else None
        if key is not None:
            found.setdefault(each["kid"], key)
    if not found:
        raise ValueError("it holds no key for RS256, ES256 or EdDSA with a kid")
    return found


def _public_key(described: dict[str, Any]) -> PublicKey | None:
    kid, kty = described.get("kid"), described.get("kty")
    crv = None if kty == "RSA" else described.get("crv")
    algorithm = _ALGORITHMS.get((kty, crv)) if isinstance(kty, str) and isinstance(crv, str | None) else None
    fits = described.get("alg", algorithm) == algorithm and described.get("use", "sig") == "sig"
    if algorithm is None or not fits or not isinstance(kid, str) or not 0 < len(kid) <= _MAX_KID:
        return None
    # Should somebody have published a private key, only its public half is taken.
    public = {name: value for name, value in described.items() if name in _PUBLIC_MEMBERS}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return None if kty == "RSA" and key.key_size < _MIN_RSA_BITS else PublicKey(algorithm, key)


def _identities(keys: Mapping[str, PublicKey]) -> dict[str, tuple[str, object]]:
    return {kid: _identity(each) for kid, each in keys.items()}


def _identity(key: PublicKey) -> tuple[str, object]:
    numbers = getattr(key.key, "public_numbers", None)
    return key.algorithm, numbers() if numbers is not None else key.key.public_bytes_raw()


def _detail(failure: Exception) -> str:
    """Our own words: what libraries say may hold the document."""
    if isinstance(failure, CallFailed):
        return failure.detail
    if isinstance(failure, AddressForbidden):
        return failure.message
    return "the file cannot be read" if isinstance(failure, OSError) else "it is no key set"
