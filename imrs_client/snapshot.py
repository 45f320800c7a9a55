"""The snapshot of an agent: all that decisions for it need, put together from what WatchAgent sends.

A snapshot never changes. What it makes on first use (tables, answers) is equal whoever makes it, so threads
share one without locks.
"""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from imrs_client import snapshot_tables as decoding
from imrs_client import v1 as pb
from imrs_client.ranked import RankedTable
from imrs_client.snapshot_tables import Table
from imrs_client.tasks import SRS_RULES, Rules, merge

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

OTHERS: Final = "*"
"""Names the table of all task types that have none of their own."""

# The class of an agent is a word of requests: more tables than this make them start afresh.
_MOST_TABLES = 256


class SnapshotGap(Exception):
    """A difference to something else than what is there; the whole must be asked for."""

    def __init__(self, base_revision: int, revision: int | None) -> None:
        self.base_revision = base_revision
        self.revision = revision
        super().__init__(f"a difference from revision {base_revision} does not fit revision {revision}")


class Snapshot:
    """What is known of an agent at ``revision``.

    ``fingerprint`` names the content: it goes into ``WatchAgentRequest.from_fingerprint`` with the revision.
    ``stale`` says that the server itself may have missed changes, ``create_time`` when it said so.
    """

    __slots__ = (
        "_class_names",
        "_known",
        "_made",
        "_policy",
        "_rows",
        "agent",
        "create_time",
        "fingerprint",
        "limits",
        "models",
        "omitted_task_types",
        "revision",
        "rules",
        "stale",
        "tables",
    )

    def __init__(
        self,
        head: pb.AgentSnapshot,
        agent: pb.SnapshotAgent,
        models: Mapping[str, pb.SnapshotModel],
        tables: Mapping[str, pb.SnapshotTable],
        known: Mapping[str, Mapping[str, Any]],
        rules: Rules,
    ) -> None:
        """``head`` says of which revision all is; ``known`` has what a candidate takes from its model_id."""
        self.revision: int = head.revision
        self.fingerprint: bytes = head.fingerprint
        self.stale: bool = head.stale
        self.create_time: datetime = head.create_time.ToDatetime(UTC)
        self.agent = agent
        self.models = models
        self.tables = tables
        self.omitted_task_types = frozenset(agent.omitted_task_types)
        self.rules = rules
        self.limits = decoding.limits(agent)
        self._policy = decoding.policy(agent.routing)
        self._known = known
        self._rows = [known[model_id] for model_id in sorted(known)]
        self._class_names = {each.agent_class for each in agent.class_preferences}
        self._made: dict[tuple[str, str], Table] = {}

    def table(self, task_type: str, agent_class: str = "") -> Table:
        """The table for a task; ``agent_class`` counts where the agent itself has none."""
        task_type = task_type if task_type in self.tables else OTHERS
        if self.agent.agent_class or not agent_class:
            agent_class = ""
        elif agent_class not in self._class_names:
            agent_class = OTHERS
        found = self._made.get((task_type, agent_class))
        if found is None:
            if len(self._made) >= _MOST_TABLES:
                self._made.clear()
            found = self._made[task_type, agent_class] = self._make(task_type, agent_class)
        return found

    def knows(self, task_type: str) -> bool:
        """Whether it can answer for a task type as the server would."""
        return task_type not in self.omitted_task_types

    def _make(self, task_type: str, agent_class: str) -> Table:
        agent, told = self.agent, self.tables[task_type]
        preferred = decoding.preference(agent, agent_class)
        ranked = RankedTable(
            revision=self.revision,
            agent_id=agent.agent_id,
            task_type="" if task_type == OTHERS else task_type,
            candidates=decoding.candidates(told, self._rows),
            policy=self._policy,
            default_model_id=agent.default_model_id,
            override_model_id=agent.override.model_id,
            preferred_model_ids=tuple(preferred.model_ids),
            fallback_model_ids=decoding.listed(agent, "fallback_model_ids"),
            degraded=told.degraded,
        )
        return Table(ranked, self.models, *decoding.layers(agent, preferred))

    def warm(self, before: Snapshot, changed: frozenset[str] | None = None) -> None:
        """Make what was in use before, so that no decision waits for it.

        ``changed`` are the task types whose tables differ where all else is equal; None where it is not.
        """
        for (task_type, agent_class), table in list(before._made.items()):
            if changed is None or task_type in changed:
                self.table(task_type, agent_class)
            else:
                self._made[task_type, agent_class] = table

    def _patched(self, tables: Mapping[str, pb.SnapshotTable]) -> dict[str, pb.SnapshotTable]:
        """The tables of a difference, whole."""
        patches = {task_type for task_type, each in tables.items() if each.patch}
        if not patches <= self.tables.keys():
            raise SnapshotGap(self.revision, self.revision)
        return {
            task_type: decoding.patched(self.tables[task_type], each) if each.patch else each
            for task_type, each in tables.items()
        }

    def changed(self, chunks: Sequence[pb.AgentSnapshot]) -> Snapshot:
        """The snapshot after a difference to this one."""
        agent = _agent(chunks) or self.agent
        models, tables = _models(chunks), self._patched(_tables(chunks))
        gone = {model_id for chunk in chunks for model_id in chunk.removed_model_ids}
        tables_gone = {task_type for chunk in chunks for task_type in chunk.removed_task_types}
        same_models = not models and not gone
        known = {model_id: decoding.known_of(each) for model_id, each in models.items()}
        made = Snapshot(
            chunks[-1],
            agent,
            self.models if same_models else _over(self.models, models, gone),
            _over(self.tables, tables, tables_gone) if tables or tables_gone else self.tables,
            self._known if same_models else _over(self._known, known, gone),
            self.rules if agent is self.agent else _rules(agent),
        )
        untouched = same_models and agent is self.agent
        made.warm(self, frozenset(tables) | tables_gone if untouched else None)
        return made


def apply(before: Snapshot | None, chunks: Sequence[pb.AgentSnapshot]) -> Snapshot:
    """The snapshot after the chunks of one revision, of which the last has ``last_chunk``.

    A HEARTBEAT is a piece of its own. Raises SnapshotGap for a difference that does not fit ``before``.
    """
    head = chunks[-1]
    if head.kind != pb.AgentSnapshot.FULL:
        if before is None or head.base_revision != before.revision:
            raise SnapshotGap(head.base_revision, None if before is None else before.revision)
        return before.changed(chunks)
    agent, models = _agent(chunks) or pb.SnapshotAgent(), _models(chunks)
    known = {model_id: decoding.known_of(each) for model_id, each in models.items()}
    made = Snapshot(head, agent, models, _tables(chunks), known, _rules(agent))
    if before is not None:
        made.warm(before)
    return made


def _agent(chunks: Iterable[pb.AgentSnapshot]) -> pb.SnapshotAgent | None:
    """Put together from its pieces; None where there are none."""
    pieces = [chunk.agent for chunk in chunks if chunk.HasField("agent")]
    if not pieces:
        return None
    agent = pb.SnapshotAgent()
    for each in pieces:
        agent.MergeFrom(each)
    return agent


def _models(chunks: Iterable[pb.AgentSnapshot]) -> dict[str, pb.SnapshotModel]:
    return {each.model.model_id: each for chunk in chunks for each in chunk.models}


def _tables(chunks: Iterable[pb.AgentSnapshot]) -> dict[str, pb.SnapshotTable]:
    """By task type, large ones put together from their pieces."""
    pieces: dict[str, list[pb.SnapshotTable]] = {}
    for chunk in chunks:
        for piece in chunk.tables:
            pieces.setdefault(piece.task_type, []).append(piece)
    return {task_type: _joined(each) for task_type, each in pieces.items()}


def _joined(pieces: list[pb.SnapshotTable]) -> pb.SnapshotTable:
    if len(pieces) == 1:
        return pieces[0]
    table = pb.SnapshotTable()
    for each in pieces:
        table.MergeFrom(each)
    return table


def _over(before: Mapping[str, Any], changed: Mapping[str, Any], gone: set[str]) -> dict[str, Any]:
    return {name: each for name, each in before.items() if name not in gone} | dict(changed)


def _rules(agent: pb.SnapshotAgent) -> Rules:
    """The rules of task detection, over the built-in ones."""
    told = agent.task_rules
    words = {task_type: tuple(words.values) for task_type, words in told.words.items()}
    return merge(Rules(tools=dict(told.tools), mime_types=dict(told.mime_types), words=words), SRS_RULES)
