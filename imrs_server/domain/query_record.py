"""What a request asked, as it is kept with its decision: as JSON, and only what is not as by default."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args, get_origin, get_type_hints

if TYPE_CHECKING:
    from collections.abc import Hashable

T = TypeVar("T")


def to_json(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that are not as by default."""
    found = {}
    for name, default in _defaults(cast("Hashable", type(value))).items():
        field = getattr(value, name)
        if field != default:
            found[name] = _plain(field)
    return found


def from_json(cls: type[T], kept: dict[str, Any]) -> T:
    """The inverse of ``to_json``; what this version has no field for is left out."""
    shapes = _shapes(cast("Hashable", cls))
    return cls(**{name: _shaped(shapes[name], value) for name, value in kept.items() if name in shapes})


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return to_json(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return list(value) if isinstance(value, tuple) else value


def _shaped(shape: Any, value: Any) -> Any:
    if value is None or shape is None:
        return value
    return from_json(cast("type[Any]", shape), value) if is_dataclass(shape) else shape(value)


@lru_cache
def _defaults(cls: type[Any]) -> dict[str, Any]:
    """Each field with its default; what has none is always kept."""
    return {
        each.name: each.default_factory() if each.default_factory is not MISSING else each.default
        for each in fields(cls)
    }


@lru_cache
def _shapes(cls: type[Any]) -> dict[str, Any]:
    """Each field with what makes its value from JSON: a collection, a dataclass; None where it is plain."""
    return {name: _shape(hint) for name, hint in get_type_hints(cls).items()}


def _shape(hint: Any) -> Any:
    for each in (hint, *get_args(hint)):
        kind = get_origin(each) or each
        if kind in {tuple, frozenset} or is_dataclass(kind):
            return kind
    return None
