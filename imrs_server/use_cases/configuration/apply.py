"""Applies configuration files: all of a file in one transaction, or nothing of it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NoReturn

from imrs_client.ids import new_id
from imrs_server.config_file import file
from imrs_server.config_file.render import render
from imrs_server.domain.configuration import Action, AppliedAlready, Apply, Owned, Plan
from imrs_server.domain.errors import InvalidRequest, ModelNotFound, RoleRequired, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import changes, configuration
from imrs_server.use_cases.configuration import drift, execution, planning, undo
from imrs_server.use_cases.configuration.agency import AgentKind, AgentModelKind, RuleKind
from imrs_server.use_cases.configuration.catalogue import ModelKind, PreferenceKind, ProviderKind
from imrs_server.use_cases.configuration.error_lines import naming_line
from imrs_server.use_cases.configuration.export import sections
from imrs_server.use_cases.configuration.hand import Hand
from imrs_server.use_cases.configuration.planning import Outlook, Step
from imrs_server.use_cases.configuration.pool import EndpointKind
from imrs_server.use_cases.configuration.settings import DefaultsKind
from imrs_server.use_cases.configuration.spending import BudgetKind
from imrs_server.use_cases.configuration.wanted import GLOBAL, PLATFORM, references, wanted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.config_file.file import Document
    from imrs_server.domain.configuration import PlannedChange, Target, Thing, Wanted
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx
    from imrs_server.use_cases.configuration.kind import Kind


class _Previewed(Exception):
    """Takes back what was only tried, and carries what it would have done."""

    def __init__(self, plan: Plan, revision: int) -> None:
        super().__init__()
        self.written = Written(plan, revision)


class Configuration:
    """A file is applied for a tenant, or by a platform admin for none when nothing in it belongs to one.

    What a file owns is kept by its name, ``source``. ``rules`` refuse addresses that may never be called.
    """

    def __init__(self, database: Database, rules: AddressRules) -> None:
        self._database = database
        self._rules = rules

    def apply(
        self,
        who: Principal,
        tenant_id: UUID | None,
        text: str,
        *,
        source: str,
        environment: str = "",
        validate_only: bool = False,
        prune: bool = False,
        news_only: bool = False,
    ) -> Written[Plan]:
        """Make things as the file says.

        What the file had created and no longer names is deleted; with ``prune``, of the sections that it has,
        also what no file created. ``validate_only`` does everything and takes it back. With ``news_only``,
        a file that is as it was when it was last applied is left at that, with what was edited since. Raises
        ConfigInvalid, RoleRequired before anything is written, AppliedAlready, and whatever the API's own
        methods raise for what a file says, with the place in the file.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        document = file.read(text, environment)
        found = wanted(document)
        scope = _scope(who, tenant_id, found)
        digest = _digest(document.environment, text)
        if not who.is_platform_admin:
            _require_only_tenant(found)
        pruned = _pruned(document) if prune else frozenset()

        def work(tx: Tx, hand: Hand) -> Plan:
            if news_only and configuration.applied(tx, scope, source, digest):
                raise AppliedAlready
            owned = configuration.owned(tx, scope, source)
            mine = found
            if not who.is_platform_admin:
                mine = _mine(self._things(tx, scope, found), found)
                owned = {target: each for target, each in owned.items() if not _is_platform(target)}
            shared = configuration.owned_elsewhere(tx, scope, source, PLATFORM)
            outlook = Outlook(wanted=mine, owned=owned, shared=shared, pruned=pruned)
            steps, done = self._done(hand, scope, outlook)
            now = _owned_now(steps, mine, owned)
            configuration.own(
                tx, scope, source, [each for each in now.values() if each != owned.get(each.target)]
            )
            configuration.disown(tx, scope, source, owned.keys() - now.keys())
            configuration.note_applied(tx, scope, source, digest)
            plan = Plan(changes=tuple(each.change for each in steps))
            if plan.changing:
                apply = Apply(
                    apply_id=new_id(),
                    source=source,
                    environment=document.environment,
                    actor=who.subject,
                    changes=tuple(done),
                    owned=tuple(owned.values()),
                )
                configuration.remember(tx, scope, apply)
            return plan

        return self._transact(who, scope, "ApplyConfig", work, validate_only=validate_only)

    def undo(
        self, who: Principal, tenant_id: UUID | None, *, source: str, validate_only: bool = False
    ) -> Written[Plan]:
        """Take the last apply of a file back, but for what others have changed since; again, the one before.

        What is left for that reason, or because what it needs is gone, such as its agent, is UNCHANGED in the
        plan, or a part of it, with the fields as drifted.
        Raises InvalidRequest where there is none, RoleRequired for what belongs to the platform.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)

        def work(tx: Tx, hand: Hand) -> Plan:
            last = configuration.last(tx, scope, source)
            if last is None:
                raise InvalidRequest(Violation("source", f"{source} has no apply that could be undone"))
            if any(_is_platform(each.target) for each in last.changes):
                who.require(Role.PLATFORM_ADMIN)
            done = undo.take_back(hand, self._kinds(scope), last)
            now = configuration.owned(tx, scope, source)
            if not _concerns_platform(last):
                # A tenant's admin applied it, and did not touch what the file owns of the platform.
                now = {target: each for target, each in now.items() if not _is_platform(target)}
            configuration.own(tx, scope, source, last.owned)
            configuration.disown(tx, scope, source, now.keys() - {each.target for each in last.owned})
            configuration.undone(tx, last.apply_id)
            return Plan(changes=done)

        return self._transact(who, scope, "UndoConfig", work, validate_only=validate_only)

    def export(self, who: Principal, tenant_id: UUID | None) -> str:
        """Everything that the caller may apply, as a file for which there is nothing to do."""
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        scope = who.scope(tenant_id)
        with self._database.transaction(scope) as tx:
            return render(sections(tx, scope, platform=who.is_platform_admin))

    def drift(self) -> int:
        """How many things are not as configuration files gave them, of all tenants."""
        with self._database.system() as tx:
            return drift.count(tx, self._kinds)

    def _transact(
        self,
        who: Principal,
        tenant_id: UUID | None,
        method: str,
        work: Callable[[Tx, Hand], Plan],
        *,
        validate_only: bool,
    ) -> Written[Plan]:
        """Do the work as one change, or see what it would do."""
        # What belongs to the platform concerns standing rules of every tenant.
        transaction = (
            self._database.system() if who.is_platform_admin else self._database.transaction(tenant_id)
        )
        try:
            with transaction as tx:
                configuration.take_turns(tx, tenant_id, platform=who.is_platform_admin)
                hand = Hand(tx, who, tenant_id, method)
                plan = work(tx, hand)
                if validate_only:
                    _take_back(plan, changes.current(tx).rev)
                return Written(plan, hand.announce())
        except _Previewed as previewed:
            return previewed.written

    def _kinds(self, tenant_id: UUID | None) -> tuple[Kind, ...]:
        """In the order in which things are made."""
        return (
            ProviderKind(self._rules),
            ModelKind(),
            EndpointKind(self._rules),
            PreferenceKind(),
            DefaultsKind(tenant_id),
            AgentKind(tenant_id),
            RuleKind(tenant_id),
            AgentModelKind(tenant_id),
            BudgetKind(tenant_id),
        )

    def _things(
        self, tx: Tx, tenant_id: UUID | None, targets: Iterable[Target]
    ) -> dict[str, dict[str, Thing]]:
        """By section and id, what there is of these."""
        wanted = list(targets)
        return {
            kind.section: kind.read(tx, [each.id for each in wanted if each.section == kind.section])
            for kind in self._kinds(tenant_id)
        }

    def _done(
        self, hand: Hand, tenant_id: UUID | None, outlook: Outlook
    ) -> tuple[list[Step], list[PlannedChange]]:
        """Plan and do one kind after the other, for the later ones see what the earlier ones did.

        The steps, and what they really changed: what nobody says any more becomes what follows from the rest.
        """
        found: list[Step] = []
        done: list[PlannedChange] = []
        asked = {*outlook.wanted, *outlook.owned}
        named = [each.id for each in outlook.wanted if each.section == "agents"]
        for kind in self._kinds(tenant_id):
            ids = [each.id for each in asked if each.section == kind.section]
            every = kind.section in outlook.pruned
            things = kind.read(hand.tx, ids, all=every, of=named if every else ())
            steps = list(planning.steps(kind, things, outlook))
            execution.do_all(hand, kind, steps)
            found += steps
            changing = [each.change for each in steps if each.action is not Action.UNCHANGED]
            now = kind.read(hand.tx, [each.target.id for each in changing]) if changing else {}
            done += [planning.as_done(each, now.get(each.target.id)) for each in changing]
        _require_consistent(found, outlook.wanted)
        return found, done


def _require_consistent(steps: Sequence[Step], wanted: Mapping[Target, Wanted]) -> None:
    """Raises ModelNotFound where a file still names a model that goes with it."""
    gone = {
        each.target.id for each in steps if each.target.section == "models" and each.action is Action.DELETE
    }
    for target, each in wanted.items() if gone else ():
        for model_id in sorted(gone.intersection(references(target, each))):
            with naming_line(each):
                raise ModelNotFound(model_id=model_id)


def _take_back(plan: Plan, revision: int) -> NoReturn:
    raise _Previewed(plan, revision)


def _scope(who: Principal, tenant_id: UUID | None, found: Mapping[Target, Wanted]) -> UUID | None:
    """The tenant that a file is for; none for a file in which nothing belongs to one."""
    if any(not _is_platform(target) for target in found):
        return who.tenant(tenant_id)
    return who.scope(tenant_id)


def _digest(environment: str, text: str) -> bytes:
    """What tells whether a file is the one that was last applied: an environment makes it another one."""
    return hashlib.sha256(f"{environment}\0{text}".encode()).digest()


def _is_platform(target: Target) -> bool:
    return target.section in PLATFORM or target == GLOBAL


def _concerns_platform(apply: Apply) -> bool:
    targets = [each.target for each in apply.changes] + [each.target for each in apply.owned]
    return any(map(_is_platform, targets))


def _require_only_tenant(found: Mapping[Target, Wanted]) -> None:
    """Raises RoleRequired where a section belongs to the platform."""
    for target, each in found.items():
        if _is_platform(target) and not each.implied:
            with naming_line(each):
                raise RoleRequired(roles=Role.PLATFORM_ADMIN)


def _mine(things: Mapping[str, Mapping[str, Thing]], found: Mapping[Target, Wanted]) -> dict[Target, Wanted]:
    """Without what others name, which a tenant's admin may use but not make. Raises RoleRequired."""
    for target, each in found.items():
        if each.implied:
            thing = things[target.section].get(target.id)
            if thing is None or not thing.alive:
                with naming_line(each):
                    raise RoleRequired(roles=Role.PLATFORM_ADMIN)
    return {target: each for target, each in found.items() if not each.implied}


def _pruned(document: Document) -> frozenset[str]:
    """The sections that the file has; of models of agents, those of the agents that it names."""
    said = document.config.model_fields_set
    found = said & {"providers", "models", "endpoints", "preferences", "agents", "rules", "budgets"}
    return frozenset(found | ({"agent_models"} if "agents" in found else set()))


def _owned_now(
    steps: Sequence[Step], wanted: Mapping[Target, Wanted], owned: Mapping[Target, Owned]
) -> dict[Target, Owned]:
    now = {}
    for step in steps:
        if step.target in wanted:
            before = owned.get(step.target)
            made = step.action is Action.CREATE and not step.wanted.implied
            now[step.target] = Owned(
                target=step.target,
                fields=step.wanted.fields,
                created=made or (before is not None and before.created),
            )
    return now
