"""Takes an apply back, but for what others have changed or deleted since."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain.configuration import Action, Owned, PlannedChange, Wanted
from imrs_server.domain.errors import Code, DomainError
from imrs_server.use_cases.configuration import execution
from imrs_server.use_cases.configuration.agency import AgentKind
from imrs_server.use_cases.configuration.planning import NOT_THERE, Step, gone, updated, without_none

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.configuration import Apply, Target, Thing
    from imrs_server.use_cases.configuration.hand import Hand
    from imrs_server.use_cases.configuration.kind import Kind

# What was right when it was done, and is not now: a database that is away is another matter.
_NOT_ANY_MORE = {Code.NOT_FOUND, Code.INVALID_ARGUMENT}


def take_back(hand: Hand, kinds: Iterable[Kind], apply: Apply) -> tuple[PlannedChange, ...]:
    """What was done, and what is left as it is, with the fields as drifted.

    Kind by kind, as things are made; but agents go last: what belongs to one is changed while it is there.
    """
    told: dict[Target, PlannedChange] = {}
    going: list[tuple[Kind, Step]] = []
    for kind in kinds:
        changes = {each.target: each for each in apply.changes if each.target.section == kind.section}
        # Held first: what others change or delete in this moment was not there to be undone.
        kind.hold(hand, list(changes.values()))
        things = kind.read(hand.tx, [target.id for target in changes])
        told |= {target: _left(change) for target, change in changes.items()}
        back = [_back(kind, each, things.get(each.target.id, NOT_THERE)) for each in changes.values()]
        for step in execution.back_in_order(kind, filter(None, back)):
            goes_last = isinstance(kind, AgentKind) and step.action is Action.DELETE
            if goes_last:
                going.append((kind, step))
            if goes_last or _done(hand, kind, step):
                told[step.target] = step.change
    for kind, step in going:
        execution.do(hand, kind, step)
    return tuple(told.values())


def _done(hand: Hand, kind: Kind, step: Step) -> bool:
    """Whether it could be: others may have deleted what it needs, or made what does not go with it."""
    try:
        with hand.tx.transaction():
            execution.do(hand, kind, step)
    except DomainError as error:
        if error.code not in _NOT_ANY_MORE:
            raise
        return False
    return True


def _back(kind: Kind, change: PlannedChange, thing: Thing) -> Step | None:
    """None where others have made it so that there is nothing to take back."""
    before = {each.field: each.before for each in change.diffs}
    after = {each.field: each.after for each in change.diffs}
    if change.action is Action.CREATE:
        given = Owned(target=change.target, fields=without_none(after))
        # A model may have been made to be disabled.
        there = thing.alive or (thing.fields and after.get("enabled") is False)
        return gone(kind, change.target, thing, given) if there else None
    if change.action is Action.DELETE:
        if thing.alive:
            return None
        fields = without_none(before)
        diffs = tuple(replace(each, before=None, after=each.before) for each in change.diffs)
        again = PlannedChange(action=Action.CREATE, target=change.target, diffs=diffs)
        # Nobody says it anew: what is deleted softly comes back as it was.
        return Step(change=again, wanted=Wanted(initial=fields), fields=fields)
    if not thing.alive:
        return None
    mine = {path: before[path] for path in before if thing.fields.get(path) == after[path]}
    step = updated(change.target, Wanted(fields=without_none(mine)), thing, mine, None)
    return replace(step, change=replace(step.change, drifted=tuple(sorted(before.keys() - mine.keys()))))


def _left(change: PlannedChange) -> PlannedChange:
    """It is there no more, or there again, by the hand of somebody else; or it does not fit any more."""
    drifted = tuple(sorted(each.field for each in change.diffs))
    return PlannedChange(action=Action.UNCHANGED, target=change.target, drifted=drifted)
