"""Call parameters, merged field by field over the levels of configuration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """What goes into the model call. None is "not set here"; an empty ``stop`` is "set to nothing"."""

    temperature: float | None = None
    top_p: float | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    extra: dict[str, Any] = field(default_factory=dict)


UNSET = Parameters()

_NAMES = tuple(each.name for each in fields(Parameters) if each.name != "extra")
_values = attrgetter(*_NAMES)


def merge(*levels: Parameters) -> Parameters:
    """Merge from the weakest level to the strongest: the last to set a field wins, ``extra`` key by key.

    A null in ``extra`` takes the key away from what lies below, so it stays until ``resolve``.
    """
    merged: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    for level in levels:
        if level is UNSET:
            continue
        values = zip(_NAMES, _values(level), strict=True)
        merged |= {name: value for name, value in values if value is not None}
        extra |= level.extra
    return Parameters(**merged, extra=extra)


def resolve(*levels: Parameters) -> Parameters:
    """Merge all levels there are: what a call is made with."""
    merged = merge(*levels)
    if None not in merged.extra.values():
        return merged
    return replace(merged, extra={key: value for key, value in merged.extra.items() if value is not None})


def origins(levels: Mapping[str, Parameters]) -> dict[str, str]:
    """Which level each merged value comes from: field, or ``extra.key``, to the name of the level.

    ``levels`` go from the weakest to the strongest, as in ``merge``.
    """
    found: dict[str, str] = {}
    for name, level in levels.items():
        for each in fields(Parameters):
            value = getattr(level, each.name)
            if each.name == "extra":
                found |= {f"extra.{key}": name for key in value}
                for key in (key for key, given in value.items() if given is None):
                    del found[f"extra.{key}"]
            elif value is not None:
                found[each.name] = name
    return found
