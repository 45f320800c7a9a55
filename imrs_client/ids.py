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
_TIME_SHIFT = 80
_VERSION_7 = 7 << 76
_VARIANT = 0b10 << 62
_TAIL = (1 << 62) - 1
_STEP = (1 << 32) - 1
# Ids of one millisecond are counted up from where this bit is not set, and not beyond where it is (RFC 9562,
# section 6.2, "counter rollover guard").
_GUARD = 1 << 61

_NOISE_BYTES = 10
# To ask the system for each id's own would give other threads the turn, in the middle of every decision.
_STOCK_BYTES = 400 * _NOISE_BYTES

_new, _set, _UNKNOWN = object.__new__, object.__setattr__, uuid.SafeUUID.unknown

_lock = threading.Lock()
_last = 0
"""The newest id of this process as a number: one comparison orders two ids."""
_stock: Iterator[int] = iter(())
"""What no id has used yet: the 80 bits beside the time, random but for version, variant and guard."""


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
        return uuid.UUID(int=milliseconds << _TIME_SHIFT | _beside(int.from_bytes(os.urandom(_NOISE_BYTES))))
    with _lock:
        fresh = next(_stock, None) or _restocked()
        milliseconds = time_ns() // 1_000_000
        if milliseconds > _last >> _TIME_SHIFT:
            _last = milliseconds << _TIME_SHIFT | fresh
        elif _last & _GUARD:
            _last = ((_last >> _TIME_SHIFT) + 1) << _TIME_SHIFT | fresh
        else:
            _last += 1 + (fresh & _STEP)
        found = _last
    # What UUID(int=found) makes, without its checks: this is in every decision.
    made = _new(uuid.UUID)
    _set(made, "int", found)
    _set(made, "is_safe", _UNKNOWN)
    return made


def derived_id(time: datetime, seed: bytes) -> uuid.UUID:
    """The UUIDv7 of something that has none: always the same for the same time and seed.

    `time` (timezone-aware, 1970 or later) counts to the millisecond; the other 74 bits are of the SHA-256 of
    the seed.
    """
    milliseconds = (time - _EPOCH) // _MILLISECOND
    noise = int.from_bytes(sha256(seed).digest()[:_NOISE_BYTES])
    return uuid.UUID(int=milliseconds << _TIME_SHIFT | _beside(noise))


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
        return _EPOCH + (value.int >> _TIME_SHIFT) * _MILLISECOND
    except OverflowError:
        # 48 bits reach beyond the year 9999.
        return None


def _restocked() -> int:
    """The first of new random ones."""
    global _stock  # noqa: PLW0603  it belongs to the clock
    noise = (int.from_bytes(each) for (each,) in iter_unpack(f"{_NOISE_BYTES}s", os.urandom(_STOCK_BYTES)))
    _stock = iter([_beside(each) & ~_GUARD for each in noise])
    return next(_stock)


def _beside(noise: int) -> int:
    """The 80 bits of an id beside its time, from as many: 74 of them, with version and variant."""
    return _VERSION_7 | (noise >> 68) << 64 | _VARIANT | noise >> 6 & _TAIL
