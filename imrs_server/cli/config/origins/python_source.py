"""Models in Python code: what is assigned and called with literals. The code is parsed, and never run."""

from __future__ import annotations

import ast
import warnings
from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins.reading import Place, Unreadable, text
from imrs_server.cli.config.origins.scattered import Rank, Said, said

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_server.cli.config.origins.draft import Draft

_SUFFIX: Final = "_llm"
_NOT_LITERAL: Final = "is computed by the program: set it in the file"


def read(draft: Draft, path: Path) -> list[Said]:
    """What ``x_llm = get_llm("x", model="...")`` and ``METADATA = {"x": {...}}`` say. Raises Unreadable."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(text(path))
    except SyntaxError as error:
        raise Unreadable(f"{path}:{error.lineno or 1}: is no Python: {error.msg}") from None
    except (RecursionError, MemoryError, ValueError):
        raise Unreadable(f"{path}: is no Python that can be read") from None
    found: list[Said] = []
    for node in module.body:
        place = Place(str(path), node.lineno)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            found += _assigned(draft, node, node.value, place)
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            found += _called(draft, "", node.value, place)
    return found


def _assigned(
    draft: Draft, node: ast.Assign | ast.AnnAssign, value: ast.expr, place: Place
) -> Iterator[Said]:
    target = node.targets[0] if isinstance(node, ast.Assign) else node.target
    name = target.id if isinstance(target, ast.Name) else ""
    if isinstance(value, ast.Call):
        yield from _called(draft, name, value, place)
    elif isinstance(value, ast.Dict):
        yield from _metadata(draft, name, value, place)


def _called(draft: Draft, name: str, call: ast.Call, place: Place) -> Iterator[Said]:
    given = {each.arg: each.value for each in call.keywords if each.arg is not None}
    if "model" not in given and "model_name" not in given:
        return
    first = call.args[0] if call.args else given.pop("agent_name", None)
    agent = _literal(first) if first is not None else None
    if not isinstance(agent, str):
        if not name.endswith(_SUFFIX):
            return
        agent = name.removesuffix(_SUFFIX).replace("_", "-")
    yield said(draft, agent, Rank.PYTHON, place, _literals(draft, f"agents.{agent}", given, place))


def _metadata(draft: Draft, name: str, value: ast.Dict, place: Place) -> Iterator[Said]:
    """A dict of dicts in which an agent has a model; other dicts are none of ours."""
    for key, each in zip(value.keys, value.values, strict=True):
        agent = _literal(key) if key is not None else None
        if not (isinstance(agent, str) and isinstance(each, ast.Dict)):
            continue
        given = {
            told: inner
            for inner_key, inner in zip(each.keys, each.values, strict=True)
            if inner_key is not None and isinstance(told := _literal(inner_key), str)
        }
        if "model" in given:
            there = Place(place.file, each.lineno)
            yield said(draft, agent, Rank.METADATA, there, _literals(draft, f"{name}.{agent}", given, there))


def _literals(draft: Draft, what: str, given: dict[str, ast.expr], place: Place) -> dict[str, Any]:
    found = {}
    for name, node in given.items():
        value = _literal(node)
        if value is _Computed:
            draft.notes.add(place, f"{what}.{name}", _NOT_LITERAL)
        else:
            found[name] = list(value) if isinstance(value, tuple | set) else value
    return found


class _Computed:
    """Stands for what only the running program knows."""


def _literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return _Computed
