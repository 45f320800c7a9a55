"""Reads a configuration file: YAML, an environment's overrides, the schema, and what only the whole shows."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from imrs_server.config_file import json_schema, tree, words
from imrs_server.config_file.contradictions import contradictions
from imrs_server.config_file.kinds import short
from imrs_server.config_file.problems import MOST, ConfigInvalid, Mark, Problem
from imrs_server.config_file.schema import ConfigFile
from imrs_server.config_file.tree import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PRODUCTION = "production"
_ENVIRONMENTS = "environments"


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A valid file as one environment sees it. ``environments`` are those that it has overrides for."""

    config: ConfigFile
    environment: str
    environments: tuple[str, ...]
    root: Node

    def mark(self, *path: str | int) -> Mark:
        """Where a value stands, or the nearest above it that does."""
        return _place(self.root, path)


def read(text: str, environment: str = "") -> Document:
    """The file with the overrides of an environment, of production where none is named.

    Raises ConfigInvalid with every problem.
    """
    root = tree.parse(text)
    if not isinstance(root.content, dict):
        raise ConfigInvalid(Problem(root.mark, "", "must be a mapping of sections such as `agents:`"))
    overrides = _overrides(root)
    merged = _merged(root, overrides.get(environment or PRODUCTION))
    config = _validated(merged)
    found = Document(
        config=config, environment=environment or PRODUCTION, environments=tuple(overrides), root=merged
    )
    wrong = [Problem(found.mark(*path), _dotted(path), said) for path, said in contradictions(config)]
    if wrong:
        raise ConfigInvalid(*wrong)
    return found


def check(text: str) -> tuple[Document, ...]:
    """The file as production and as each of its environments sees it. Raises ConfigInvalid."""
    first = read(text)
    others = [name for name in first.environments if name != PRODUCTION]
    return (first, *(read(text, name) for name in others))


def _overrides(root: Node) -> dict[str, Node]:
    """Environment -> its agents, each with the fields that differ."""
    held = root.entries.get(_ENVIRONMENTS)
    if held is None or held.content is None:
        return {}
    problems: list[Problem] = []
    known = root.entries["agents"].entries if "agents" in root.entries else {}
    _mapping(held, (_ENVIRONMENTS,), problems)
    for name, environment in held.entries.items():
        if environment.content is None:
            continue
        _mapping(environment, (_ENVIRONMENTS, name), problems)
        for agent_id, fields in environment.entries.items():
            path = (_ENVIRONMENTS, name, agent_id)
            _mapping(fields, path, problems)
            if agent_id not in known:
                said = words.unknown(agent_id, known).replace("known here", "an agent of this file")
                problems.append(Problem(fields.key_mark or fields.mark, _dotted(path), said))
    if problems:
        raise ConfigInvalid(*problems)
    return held.entries


def _mapping(node: Node, path: Sequence[str], problems: list[Problem]) -> None:
    if not isinstance(node.content, dict):
        problems.append(Problem(node.mark, _dotted(path), "must be a mapping"))


def _merged(root: Node, overrides: Node | None) -> Node:
    """The file without its environments, the overrides in the place of what they override."""
    sections = {name: each for name, each in root.entries.items() if name != _ENVIRONMENTS}
    if overrides is not None and overrides.entries:
        agents = dict(sections["agents"].entries)
        for agent_id, fields in overrides.entries.items():
            # What is no mapping stays, and is told as that.
            if isinstance(agents[agent_id].content, dict | None):
                agents[agent_id] = agents[agent_id].over(fields)
        whole = sections["agents"]
        sections["agents"] = Node(agents, whole.mark, whole.key_mark, whole.size + overrides.size)
    return _with_policies(Node(sections, root.mark, None, root.size))


def _with_policies(root: Node) -> Node:
    """Policies in the place of their names. An unknown name stays, and is then no mapping.

    Raises ConfigInvalid where they would stand for more than a file may, as aliases would.
    """
    policies = root.entries["policies"].entries if "policies" in root.entries else {}
    left = tree.MAX_NODES - root.size

    def named(node: Node, *path: str) -> Node:
        nonlocal left
        routing = node.entries.get("routing")
        if routing is None or not isinstance(routing.content, str) or routing.content not in policies:
            return node
        policy = policies[routing.content]
        left -= policy.size
        if left < 0:
            said = f"the file would stand for over {tree.MAX_NODES} values; name it in `defaults` instead"
            raise ConfigInvalid(Problem(routing.mark, _dotted((*path, "routing")), said))
        meant = Node(policy.content, routing.mark, routing.key_mark, policy.size)
        return Node({**node.entries, "routing": meant}, node.mark, node.key_mark, node.size + policy.size)

    sections = dict(root.entries)
    for name in ("defaults", "global_defaults"):
        if name in sections:
            sections[name] = named(sections[name], name)
    if "agents" in sections and isinstance(sections["agents"].content, dict):
        whole = sections["agents"]
        agents = {agent_id: named(each, "agents", agent_id) for agent_id, each in whole.entries.items()}
        sections["agents"] = Node(agents, whole.mark, whole.key_mark, whole.size)
    return Node(sections, root.mark, root.key_mark, root.size)


def _validated(root: Node) -> ConfigFile:
    plain = root.plain()
    # `agents:` with nothing below is an empty section, as people leave them.
    filled = {name: each for name, each in plain.items() if each is not None}
    try:
        return ConfigFile.model_validate(filled)
    except ValidationError as invalid:
        # Words are found only for what is told: a file may have a hundred thousand mistakes.
        found = [(tuple(_known(root, each["loc"])), each) for each in invalid.errors(include_url=False)]
        first = heapq.nsmallest(2 * MOST, found, key=lambda each: _key(root, each[0]))
        problems = dict.fromkeys(_problem(root, path, dict(each)) for path, each in first)
        raise ConfigInvalid(*problems, more=len(found) - len(first)) from None


def _problem(root: Node, path: tuple[str | int, ...], error: dict[str, Any]) -> Problem:
    if error["type"] == "extra_forbidden":
        said = words.unknown(str(path[-1]), _fields(path[:-1]))
        return Problem(_key(root, path), _dotted(path), said)
    if error["type"] == "missing":
        return Problem(_place(root, path), _dotted(tuple(error["loc"])), words.expected(error))
    if "[key]" in error["loc"]:
        return Problem(_key(root, path), _dotted(path), words.expected(error))
    said = words.expected(error)
    if path and path[-1] == "routing" and isinstance(error["input"], str):
        said = f"must be a mapping, or the name of one in `policies`; there is no {short(error['input'])}"
    return Problem(_place(root, path), _dotted(path), said)


def _known(root: Node, location: Sequence[str | int]) -> Iterator[str | int]:
    """As much of a location as the file has: pydantic also tells which branch of a type it was in."""
    node: Node | None = root
    for step in location:
        node = _child(node, step) if node is not None else None
        if node is not None:
            yield step


def _child(node: Node, step: str | int) -> Node | None:
    if isinstance(node.content, list):
        return node.content[step] if isinstance(step, int) and step < len(node.content) else None
    return node.entries.get(str(step))


def _place(root: Node, path: Sequence[str | int]) -> Mark:
    node = root
    for step in path:
        found = _child(node, step)
        if found is None:
            break
        node = found
    return node.mark


def _key(root: Node, path: Sequence[str | int]) -> Mark:
    node = root
    for step in path:
        node = _child(node, step) or node
    return node.key_mark or node.mark


def _dotted(path: Sequence[str | int]) -> str:
    return ".".join(str(step) for step in path)


def _fields(path: Sequence[str | int]) -> list[str]:
    """The names that a mapping of the schema knows."""
    part: Any = ConfigFile
    if not path:
        return [*part.model_fields, _ENVIRONMENTS]
    return list(json_schema.part_at(path).model_fields)
