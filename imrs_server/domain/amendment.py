"""Changes of a part of a field: what comes out depends on what is there when the change is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class Amendment:
    """Stands for the new value of a field that changes in part.

    ``of`` takes the thing as it is and answers the value. It raises InvalidRequest where the part is right
    and the whole is not.
    """

    of: Callable[[Any], Any]


def amended(thing: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The new values of fields, now that the thing is known; it must be locked until they are written."""
    return {
        name: value.of(thing) if isinstance(value, Amendment) else value for name, value in fields.items()
    }
