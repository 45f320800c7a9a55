"""Between rows, JSON and domain dataclasses, derived from the dataclass's annotations."""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from psycopg.types.json import Jsonb
from pydantic import TypeAdapter, ValidationError

if TYPE_CHECKING:
    from collections.abc import Hashable

    from imrs_server.storage.sql import Row

T = TypeVar("T")


class Shape(Generic[T]):
    """Turns rows whose columns are named like the fields into a dataclass, and back into JSON."""

    def __init__(self, cls: type[T]) -> None:
        self._adapter = TypeAdapter(cls)

    def __call__(self, row: Row) -> T:
        """A row as the dataclass; further columns are passed over, nulls leave the field's default."""
        return self._adapter.validate_python({name: v for name, v in row.items() if v is not None})

    def parse(self, row: str) -> T:
        """A row as JSON text as the dataclass."""
        try:
            return self._adapter.validate_json(row)
        except ValidationError:
            # A null that leaves a field's default is seldom, and half as fast.
            return self(json.loads(row))

    def json(self, value: T) -> dict[str, Any]:
        """Plain JSON values; what is None is left out."""
        found: dict[str, Any] = self._adapter.dump_python(value, mode="json", exclude_none=True)
        return found

    def column(self, value: T | None) -> Jsonb | None:
        """A value for a jsonb column."""
        return None if value is None else Jsonb(self.json(value))


def shape(cls: type[T]) -> Shape[T]:
    """The one shape of a class."""
    return _shape(cast("Hashable", cls))


@cache
def _shape(cls: Hashable) -> Shape[Any]:
    return Shape(cast("type[Any]", cls))
