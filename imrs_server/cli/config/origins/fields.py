"""The fields of one thing of another system: each is taken once, and what nobody takes is noted."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final, TypeVar

from imrs_server.cli.config.origins.reading import Place
from imrs_server.cli.history.columns import NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


T = TypeVar("T")

_TRUE: Final = frozenset({"1", "t", "true", "y", "yes"})
_FALSE: Final = frozenset({"0", "f", "false", "n", "no"})
_PER_THOUSAND: Final = Decimal(1000)
_SHOWN: Final = 60


@dataclass(frozen=True, slots=True)
class Note:
    """What could not be taken over: where it stands, what it is, and why; ``times`` in all."""

    place: Place
    what: str
    why: str
    times: int = 1


@dataclass(slots=True)
class Notes:
    """Notes in the order in which they came; of many equal ones in a file the first is kept, and counted."""

    _first: dict[tuple[str, str, str], Place] = field(default_factory=dict)
    _times: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def add(self, place: Place, what: str, why: str) -> None:
        key = (place.file.partition("#")[0], what, why)
        self._first.setdefault(key, place)
        self._times[key] += 1

    def __iter__(self) -> Iterator[Note]:
        for key, place in self._first.items():
            yield Note(place, key[1], key[2], self._times[key])


class Fields:
    """The fields of one row or mapping. ``ignored`` ones are known and mean nothing here."""

    def __init__(
        self, values: Mapping[str, Any], place: Place, notes: Notes, *, ignored: tuple[str, ...] = ()
    ) -> None:
        self._values = {name: value for name, value in values.items() if not _is_nothing(value)}
        self._left = set(self._values) - set(ignored)
        self._notes = notes
        self.place = place

    def take(self, read: Callable[[Any], T], *names: str) -> T | None:
        """The first of these that there is; None, and a note, for one that cannot be read."""
        for name in names:
            if name in self._values:
                self._left.discard(name)
                try:
                    return read(self._values[name])
                except ValueError as error:
                    self._notes.add(self.place, name, f"{error}, not {_short(self._values[name])}")
                    return None
        return None

    def has(self, name: str) -> bool:
        return name in self._values

    def note(self, what: str, why: str) -> None:
        self._notes.add(self.place, what, why)

    def close(self) -> None:
        """Note what nobody took."""
        for name in sorted(self._left):
            self._notes.add(self.place, name, "has no place in a configuration file")


def text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004  (what a file says wrong is one kind of error)
    return value.strip()


def name(value: Any) -> str:
    """Text, or a number that is used as a name."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else text(value)


def number(value: Any) -> float:
    if isinstance(value, bool):
        raise ValueError("must be a number")  # noqa: TRY004  (see text)
    try:
        found = float(value)
    except (ValueError, TypeError, OverflowError):
        raise ValueError("must be a number") from None
    if not math.isfinite(found):
        raise ValueError("must be a finite number")
    return found


def whole(value: Any) -> int:
    found = number(value)
    if not found.is_integer():
        raise ValueError("must be a whole number")
    return int(found)


def truth(value: Any) -> bool:
    told = str(value).strip().lower()
    if told not in _TRUE | _FALSE:
        raise ValueError("must be true or false")
    return told in _TRUE


def usd(value: Any) -> Decimal:
    """USD per 1M tokens."""
    if isinstance(value, bool):
        raise ValueError("must be a price in USD")  # noqa: TRY004  (see text)
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError("must be a price in USD") from None
    if not found.is_finite() or found < 0:
        raise ValueError("must be a price in USD")
    return found.normalize()


def usd_of_thousand(value: Any) -> Decimal:
    """USD per 1k tokens as USD per 1M."""
    return (usd(value) * _PER_THOUSAND).normalize()


def words(value: Any) -> list[str]:
    """A list, JSON of one, or words between commas."""
    found = value
    if isinstance(value, str):
        found = (
            _json(value, "must be a list") if value.lstrip().startswith("[") else re.split(r"[,;|]", value)
        )
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError("must be a list of words")
    return [each.strip() for each in found if each.strip()]


def mapping(value: Any) -> dict[str, Any]:
    """A mapping, or JSON of one."""
    found = _json(value, "must be a JSON object") if isinstance(value, str) else value
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found):
        raise ValueError("must be a JSON object")
    return found


def _json(value: str, wanted: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValueError(wanted) from None


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and value.strip() in NOTHING)


def _short(value: Any) -> str:
    told = repr(value)
    return told if len(told) <= _SHOWN else f"{told[: _SHOWN - 3]}..."
