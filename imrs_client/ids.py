"""Identifiers that carry their own time: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import os
import threading
import uuid
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from struct import iter_unpack
from time import time_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["derived_id", "new_id", "time_of"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_VERSION_7 = 7 << 76
_VARIANT = 0b10 << 62
_TAIL = (1 << 62) - 1
_STEP = (1 << 32) - 1
_COUNTER_BITS = 74

_NOISE_BYTES = 10
# To ask the system for each id's own would give other threads the turn, in the middle of every decision.
_STOCK_BYTES = 400 * _NOISE_BYTES

_lock = threading.Lock()
_last = 0
"""Milliseconds and counter of the newest id of this process, as one number: one comparison orders two ids."""
_stock: Iterator[int] = iter(())
"""Random numbers that no id has used."""


def _forget() -> None:
    # A fork may copy the lock while another thread of the parent holds it, and copies the random numbers.
    global _last, _lock, _stock
    _last, _lock, _stock = 0, threading.Lock(), iter(())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def new_id(now: datetime | None = None) -> uuid.UUID:
    """A fresh UUIDv7: 48 bits of milliseconds since 1970, then 74 bits, random at first.

    Ids made without `now` rise strictly within a process: in the same millisecond, or when the clock steps
    back, the 74 bits grow by a random 32-bit step (RFC 9562, section 6.2, method 2), so that the next id
    stays unguessable. With `now` (timezone-aware, 1970 or later) the id has that time and fresh random bits,
    and no order within one millisecond.
    """
    global _last  # noqa: PLW0603  one clock per process is the point
    if now is not None:
        milliseconds = (now - _EPOCH) // _MILLISECOND
        return _assemble(milliseconds << _COUNTER_BITS | int.from_bytes(os.urandom(10)) >> 6)
    with _lock:
        noise = next(_stock, None) or _restocked()
        fresh = (time_ns() // 1_000_000) << _COUNTER_BITS | noise >> 6
        if fresh >> _COUNTER_BITS > _last >> _COUNTER_BITS:
            _last = fresh
        else:
            _last += 1 + (noise & _STEP)
        return _assemble(_last)


def derived_id(time: datetime, seed: bytes) -> uuid.UUID:
    """The UUIDv7 of something that has none: always the same for the same time and seed.

    `time` (timezone-aware, 1970 or later) counts to the millisecond; the other 74 bits are of the SHA-256 of
    the seed.
    """
    milliseconds = (time - _EPOCH) // _MILLISECOND
    return _assemble(milliseconds << _COUNTER_BITS | int.from_bytes(sha256(seed).digest()[:10]) >> 6)


def time_of(value: uuid.UUID | str) -> datetime | None:
    """The time, in UTC and to the millisecond, inside a UUIDv7; None for any other UUID or text."""
    if isinstance(value, str):
        try:
            value = uuid.UUID(value)
        except ValueError:
            return None
    if value.version != 7 or value.variant != uuid.RFC_4122:
        return None
    try:
        return _EPOCH + (value.int >> 80) * _MILLISECOND
    except OverflowError:
        # 48 bits reach beyond the year 9999.
        return None


def _restocked() -> int:
    """The first of new random numbers."""
    global _stock  # noqa: PLW0603  it belongs to the clock
    _stock = (int.from_bytes(each) for (each,) in iter_unpack(f"{_NOISE_BYTES}s", os.urandom(_STOCK_BYTES)))
    return next(_stock)


def _assemble(clock: int) -> uuid.UUID:
    high, low = clock >> 62, clock & _TAIL
    return uuid.UUID(int=(high >> 12) << 80 | _VERSION_7 | (high & 0xFFF) << 64 | _VARIANT | low)
