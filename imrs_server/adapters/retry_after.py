"""How long a provider asks to wait, in all the spellings that providers use."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Longer waits are for the schedule, not for a caller; the providers' own SDKs stop here too.
CAP_SECONDS = 60.0

_GO_DURATION = re.compile(
    r"(?:([0-9]+)h)?(?:([0-9]+)m(?!s))?(?:([0-9]+(?:\.[0-9]+)?)s)?(?:([0-9]+(?:\.[0-9]+)?)ms)?"
)
_RESETS = re.compile(r"(?:x|anthropic)-ratelimit-(?:reset(?P<of>-\w+)?|(?P<kind>[a-z-]+)-reset)")


def wait_seconds(headers: Mapping[str, str], body: bytes, now: datetime) -> float | None:
    """The wait that an answer with status 429 or 503 asks for, 0 to CAP_SECONDS; None when it says nothing.

    In this order: ``retry-after-ms``; ``retry-after`` in seconds or as an HTTP date; google.rpc.RetryInfo in
    the body; the reset headers of exhausted limits (Go duration, epoch in s or ms, RFC 3339). Header names
    must be lower case.
    """
    found = (
        _number(headers.get("retry-after-ms"), 1000),
        _retry_after(headers.get("retry-after"), now),
        _retry_info(body),
        _reset(headers, now),
    )
    seconds = next((each for each in found if each is not None), None)
    return None if seconds is None else min(max(seconds, 0.0), CAP_SECONDS)


def _number(text: str | None, per_second: float = 1) -> float | None:
    if text is None or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,9})?", text.strip()):
        return None
    return float(text) / per_second


def _retry_after(text: str | None, now: datetime) -> float | None:
    if text is None:
        return None
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        return _until(parsedate_to_datetime(text), now)
    except (ValueError, OverflowError):
        return None


def _reset(headers: Mapping[str, str], now: datetime) -> float | None:
    exhausted: list[float] = []
    others: list[float] = []
    for name, text in headers.items():
        match = _RESETS.fullmatch(name)
        if match is None:
            continue
        seconds = _moment(text.strip(), now)
        if seconds is not None:
            spent = headers.get(name.replace("reset", "remaining")) == "0"
            (exhausted if spent else others).append(seconds)
    if exhausted:
        return max(exhausted)
    return min(others) if others else None


def _moment(text: str, now: datetime) -> float | None:
    match = _GO_DURATION.fullmatch(text)
    if match and any(match.groups()):
        hours, minutes, seconds, millis = (float(part or 0) for part in match.groups())
        return hours * 3600 + minutes * 60 + seconds + millis / 1000
    number = _number(text)
    if number is not None:
        # Seconds to wait, seconds since 1970 or milliseconds since 1970: they do not overlap.
        if number < 1e8:
            return number
        return number / (1000 if number > 1e11 else 1) - now.timestamp()
    try:
        return _until(datetime.fromisoformat(text), now)
    except (ValueError, OverflowError):
        return None


def _retry_info(body: bytes) -> float | None:
    try:
        details = json.loads(body)["error"]["details"]
        delays = [each["retryDelay"] for each in details if "retryDelay" in each]
        return _moment(delays[0], now=datetime.now(UTC)) if delays else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _until(time: datetime, now: datetime) -> float:
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return (aware - now).total_seconds()
