"""Undoing a sync: which of its changes still stand, and can be taken back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imrs_server.domain.model import Lifecycle, Provenance
from imrs_server.domain.sync import Action

if TYPE_CHECKING:
    from imrs_server.domain.sync import ModelChange

# One without the others would be a price that nobody ever asked.
_PRICES = frozenset(
    {"price_state", "input_price_usd", "output_price_usd", "cached_input_price_usd", "cost_tier"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo:
    """What to do with one model: put ``fields`` back to what they were, and set ``values``."""

    fields: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


def undone(change: ModelChange, current: Mapping[str, Any]) -> Undo | None:
    """How to take a change back from a model as it is now, JSON values; None where nothing of it is left.

    A field gets its value back unless it has another one by now, or an admin has spoken for it since. Prices
    are one group. A model that the sync added is retired: agents may refer to it, so it is not removed.
    """
    if change.action is Action.ADDED:
        if current["lifecycle"] != change.after.get("lifecycle"):
            return None
        return Undo(values={"lifecycle": Lifecycle.RETIRED})
    changed = change.before.keys() | change.after.keys()
    by_admin = _said(current["provenance"], admin=True)
    same = {
        name
        for name in changed - {"provenance"} - by_admin.keys()
        if current.get(name) == change.after.get(name)
    }
    if not changed & _PRICES <= same:
        same -= _PRICES
    values = {}
    if "provenance" in changed:
        was, became = (each.get("provenance", {}) for each in (change.before, change.after))
        if _said(current["provenance"], admin=False) == _said(became, admin=False):
            values["provenance"] = _said(was, admin=False) | by_admin
    return Undo(fields=tuple(sorted(same)), values=values) if same or values else None


def _said(provenance: Mapping[str, str], *, admin: bool) -> dict[str, str]:
    return {name: source for name, source in provenance.items() if (source == Provenance.ADMIN) is admin}
