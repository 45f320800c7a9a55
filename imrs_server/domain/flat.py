"""Things as fields by dotted paths, so that they can be compared and owned field by field.

Values are JSON in one form only: money without zeros at the end, lengths of time as ``45d`` or ``90s``. What
is None is not there.
"""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from imrs_server.domain.configuration import Flat

# Mappings that are taken apart; all others are one value.
NESTED = frozenset({"parameters", "routing", "routing.shadow", "labels", "data_policy", "task_rules"})
# Of these nothing is there where nothing is said, not even an empty list or map.
_ALL_OR_NOTHING = ("routing.shadow.", "data_policy.")
_DURATIONS = frozenset({"sync_interval", "half_life", "window", "ttl"})
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))
_WRITTEN = re.compile(r"([0-9.]+)([dhms])")
_ISO = re.compile(
    r"P(?:([0-9]+)Y)?(?:([0-9]+)W)?(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?(?:([0-9.]+)S)?)?"
)


def flatten(plain: Mapping[str, Any], only: Collection[str] = ()) -> Flat:
    """The fields of a thing, those named in ``only`` or all."""
    chosen = {name: value for name, value in plain.items() if not only or name in only}
    return dict(_leaves(chosen, ""))


def _leaves(plain: Mapping[str, Any], prefix: str) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for name, value in plain.items():
        path = f"{prefix}{name}"
        if path in NESTED and isinstance(value, dict):
            found += _leaves(value, f"{path}.")
        elif value is not None and not (prefix in _ALL_OR_NOTHING and value in ({}, [])):
            found.append((path, _canonical(name, value)))
    return found


def unflatten(flat: Flat) -> dict[str, Any]:
    """Fields as the thing has them; lengths of time become such."""
    return nest({path: _domain(path.rpartition(".")[2], value) for path, value in flat.items()})


def nest(flat: Flat) -> dict[str, Any]:
    """Fields by paths as mappings in mappings."""
    plain: dict[str, Any] = {}
    for path, value in flat.items():
        below, name = plain, path
        prefix = ""
        while True:
            head, dot, rest = name.partition(".")
            if not dot or f"{prefix}{head}" not in NESTED:
                break
            below = below.setdefault(head, {})
            prefix, name = f"{prefix}{head}.", rest
        below[name] = value
    return plain


def top(path: str) -> str:
    """The field of the thing that a path is in."""
    head = path.partition(".")[0]
    return head if head in NESTED else path


def duration_text(length: timedelta) -> str:
    """``45d``, ``12h``, ``90s`` or ``1.5s``: the largest unit that needs no fraction."""
    seconds = length / timedelta(seconds=1)
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def money_text(amount: Decimal | str) -> str:
    """Without an exponent and without zeros at the end."""
    text = f"{Decimal(amount):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _canonical(name: str, value: Any) -> Any:
    if name.endswith("_usd"):
        return money_text(value)
    if name in _DURATIONS and isinstance(value, str):
        return duration_text(_length(value))
    return value


def _domain(name: str, value: Any) -> Any:
    return _length(value) if name in _DURATIONS and isinstance(value, str) else value


def _length(text: str) -> timedelta:
    """Of ``45d``, or of ISO 8601 as dataclasses are stored."""
    written = _WRITTEN.fullmatch(text)
    if written:
        unit = dict(_UNITS).get(written[2], 1)
        return timedelta(seconds=float(written[1]) * unit)
    iso = _ISO.fullmatch(text)
    assert iso is not None, text
    years, weeks, days, hours, minutes, seconds = (float(each or 0) for each in iso.groups())
    return timedelta(weeks=weeks, days=years * 365 + days, hours=hours, minutes=minutes, seconds=seconds)
