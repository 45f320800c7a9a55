"""YAML as a tree that knows where everything stands, and that cannot grow beyond what was sent.

Scalars follow the core schema of YAML 1.2: ``no``, ``on`` and ``12:30`` are text, ``010`` is ten. Anchors,
aliases and the merge key ``<<`` work, but the tree that they stand for is bounded like one without them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from imrs_server.config_file.problems import ConfigInvalid, Mark, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_CHARACTERS = 4_000_000
MAX_DEPTH = 32
MAX_NODES = 100_000
MAX_NUMBER_LENGTH = 40

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_START = Mark(1, 1)
_MERGE = "<<"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip

Content: TypeAlias = "dict[str, Node] | list[Node] | str | int | float | bool | None"


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A value, where it starts, where its key does, and how many nodes it stands for."""

    content: Content
    mark: Mark
    key_mark: Mark | None = None
    size: int = 1

    @property
    def entries(self) -> dict[str, Node]:
        """The entries of a mapping; none of anything else."""
        return self.content if isinstance(self.content, dict) else {}

    def plain(self) -> Any:
        """The value without its places."""
        if isinstance(self.content, dict):
            return {key: each.plain() for key, each in self.content.items()}
        if isinstance(self.content, list):
            return [each.plain() for each in self.content]
        return self.content

    def over(self, other: Node) -> Node:
        """This mapping with the entries of another in the place of its own."""
        return Node({**self.entries, **other.entries}, self.mark, self.key_mark, self.size + other.size)


def parse(text: str) -> Node:
    """The one document of a text. Raises ConfigInvalid."""
    if len(text) > MAX_CHARACTERS:
        raise ConfigInvalid(Problem(_START, "", f"must be at most {MAX_CHARACTERS} characters"))
    try:
        # The parser would fail on a lone surrogate in words of its own.
        text.encode()
        return _Builder(yaml.parse(text, Loader=_Loader)).document()
    except UnicodeError:
        raise ConfigInvalid(Problem(_START, "", "must be Unicode text")) from None
    except yaml.MarkedYAMLError as error:
        where = error.problem_mark or error.context_mark
        mark = Mark(where.line + 1, where.column + 1) if where else _START
        raise ConfigInvalid(Problem(mark, "", f"is no YAML: {error.problem or error.context}")) from None
    except yaml.YAMLError as error:
        mark = _position(text, getattr(error, "position", 0))
        raise ConfigInvalid(Problem(mark, "", "is no YAML: a character that must be escaped")) from None


def is_text(value: str) -> bool:
    """Whether a word is text where it stands without quotes."""
    special = value in _WORDS or value == _MERGE or _INTEGER.fullmatch(value) or _FLOAT.fullmatch(value)
    return not (special or _NOT_FINITE.fullmatch(value))


def _position(text: str, offset: object) -> Mark:
    before = text[: offset if isinstance(offset, int) else 0]
    return Mark(before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Builder:
    """Makes the tree from the parser's events, and stops at the first that goes too far."""

    def __init__(self, events: Iterator[Any]) -> None:
        self._events = events
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0

    def document(self) -> Node:
        found: Node | None = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if found is not None:
                    raise _wrong(event, "must be one document, without `---` between two")
                found = self._node(next(self._events), 1)
        if found is None or found.content is None:
            raise ConfigInvalid(Problem(_START, "", "is empty; `agents: {}` is the least that is a file"))
        return found

    def _node(self, event: Any, depth: int) -> Node:
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if depth > MAX_DEPTH:
            raise _wrong(event, f"must be nested at most {MAX_DEPTH} deep")
        if event.tag not in (None, "!"):
            raise _wrong(event, f"must have no tag such as {event.tag}")
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            found = Node(_scalar(event), _mark(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            found = self._list(event, depth)
        else:
            found = self._map(event, depth)
        self._count(event, 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = found
        return found

    def _alias(self, event: Any) -> Node:
        found = self._anchors.get(event.anchor)
        if found is None:
            known = event.anchor in self._anchors
            raise _wrong(event, f"*{event.anchor} {'holds itself' if known else 'names no &anchor above'}")
        self._count(event, found.size)
        return Node(found.content, found.mark, None, found.size)

    def _list(self, start: Any, depth: int) -> Node:
        items: list[Node] = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
        return Node(items, _mark(start), None, 1 + sum(each.size for each in items))

    def _map(self, start: Any, depth: int) -> Node:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        size = 1
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            if not isinstance(event, yaml.ScalarEvent):
                raise _wrong(event, "must be a name, for it is the key of a mapping")
            key = _text(event)
            value = self._node(next(self._events), depth + 1)
            size += value.size
            if key == _MERGE and not event.style:
                merged = _merged(value) | merged
                continue
            if key in own:
                first = own[key].key_mark
                raise _wrong(event, f"{key!r} is there already, in line {first.line if first else '?'}")
            own[key] = Node(value.content, value.mark, _mark(event), value.size)
        return Node(merged | own, _mark(start), None, size)

    def _count(self, event: Any, more: int) -> None:
        self._nodes += more
        if self._nodes > MAX_NODES:
            raise _wrong(
                event, f"must stand for at most {MAX_NODES} values, aliases counted as what they repeat"
            )


def _merged(value: Node) -> dict[str, Node]:
    """What a merge key takes over: of several mappings the first that has an entry."""
    sources = value.content if isinstance(value.content, list) else [value]
    found: dict[str, Node] = {}
    for each in sources:
        if not isinstance(each.content, dict):
            raise ConfigInvalid(Problem(each.mark, _MERGE, "must be a mapping, or a list of mappings"))
        found = each.content | found
    return found


def _scalar(event: Any) -> str | int | float | bool | None:
    text = _text(event)
    # Quoted or in a block it is text, whatever it looks like.
    if event.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _NOT_FINITE.fullmatch(text):
        raise _wrong(event, "must be a finite number; quote it if it is text")
    if not (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        return text
    if len(text) > MAX_NUMBER_LENGTH:
        raise _wrong(
            event, f"is a number of more than {MAX_NUMBER_LENGTH} characters; quote it if it is text"
        )
    return _number(event, text)


def _number(event: Any, text: str) -> int | float:
    if text.startswith(("0o", "0x")):
        return int(text, 0)
    if _INTEGER.fullmatch(text):
        return int(text)
    value = float(text)
    if not math.isfinite(value):
        raise _wrong(event, "must be a finite number; quote it if it is text")
    return value


def _text(event: Any) -> str:
    text: str = event.value
    if "\0" in text or any("\ud800" <= each <= "\udfff" for each in text):
        raise _wrong(event, "must not hold NUL or half a character")
    return text


def _mark(event: Any) -> Mark:
    return Mark(event.start_mark.line + 1, event.start_mark.column + 1)


def _wrong(event: Any, expected: str) -> ConfigInvalid:
    return ConfigInvalid(Problem(_mark(event), "", expected))
