"""Connections that only go where ``AddressRules`` allow, and end when their deadline does."""

from __future__ import annotations

import queue
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import httpcore

from imrs_server.adapters.addresses import parse_address

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence

    from imrs_server.adapters.addresses import Address, AddressRules


# A name with many addresses must not turn into many connect timeouts.
_ADDRESSES_TRIED = 3
# How long a wait may go on after somebody else has cut the deadline.
_SLICE_SECONDS = 0.25
# A look-up cannot be interrupted; this many may hang before further ones are refused.
_LOOKUPS = threading.BoundedSemaphore(16)


class Deadline:
    """The moment by which a call, with all its retries, must be over.

    It can be moved, and cut by another thread, while the call waits.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds
        self._is_cut = False

    @property
    def is_cut(self) -> bool:
        """Whether nobody waits any more."""
        return self._is_cut

    def cut(self) -> None:
        """It is over now, for good: reads that wait end within a moment."""
        self._is_cut = True

    def move(self, seconds: float) -> None:
        """Let it end so many seconds from now, unless it was cut."""
        self._end = self._clock() + seconds

    def remaining(self, at_most: float | None = None) -> float:
        """Seconds left, never negative, at most ``at_most``."""
        left = 0.0 if self._is_cut else max(0.0, self._end - self._clock())
        return left if at_most is None else min(left, at_most)


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of a name. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class GuardedBackend(httpcore.NetworkBackend):
    """Makes the connections of one call, or of one after the other where a connection is kept.

    ``deadline`` is that of the call that has it now; its connections obey it.

    The name is resolved once, every address is checked, and the connection goes to a checked address, so a
    second look-up cannot bring another one (DNS rebinding). Host header, SNI and certificate keep the name:
    TLS starts after this.
    """

    def __init__(
        self,
        rules: AddressRules,
        resolver: Callable[[str, int], Sequence[str]],
        deadline: Deadline,
        scheme: str,
    ) -> None:
        self._rules = rules
        self._resolver = resolver
        self._scheme = scheme
        self._tcp = httpcore.SyncBackend()
        self.deadline = deadline
        self.has_connected = False
        """Whether this call made a connection, and so found none that was kept."""
        self.has_heard = False
        """Whether anything came in answer to this call."""

    def begin(self, deadline: Deadline) -> None:
        """The next call has it."""
        self.deadline = deadline
        self.has_connected = self.has_heard = False

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to a checked address. Raises AddressForbidden, and httpcore's errors."""
        self.has_connected = True
        addresses = self._checked(host, port, timeout)
        error: httpcore.NetworkError | httpcore.TimeoutException = httpcore.ConnectError("no address")
        for address in addresses[:_ADDRESSES_TRIED]:
            seconds = self.deadline.remaining(timeout)
            if seconds <= 0:
                raise httpcore.ConnectTimeout("deadline")
            try:
                stream = self._tcp.connect_tcp(str(address), port, seconds, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as failure:
                error = failure
            else:
                return BoundedStream(stream, self)
        raise error

    def _checked(self, host: str, port: int, timeout: float | None) -> list[Address]:
        try:
            texts: Sequence[str] = [str(parse_address(host))]
        except ValueError:
            texts = self._looked_up(host, port, self.deadline.remaining(timeout))
        try:
            addresses = [parse_address(text) for text in texts]
        except ValueError:
            raise httpcore.ConnectError("the resolver gave no address") from None
        for address in addresses:
            self._check(address, host, port)
        return addresses

    def _check(self, address: Address, host: str, port: int) -> None:
        self._rules.check_address(address, host=host, port=port, scheme=self._scheme)

    def _looked_up(self, host: str, port: int, seconds: float) -> Sequence[str]:
        """Resolve in a thread of its own, since a look-up has no timeout."""
        end = Deadline(seconds)
        if not _LOOKUPS.acquire(timeout=seconds):
            raise httpcore.ConnectTimeout("too many look-ups hang")
        answer: queue.SimpleQueue[Sequence[str] | OSError | UnicodeError] = queue.SimpleQueue()

        def look_up() -> None:
            try:
                answer.put(self._resolver(host, port))
            except (OSError, UnicodeError) as failure:
                answer.put(failure)
            finally:
                _LOOKUPS.release()

        try:
            threading.Thread(target=look_up, name="resolve", daemon=True).start()
        except RuntimeError:
            _LOOKUPS.release()
            raise httpcore.ConnectError("no thread is left to look up the name") from None
        try:
            found = answer.get(timeout=end.remaining())
        except queue.Empty:
            raise httpcore.ConnectTimeout("the look-up takes too long") from None
        if isinstance(found, OSError | UnicodeError):
            raise httpcore.ConnectError("the name does not resolve")
        return found


class ProxyBackend(GuardedBackend):
    """Makes connections to the proxy and nowhere else; whatever address it has, the operator chose it."""

    def __init__(
        self,
        proxy: tuple[str, int],
        rules: AddressRules,
        resolver: Callable[[str, int], Sequence[str]],
        deadline: Deadline,
    ) -> None:
        super().__init__(rules, resolver, deadline, "http")
        self._proxy = proxy

    def _check(self, address: Address, host: str, port: int) -> None:
        del address
        if (host.lower(), port) != self._proxy:
            raise httpcore.ConnectError("not the proxy")


class BoundedStream(httpcore.NetworkStream):
    """A stream whose every wait is cut at the deadline: a peer that drips bytes resets no clock."""

    def __init__(self, stream: httpcore.NetworkStream, backend: GuardedBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        deadline = self._backend.deadline
        silence = Deadline(float("inf") if timeout is None else timeout)
        while (seconds := deadline.remaining(silence.remaining())) > _SLICE_SECONDS:
            with suppress(httpcore.ReadTimeout):
                return self._heard(self._stream.read(max_bytes, _SLICE_SECONDS))
        if seconds <= 0:
            raise httpcore.ReadTimeout("deadline")
        return self._heard(self._stream.read(max_bytes, seconds))

    def _heard(self, data: bytes) -> bytes:
        if data:
            self._backend.has_heard = True
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        seconds = self._backend.deadline.remaining(timeout)
        if seconds <= 0:
            raise httpcore.WriteTimeout("deadline")
        self._stream.write(buffer, seconds)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        seconds = self._backend.deadline.remaining(timeout)
        if seconds <= 0:
            self._stream.close()
            raise httpcore.ConnectTimeout("deadline")
        return BoundedStream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
