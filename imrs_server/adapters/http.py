"""The HTTP client for addresses that people configure: guarded, bounded, and silent about keys.

No redirects, no cookies, no proxy but the one it is given, no decompression (a 1 MiB answer can inflate to
2 GiB), one connection a call. Every call has a deadline that covers retries, headers and body.
"""

from __future__ import annotations

import logging
import random
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpcore
import httpx

from imrs_server.adapters import json_stream
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import (
    CallFailed,
    CutOff,
    RateLimited,
    TimedOut,
    Unreachable,
    Untrusted,
    Unusable,
)
from imrs_server.adapters.network import Deadline, GuardedBackend, ProxyBackend, resolve
from imrs_server.adapters.retry_after import wait_seconds
from imrs_server.domain.errors import AddressForbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from urllib.parse import SplitResult

    from imrs_server.adapters.proxy import Proxy

# They log whole URLs at INFO and whole headers at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

_ERROR_BODY_BYTES = 64 << 10
_DOCUMENT_BYTES = 8 << 20
_RECEIPT_BYTES = 1 << 20
_NOWHERE = "https://0.0.0.0:1/"
_UNKNOWN_KEY = b"API_KEY_INVALID"
_SPENT = (b"enforced_spend_limit_reached", b"insufficient_quota")


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
    """An answer as it came, good or not; header names in lower case. ``body`` raises CallFailed."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Iterator[bytes] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Bounds of a call in seconds, and of its retries (full jitter: uniform in 0..base * 2^n)."""

    connect_seconds: float = 2.0
    read_seconds: float = 5.0
    tries: int = 3
    backoff_seconds: float = 0.5
    backoff_cap_seconds: float = 8.0


class GuardedClient:
    """Calls what ``rules`` allow. Thread-safe: it holds no connection and no state.

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
        self._prove_guard()

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
            _require_plain(response)
            yield Answer(
                status=response.status_code, headers=response.headers, body=_chunks(response, max_bytes)
            )

    @contextmanager
    def _answer(self, call: Call, deadline: Deadline, max_bytes: int) -> Iterator[Iterator[bytes]]:
        """The body of a good answer, in chunks; tries again where that may help."""
        target = self._checked(call)
        with ExitStack() as stack:
            response = self._opened(call, deadline, target, stack)
            yield _chunks(response, max_bytes)

    def _checked(self, call: Call) -> SplitResult:
        target = self.rules.check_url(call.url)
        if self._is_proxied(target):
            self.rules.check_unresolved(target)
        return target

    def _is_proxied(self, target: SplitResult) -> bool:
        return self._proxy is not None and self._proxy.takes(target)

    def _opened(
        self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack
    ) -> httpx.Response:
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

    def _attempt(
        self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack
    ) -> httpx.Response:
        response = self._sent(call, deadline, target, stack)
        with _own_words():
            if not (call.any_success and response.is_success):
                _require_success(response)
        return response

    def _sent(self, call: Call, deadline: Deadline, target: SplitResult, stack: ExitStack) -> httpx.Response:
        client = stack.enter_context(self._client(deadline, target))
        headers = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "imrs"}
        encoded = [
            (name.encode("ascii"), value.encode()) for name, value in {**headers, **call.headers}.items()
        ]
        if call.body is not None:
            encoded.append((b"content-type", b"application/json"))
        method = "GET" if call.body is None else "POST"
        with _own_words():
            return stack.enter_context(client.stream(method, call.url, headers=encoded, content=call.body))

    def _client(self, deadline: Deadline, target: SplitResult) -> httpx.Client:
        timing = self._timing
        timeout = httpx.Timeout(timing.read_seconds, connect=timing.connect_seconds)
        return httpx.Client(
            transport=_GuardedTransport(self._pool(deadline, target), self._tls),
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
        )

    def _pool(self, deadline: Deadline, target: SplitResult) -> httpcore.ConnectionPool:
        if self._proxy is None or not self._proxy.takes(target):
            return httpcore.ConnectionPool(
                ssl_context=self._tls,
                max_connections=1,
                max_keepalive_connections=0,
                network_backend=GuardedBackend(self.rules, self._resolver, deadline, target.scheme),
            )
        proxy = self._proxy
        return httpcore.HTTPProxy(
            proxy_url=proxy.url,
            proxy_auth=proxy.auth,
            proxy_ssl_context=self._tls if proxy.scheme == "https" else None,
            ssl_context=self._tls,
            max_connections=1,
            max_keepalive_connections=0,
            network_backend=ProxyBackend((proxy.host, proxy.port), self.rules, self._resolver, deadline),
        )

    def _pause(self, failure: CallFailed, attempt: int) -> float:
        """Seconds before the next try: what the answer asked for, else full jitter."""
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        ceiling = self._timing.backoff_seconds * (1 << (attempt - 1))
        return self._jitter() * min(self._timing.backoff_cap_seconds, ceiling)

    def _prove_guard(self) -> None:
        """Refuse to start when connections do not pass the guard: it hangs on an attribute of httpx.

        The address means this very machine: nothing would leave it even if the guard were gone.
        """
        try:
            with self._client(Deadline(0.2), urlsplit(_NOWHERE)) as client:
                client.get(_NOWHERE)
        except AddressForbidden:
            return
        except httpx.HTTPError:
            pass
        raise RuntimeError("this version of httpx goes round the address guard; install httpx 0.28")


class _GuardedTransport(httpx.HTTPTransport):
    def __init__(self, pool: httpcore.ConnectionPool, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = pool


def _require_success(response: httpx.Response) -> None:
    status = response.status_code
    if status == 200:
        _require_plain(response)
        return
    if 300 <= status < 400:
        raise Unusable("it redirects, which is never followed; give the final address", status=status)
    # Google says 400 to a key that it does not know.
    if status in (401, 403) or (status == 400 and _UNKNOWN_KEY in _error_body(response)):
        raise Unusable("it refuses the key", status=status)
    if status not in (408, 429) and status < 500:
        raise Unusable("the address or the request is not what it understands", status=status)
    body = _error_body(response)
    wait = wait_seconds(response.headers, body, datetime.now(UTC))
    if status == 429:
        spent = any(word in body for word in _SPENT) or response.headers.get("x-should-retry") == "false"
        raise RateLimited("too many calls", status=status, retry_after_seconds=wait, again=not spent)
    again = status in (502, 503, 504)
    raise Unreachable("it has a failure of its own", status=status, retry_after_seconds=wait, again=again)


def _require_plain(response: httpx.Response) -> None:
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Unusable("the answer is compressed, which was not asked for", status=response.status_code)


def _error_body(response: httpx.Response) -> bytes:
    body = b""
    try:
        for chunk in response.iter_raw():
            body += chunk
            if len(body) >= _ERROR_BODY_BYTES:
                break
    except httpx.HTTPError:
        # The status has said enough.
        return body
    return body


def _chunks(response: httpx.Response, max_bytes: int) -> Iterator[bytes]:
    size = 0
    with _own_words():
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > max_bytes:
                raise Unusable(f"the answer is larger than {max_bytes >> 20} MiB")
            yield chunk


@contextmanager
def _own_words() -> Iterator[None]:
    """Turn httpx's errors into ours; their text may hold the URL, so none of it is kept."""
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as failure:
        if _is_about_certificate(failure):
            raise Untrusted("its TLS certificate is not valid") from None
        raise Unreachable("no connection", again=True) from None
    except httpx.ProxyError:
        raise Unreachable("the proxy does not let it through") from None
    except httpx.TimeoutException:
        raise TimedOut("no answer in time") from None
    except httpx.LocalProtocolError:
        raise Unusable("the key or a header has characters that HTTP forbids") from None
    except (httpx.ProtocolError, httpx.DecodingError):
        raise CutOff("the answer breaks the rules of HTTP, or was cut off") from None
    except httpx.UnsupportedProtocol:
        raise Unusable("the URL is not one of HTTP") from None
    except (httpx.HTTPError, httpx.InvalidURL):
        raise Unreachable("the connection broke") from None


def _is_about_certificate(failure: BaseException | None) -> bool:
    while failure is not None:
        if isinstance(failure, ssl.SSLCertVerificationError):
            return True
        failure = failure.__cause__ or failure.__context__
    return False
