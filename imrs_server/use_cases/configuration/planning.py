"""What has to happen so that things become as a file says."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from imrs_server.domain.configuration import (
    Action,
    FieldDiff,
    Flat,
    Owned,
    PlannedChange,
    Target,
    Thing,
    Wanted,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.use_cases.configuration.kind import Kind

NOT_THERE = Thing(fields={}, alive=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing: what becomes of it, what was wanted, and all fields that it has afterwards."""

    change: PlannedChange
    wanted: Wanted
    fields: Flat

    @property
    def action(self) -> Action:
        return self.change.action

    @property
    def target(self) -> Target:
        return self.change.target


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What a plan is made from. ``shared`` are things that other files own too."""

    wanted: Mapping[Target, Wanted]
    owned: Mapping[Target, Owned]
    shared: Collection[Target]
    pruned: Collection[str] = ()


def steps(kind: Kind, things: Mapping[str, Thing], outlook: Outlook) -> Iterator[Step]:
    """For the things of one kind: first those that the file names, then those that it takes away."""
    named = {target.id for target in outlook.wanted if target.section == kind.section}
    for target, wanted in outlook.wanted.items():
        if target.section == kind.section:
            yield _named(kind, target, wanted, things.get(target.id, NOT_THERE), outlook.owned.get(target))
    for key, thing in sorted(things.items()):
        target = Target(kind.section, key)
        if key not in named and thing.alive and target not in outlook.shared:
            owned = outlook.owned.get(target)
            if kind.lasting:
                if owned is not None and owned.created:
                    left = {path: kind.blank.get(path) for path in owned.fields}
                    yield updated(target, Wanted(), thing, left, owned)
            elif owned.created if owned else kind.section in outlook.pruned:
                yield gone(kind, target, thing, owned)


def _named(kind: Kind, target: Target, wanted: Wanted, thing: Thing, owned: Owned | None) -> Step:
    wanted = _settled(wanted, thing, owned)
    # Said to be disabled, a model is as it shall be.
    if not thing.alive and not (thing.fields and wanted.fields.get("enabled") is False):
        created = wanted.initial | wanted.fields
        diffs = tuple(FieldDiff(field=path, after=created[path]) for path in sorted(created))
        drifted = () if owned is None else tuple(sorted(owned.fields))
        change = PlannedChange(action=Action.CREATE, target=target, diffs=diffs, drifted=drifted)
        return Step(change=change, wanted=wanted, fields=created)
    # What the file no longer says is as if nobody had said it.
    left = {
        path: kind.blank.get(path)
        for path in (owned.fields if owned else ())
        if path not in wanted.fields and path in thing.fields
    }
    return updated(target, wanted, thing, left | wanted.fields, owned)


def updated(target: Target, wanted: Wanted, thing: Thing, after: Flat, owned: Owned | None) -> Step:
    diffs = tuple(
        FieldDiff(field=path, before=thing.fields.get(path), after=after[path])
        for path in sorted(after)
        if thing.fields.get(path) != after[path]
    )
    given = owned.fields if owned else {}
    drifted = tuple(each.field for each in diffs if each.field in given and given[each.field] != each.before)
    action = Action.UPDATE if diffs else Action.UNCHANGED
    change = PlannedChange(action=action, target=target, diffs=diffs, drifted=drifted)
    return Step(change=change, wanted=wanted, fields=without_none(thing.fields | after))


def _settled(wanted: Wanted, thing: Thing, owned: Owned | None) -> Wanted:
    """What others name and somebody else has made stays as it is."""
    if wanted.implied and thing.alive and (owned is None or not owned.fields):
        return replace(wanted, fields={})
    return wanted


def gone(kind: Kind, target: Target, thing: Thing, owned: Owned | None) -> Step:
    diffs = tuple(
        FieldDiff(field=path, before=value)
        for path, value in sorted(thing.fields.items())
        # That a model is enabled is what goes, though it is nothing special.
        if value != kind.blank.get(path) or path == "enabled"
    )
    change = PlannedChange(action=Action.DELETE, target=target, diffs=diffs)
    return Step(change=change, wanted=Wanted(), fields=owned.fields if owned else {})


def as_done(change: PlannedChange, thing: Thing | None) -> PlannedChange:
    """A change with the values that the thing really has after it."""
    if change.action is Action.DELETE or thing is None:
        return change
    diffs = tuple(replace(each, after=thing.fields.get(each.field)) for each in change.diffs)
    return replace(change, diffs=diffs)


def without_none(fields: Flat) -> Flat:
    return {path: value for path, value in fields.items() if value is not None}
