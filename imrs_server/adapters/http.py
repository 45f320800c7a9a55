"""The HTTP client for addresses that people configure: guarded, bounded, and silent about keys.

No redirects, no cookies, no proxy but the one it is given, no decompression (a 1 MiB answer can inflate to
2 GiB). Every call has a deadline that covers retries, headers and body.
"""

from __future__ import annotations

import copy
import logging
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpcore
import httpx

from imrs_server.adapters import json_stream, wire
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.connections import IDLE_SECONDS, Connections, Line, Place
from imrs_server.adapters.failures import CallFailed
from imrs_server.adapters.network import Deadline, GuardedBackend, ProxyBackend, resolve
from imrs_server.adapters.verdicts import chunks, require_plain, require_success
from imrs_server.adapters.wire import Response, own_words
from imrs_server.domain.errors import AddressForbidden

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from urllib.parse import SplitResult

    from imrs_server.adapters.proxy import Proxy

# They log whole URLs at INFO and whole headers at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_DOCUMENT_BYTES = 8 << 20
_RECEIPT_BYTES = 1 << 20
# Who gave up a connection says so at once; who takes longer may have begun to work, and to charge.
_GIVEN_UP_SECONDS = 1.0
_NOWHERE = "https://0.0.0.0:1/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. A body makes it a POST of JSON. The key goes into ``headers``, never into the URL.

    Good is an answer with status 200, or any 2xx with ``any_success``.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes | None = field(default=None, repr=False)
    any_success: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer as it came, good or not; header names in lower case. ``body`` raises CallFailed.

    Who has read all that counts calls ``finish``, so that the connection can serve again: it reads what
    comes at once, and only waits a moment for the end.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Iterator[bytes] = field(repr=False)
    finish: Callable[[], None] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Bounds of a call in seconds, and of its retries (full jitter: uniform in 0..base * 2^n)."""

    connect_seconds: float = 2.0
    read_seconds: float = 5.0
    tries: int = 3
    backoff_seconds: float = 0.5
    backoff_cap_seconds: float = 8.0


class GuardedClient:
    """Calls what ``rules`` allow. Thread-safe.

    Up to ``kept`` connections stay open for calls to the same place; with 0 each call has its own.
    Certificates of the authorities in ``ca_bundle`` (PEM) are trusted beside those of the public ones. What
    ``proxy`` takes goes through it: the proxy resolves the name, so only what the URL tells is checked.
    ``resolver``, ``clock``, ``sleep`` and ``jitter`` are the outside world, passed in for tests.
    """

    def __init__(
        self,
        rules: AddressRules | None = None,
        *,
        timing: Timing | None = None,
        ca_bundle: str | None = None,
        proxy: Proxy | None = None,
        kept: int = 0,
        resolver: Callable[[str, int], Sequence[str]] = resolve,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.rules = rules or AddressRules()
        self._timing = timing or Timing()
        self._tls = httpx.create_ssl_context(trust_env=False)
        if ca_bundle is not None:
            self._tls.load_verify_locations(cafile=ca_bundle)
        self._proxy = proxy
        self._resolver = resolver
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._permit: Callable[[], None] = _permitted
        self._kept = kept
        self._connections = Connections(self._line, kept, clock)
        self._prove_guard()

    def close(self) -> None:
        """Close the connections that are kept."""
        self._connections.close()

    def limited(self, permit: Callable[[], None]) -> GuardedClient:
        """The same client, which asks before each try; ``permit`` raises RateLimited where it may not."""
        found = copy.copy(self)
        found._permit = permit  # noqa: SLF001  (of the same class)
        return found

    def deadline(self, seconds: float) -> Deadline:
        """A deadline on this client's clock."""
        return Deadline(seconds, self._clock)

    def get_json(self, call: Call, deadline: Deadline) -> Any:
        """The whole document of a small answer (1 MiB). Raises AddressForbidden and CallFailed."""
        with self._answer(call, deadline, _DOCUMENT_BYTES) as chunks:
            return json_stream.document(chunks)

    def post(self, call: Call, deadline: Deadline) -> bytes:
        """Send something that a good status acknowledges. Raises AddressForbidden and CallFailed.

        Returns the answer's body, and none where it is cut off or larger than 1 MiB: what was sent has been
        taken, and sending it again would not help.
        """
        with self._answer(call, deadline, _RECEIPT_BYTES) as chunks:
            try:
                return b"".join(chunks)
            except CallFailed:
                return b""

    @contextmanager
    def items(
        self, call: Call, deadline: Deadline, keys: Collection[str], max_bytes: int
    ) -> Iterator[json_stream.ItemStream]:
        """The items of a long answer, read while they are used. Raises AddressForbidden and CallFailed."""
        with self._answer(call, deadline, max_bytes) as chunks:
            yield json_stream.ItemStream(chunks, keys)

    @contextmanager
    def exchange(self, call: Call, deadline: Deadline, max_bytes: int) -> Iterator[Answer]:
        """One try, and whatever it brings: for a caller that judges statuses itself.

        Raises AddressForbidden and CallFailed.
        """
        target = self._checked(call)
        with ExitStack() as stack:
            response = self._sent(call, deadline, target, stack)
            require_plain(response)
            yield Answer(
                status=response.status,
                headers=response.headers,
                body=chunks(response, max_bytes),
                finish=response.finish,
            )

    @contextmanager
    def _answer(self, call: Call, deadline: Deadline, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """The body of a good answer, in chunks; tries again where that may help."""
        target = self._checked(call)
        with ExitStack() as stack:
            response = self._opened(call, deadline, target, stack)
            yield chunks(response, max_bytes)

    def _checked(self, call: Call) -> SplitResult:
        target = self.rules.check_url(call.url)
        if self._is_proxied(target):
            self.rules.check_unresolved(target)
        return target

    def _is_proxied(self, target: SplitResult) -> bool:
        return self._proxy is not None and self._proxy.takes(target)

    def _opened(self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack) -> Response:
        left = self._timing.tries
        while True:
            left -= 1
            with ExitStack() as attempt:
                try:
                    response = self._attempt(call, deadline, target, attempt)
                except CallFailed as failure:
                    pause = self._pause(failure, self._timing.tries - left)
                    if not failure.again or left <= 0 or pause >= deadline.remaining():
                        raise
                else:
                    stack.push(attempt.pop_all())
                    return response
            self._sleep(pause)

    def _attempt(self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack) -> Response:
        response = self._sent(call, deadline, target, stack)
        with own_words():
            if not (call.any_success and response.is_success):
                require_success(response)
        return response

    def _sent(self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack) -> Response:
        self._permit()
        with own_words():
            request = wire.request(call, self._timing, is_kept=self._kept > 0)
            place = Place(target.scheme, target.hostname or "", target.port or 0, self._is_proxied(target))
            line = self._connections.take(place, deadline)
            begun_seconds = self._clock()
            try:
                return self._over(line, request, stack)
            except (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError):
                # A connection that was kept, and that the other side gave up just then: it heard nothing.
                waited_seconds = self._clock() - begun_seconds
                if not line.is_reused or line.backend.has_heard or waited_seconds > _GIVEN_UP_SECONDS:
                    raise
            return self._over(self._connections.take(place, deadline, fresh=True), request, stack)

    def _over(self, line: Line, request: httpcore.Request, stack: ExitStack) -> Response:
        """Send the request; when ``stack`` is left, the line is kept or closed."""
        try:
            answer = line.pool.handle_request(request)
        except BaseException:
            line.close()
            raise
        stack.callback(self._connections.give, line)
        stack.callback(answer.close)
        return Response(answer, line)

    def _line(self, place: Place, deadline: Deadline) -> Line:
        kept = min(self._kept, 1)
        backend: GuardedBackend
        pool: httpcore.ConnectionPool
        if not place.is_proxied or self._proxy is None:
            backend = GuardedBackend(self.rules, self._resolver, deadline, place.scheme)
            pool = httpcore.ConnectionPool(
                ssl_context=self._tls,
                max_connections=1,
                max_keepalive_connections=kept,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=backend,
            )
        else:
            proxy = self._proxy
            backend = ProxyBackend((proxy.host, proxy.port), self.rules, self._resolver, deadline)
            pool = httpcore.HTTPProxy(
                proxy_url=proxy.url,
                proxy_auth=proxy.auth,
                proxy_ssl_context=self._tls if proxy.scheme == "https" else None,
                ssl_context=self._tls,
                max_connections=1,
                max_keepalive_connections=kept,
                keepalive_expiry=IDLE_SECONDS,
                network_backend=backend,
            )
        return Line(place, pool, backend, self._clock())

    def _pause(self, failure: CallFailed, attempt: int) -> float:
        """Seconds before the next try: what the answer asked for, else full jitter."""
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        ceiling = self._timing.backoff_seconds * (1 << (attempt - 1))
        return self._jitter() * min(self._timing.backoff_cap_seconds, ceiling)

    def _prove_guard(self) -> None:
        """Refuse to start when connections do not pass the guard: it hangs on how httpcore calls it.

        The address means this very machine: nothing would leave it even if the guard were gone.
        """
        target = urlsplit(_NOWHERE)
        try:
            with ExitStack() as stack:
                self._sent(Call(url=_NOWHERE), Deadline(0.2), target, stack)
        except AddressForbidden:
            return
        except CallFailed:
            pass
        raise RuntimeError("this version of httpcore goes round the address guard; install httpcore 1.0")


def _permitted() -> None:
    """Nobody counts."""
