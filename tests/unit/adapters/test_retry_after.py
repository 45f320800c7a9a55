"""All the ways in which providers say how long to wait."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from imrs_server.adapters.retry_after import wait_seconds

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
EPOCH = NOW.timestamp()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30),
        ({"retry-after": "Sat, 21 Nov 2020 12:00:30 GMT"}, 0),
        ({"retry-after": "Sun, 01 Jan 2099 00:00:00 GMT"}, 60),
        ({"retry-after": "86400"}, 60),
        ({"x-ratelimit-reset-requests": "1m3s"}, 60),
        ({"x-ratelimit-reset-requests": "12ms"}, 0.012),
        ({"x-ratelimit-reset-tokens": "6.5s"}, 6.5),
        ({"x-ratelimit-reset": f"{int(EPOCH * 1000) + 4000}"}, 4),
        ({"x-ratelimit-reset": f"{int(EPOCH) + 5}"}, 5),
        ({"x-ratelimit-reset": "3"}, 3),
        ({"anthropic-ratelimit-tokens-reset": "2026-11-21T12:00:08Z"}, 8),
    ],
)
def test_each_spelling_is_understood(headers: dict[str, str], seconds: float) -> None:
    assert wait_seconds(headers, b"", NOW) == pytest.approx(seconds)


def test_the_reset_of_the_exhausted_limit_counts() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "20s",
        "x-ratelimit-remaining-tokens": "17",
        "x-ratelimit-reset-tokens": "2s",
        "anthropic-ratelimit-tokens-remaining": "5",
        "anthropic-ratelimit-tokens-reset": "2026-11-21T12:00:01Z",
    }

    assert wait_seconds(headers, b"", NOW) == 20


def test_google_says_it_in_the_body() -> None:
    body = {
        "error": {"code": 429, "details": [{"@type": "x"}, {"@type": "y/RetryInfo", "retryDelay": "34s"}]}
    }

    assert wait_seconds({}, json.dumps(body).encode(), NOW) == 34


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e9", "NaN", "9" * 400, "Sat, 99 Nov 2026", "\u0663"])
def test_nonsense_says_nothing(text: str) -> None:
    headers = {"retry-after": text, "retry-after-ms": text, "x-ratelimit-reset": text}

    assert wait_seconds(headers, b"", NOW) is None


@pytest.mark.parametrize(
    "body", [b"<html>", b"[]", b'{"error": "no"}', b'{"error": {"details": [3]}}', b"[" * 100_000, b"\xff"]
)
def test_any_body_is_harmless(body: bytes) -> None:
    assert wait_seconds({}, body, NOW) is None
