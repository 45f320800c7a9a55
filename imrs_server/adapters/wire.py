"""One request and its answer over one line, in the words of HTTP; failures in ours."""

from __future__ import annotations

import ssl
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import TYPE_CHECKING

import httpcore
import httpx

from imrs_server.adapters.failures import CutOff, TimedOut, Unreachable, Untrusted, Unusable
from imrs_server.adapters.network import Deadline

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.connections import Line
    from imrs_server.adapters.http import Call, Timing

# So long, and for so much, the end of an answer is waited for when all that counts was read.
_FINISH_SECONDS = 0.05
_FINISH_BYTES = 64 << 10


class Response:
    """The beginning of an answer, and the rest of it as it comes."""

    def __init__(self, answer: httpcore.Response, line: Line) -> None:
        self.status = answer.status
        self.headers = _headers(answer)
        self.chunks: Iterator[bytes] = answer.iter_stream()
        self._line = line

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def finish(self) -> None:
        """Read to the end what comes at once: all that counts was read."""
        self._line.backend.deadline = Deadline(_FINISH_SECONDS)
        size = 0
        # What goes wrong here costs no more than the connection.
        with suppress(httpcore.ProtocolError, httpcore.NetworkError, httpcore.TimeoutException):
            for chunk in self.chunks:
                size += len(chunk)
                if size > _FINISH_BYTES:
                    return


def request(call: Call, timing: Timing, *, is_kept: bool) -> httpcore.Request:
    """What goes out. Raises httpx.InvalidURL."""
    url = _url(call.url)
    headers = {
        "accept": "application/json",
        "accept-encoding": "identity",
        "user-agent": "imrs",
        "connection": "keep-alive" if is_kept else "close",
        **call.headers,
    }
    encoded = [(b"host", url.netloc)]
    encoded += [(name.encode("ascii"), value.encode()) for name, value in headers.items()]
    if call.body is not None:
        encoded += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(call.body))]
    silence, connect = timing.read_seconds, timing.connect_seconds
    return httpcore.Request(
        "GET" if call.body is None else "POST",
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=encoded,
        content=call.body,
        extensions={"timeout": {"connect": connect, "read": silence, "write": silence, "pool": silence}},
    )


@lru_cache(maxsize=1024)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def _headers(answer: httpcore.Response) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in answer.headers:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


@contextmanager
def own_words() -> Iterator[None]:
    """Turn httpcore's errors into ours; their text may hold the URL, so none of it is kept."""
    try:
        yield
    except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout) as failure:
        if _is_about_certificate(failure):
            raise Untrusted("its TLS certificate is not valid") from None
        raise Unreachable("no connection", again=True) from None
    except httpcore.ProxyError:
        raise Unreachable("the proxy does not let it through") from None
    except httpcore.TimeoutException:
        raise TimedOut("no answer in time") from None
    except httpcore.LocalProtocolError:
        raise Unusable("the key or a header has characters that HTTP forbids") from None
    except httpcore.ProtocolError:
        raise CutOff("the answer breaks the rules of HTTP, or was cut off") from None
    except (httpcore.UnsupportedProtocol, httpx.InvalidURL):
        raise Unusable("the URL is not one of HTTP") from None
    except httpcore.NetworkError:
        raise Unreachable("the connection broke") from None


def _is_about_certificate(failure: BaseException | None) -> bool:
    while failure is not None:
        if isinstance(failure, ssl.SSLCertVerificationError):
            return True
        failure = failure.__cause__ or failure.__context__
    return False
