"""Rows as the database sent them, made into values where they are asked for.

Most of what an index knows is not asked for between two changes; as text and bytes it takes a tenth of the
room, and is there ten times sooner.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.model import Model
from imrs_server.storage.index import NO_SETTINGS, PLAIN, Key, Settings
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from imrs_server.storage.index import ModelRow

_NONE = NO_SETTINGS.settings

K = TypeVar("K")
R = TypeVar("R")
V = TypeVar("V")


class Shaped(Mapping[K, V], Generic[K, R, V]):
    """Values of rows, each made when it is first asked for and then kept."""

    __slots__ = ("_made", "_shape", "rows")

    def __init__(self, rows: Mapping[K, R], make: Callable[[R], V], made: dict[K, V] | None = None) -> None:
        self.rows = rows
        self._shape = make
        self._made: dict[K, V] = {} if made is None else made

    def __getitem__(self, key: K) -> V:
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._shape(self.rows[key])
        return found

    def __iter__(self) -> Iterator[K]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def over(self, read: Mapping[K, R], gone: frozenset[K] = frozenset()) -> Shaped[K, R, V]:
        """These with what was read in their place, and without what is gone."""
        changed = gone | read.keys()
        # Copied, because readers of these still add to what was made.
        made = {key: value for key, value in list(self._made.items()) if key not in changed}
        rows = {**{key: row for key, row in self.rows.items() if key not in gone}, **read}
        return Shaped(rows, self._shape, made)

    def beside(self, values: Mapping[K, V]) -> Shaped[K, R, V]:
        """These, and values of what is not among them."""
        added = {key: value for key, value in values.items() if key not in self.rows}
        # What is made already needs no row.
        rows: dict[K, Any] = {**self.rows, **dict.fromkeys(added)}
        return Shaped(rows, self._shape, {**self._made, **added})


@dataclass(frozen=True, slots=True)
class Numbered:
    """The numbers of models, in evidence and in packed settings. Only ever added to."""

    by_id: dict[str, int] = field(default_factory=dict)
    by_number: dict[int, str] = field(default_factory=dict)

    def add(self, model_id: str, number: int) -> None:
        self.by_id[model_id] = number
        self.by_number[number] = model_id


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An agent with its settings for models, and the providers for which it has a key of its own.

    Settings that say nothing but a priority are left as rows of PLAIN.
    """

    agent: Agent
    models: tuple[AgentModel, ...] = ()
    keys: tuple[AgentKey, ...] = ()
    plain: bytes = b""

    def settings(self, names: Mapping[int, str]) -> tuple[AgentModel, ...]:
        """All of them, given the ids of models by number."""
        agent_id = self.agent.agent_id
        plain = (
            AgentModel(
                agent_id=agent_id,
                model_id=names[number],
                enabled=enabled,
                priority_override=None if priority < 0 else priority,
            )
            for number, priority, enabled in PLAIN.iter_unpack(self.plain)
        )
        return (*plain, *self.models)


@dataclass(frozen=True, slots=True)
class EnrolledRow:
    """An enrolled agent as rows."""

    agent: str
    models: Settings = NO_SETTINGS
    keys: tuple[AgentKey, ...] = ()

    def numbers(self) -> Iterator[int]:
        """The numbers of the models that have no settings but a priority."""
        return (number for number, _, _ in PLAIN.iter_unpack(self.models.plain))


def given(values: Mapping[K, V]) -> Shaped[K, V, V]:
    """Values that need not be made."""
    return Shaped(values, lambda value: value)


def models(rows: Mapping[str, str]) -> Shaped[str, str, Model]:
    """Models by id, of JSON."""
    return Shaped(rows, shape(Model).parse)


def agents(rows: Mapping[Key, EnrolledRow]) -> Shaped[Key, EnrolledRow, Enrolled]:
    """Enrolled agents by key."""
    return Shaped(rows, _enrolled)


def learn(numbered: Numbered, rows: Iterable[ModelRow]) -> dict[str, str]:
    """The JSON of models by id, with their numbers noted."""
    for each in rows:
        numbered.add(each.model_id, each.number)
    return {each.model_id: each.row for each in rows}


def _enrolled(row: EnrolledRow) -> Enrolled:
    settings = row.models.settings
    own = () if settings == _NONE else tuple(map(shape(AgentModel), json.loads(settings)))
    return Enrolled(shape(Agent).parse(row.agent), own, row.keys, row.models.plain)
