"""Carries out what was planned for the things of one kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain.configuration import Action
from imrs_server.use_cases.configuration.error_lines import naming_line
from imrs_server.use_cases.configuration.pool import EndpointKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from imrs_server.use_cases.configuration.hand import Hand
    from imrs_server.use_cases.configuration.kind import Kind
    from imrs_server.use_cases.configuration.planning import Step


def do_all(hand: Hand, kind: Kind, steps: Sequence[Step]) -> None:
    """Raises what the API's own methods raise, with the line of the file."""
    if isinstance(kind, EndpointKind):
        kind.hold(hand, [each.change for each in steps if each.action is not Action.UNCHANGED])
    for step in in_order(kind, steps):
        do(hand, kind, step)


def in_order(kind: Kind, steps: Iterable[Step]) -> list[Step]:
    """By their ids, for others too touch more than one of a kind in this order."""
    first = Action.DELETE if kind.deletes_first else None
    return sorted(steps, key=lambda each: (each.action is not first, each.target.id))


def back_in_order(kind: Kind, steps: Iterable[Step]) -> list[Step]:
    """The other way round for what may stand where another one was: who was there before comes in later."""
    if not kind.deletes_first:
        return in_order(kind, steps)
    last_first = sorted(steps, key=lambda each: each.target.id, reverse=True)
    return sorted(last_first, key=lambda each: each.action is Action.CREATE)


def do(hand: Hand, kind: Kind, step: Step) -> None:
    """One of the steps. Raises as ``do_all``."""
    with naming_line(step.wanted):
        if step.action is Action.CREATE:
            kind.create(hand, step.target.id, step.wanted)
        elif step.action is Action.UPDATE:
            changed = [each.field for each in step.change.diffs]
            kind.update(hand, step.target.id, step.fields, changed, step.wanted.fields.keys())
        elif step.action is Action.DELETE:
            kind.delete(hand, step.target.id, step.fields)
