"""A draft made to fit the schema of configuration files: what does not fit goes, and is noted."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from imrs_server.cli.config.origins.reading import Place
from imrs_server.config_file import words
from imrs_server.config_file.contradictions import contradictions
from imrs_server.config_file.render import render
from imrs_server.config_file.schema import ConfigFile

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from imrs_server.cli.config.origins.draft import Draft

Path = tuple[str | int, ...]

_NOWHERE: Final = Place("the sources together")


def fit(draft: Draft) -> dict[str, Any]:
    """The content of a valid file; but for addresses of providers that nobody named, which stay to be set."""
    content = draft.content()
    # Each turn takes something away, so it ends.
    while wrong := list(_wrong(content)):
        for path, why in wrong:
            _drop(draft, content, path, why)
    return {name: each for name, each in content.items() if each != {}}


def _wrong(content: dict[str, Any]) -> Iterator[tuple[Path, str]]:
    try:
        config = ConfigFile.model_validate(content)
    except ValidationError as invalid:
        for error in invalid.errors(include_url=False):
            path = _known(content, error["loc"])
            if error["type"] == "extra_forbidden":
                yield path, "has no place in a configuration file"
            else:
                yield path, words.expected(dict(error))
        return
    for path, why in contradictions(config):
        if path[0] != "providers":
            yield _known(content, path), why


def _known(content: Any, location: Sequence[str | int]) -> Path:
    """As much of a location as the content has: pydantic also tells which branch of a type it was in."""
    found: list[str | int] = []
    held = content
    for step in location:
        if _has(held, step):
            held = held[step]
            found.append(step)
    return tuple(found)


def _has(held: Any, step: str | int) -> bool:
    if isinstance(held, list):
        return isinstance(step, int) and step < len(held)
    return isinstance(held, dict) and step in held


def _drop(draft: Draft, content: dict[str, Any], path: Path, why: str) -> None:
    """Take what is at a path away, unless something above it has gone already."""
    assert path, why
    held: Any = content
    for step in path[:-1]:
        try:
            held = held[step]
        except (KeyError, IndexError):
            return
    last: Any = path[-1]
    if isinstance(held, dict):
        held.pop(last, None)
    elif last < len(held):
        del held[last]
    place = draft.places.get((str(path[0]), str(path[1])), _NOWHERE) if len(path) > 1 else _NOWHERE
    draft.notes.add(place, ".".join(map(str, path)), why)


def text(content: dict[str, Any], comments: Sequence[str]) -> str:
    """The file, with comments above it."""
    above = "".join(f"# {line}\n" for line in comments)
    return above + render(_json(content))


def _json(value: Any) -> Any:
    """With money as a number where a float is exact, else as text."""
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_json(each) for each in value]
    if not isinstance(value, Decimal):
        return value
    if value == value.to_integral_value():
        return int(value)
    return float(value) if Decimal(repr(float(value))) == value else f"{value:f}"
