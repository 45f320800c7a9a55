"""Lists of globs over models: ids, prefixes and patterns, told apart once so that most are cheap to ask."""

from __future__ import annotations

import re
from fnmatch import translate
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SPECIAL = re.compile(r"[*?\[]")


def is_literal(globs: Iterable[str]) -> bool:
    """Whether each of them matches nothing but itself."""
    return _SPECIAL.search("\0".join(globs)) is None


class Globs:
    """Matches ids against many globs (``*``, ``?``, ``[...]``; case counts). A literal id matches itself."""

    __slots__ = ("_exact", "_pattern", "_prefixes")

    def __init__(self, globs: Iterable[str]) -> None:
        self._exact = frozenset(globs)
        special = {each: _SPECIAL.search(each[:-1]) for each in self._exact if _SPECIAL.search(each)}
        prefixes = {each[:-1] for each, inside in special.items() if inside is None and each[-1] == "*"}
        self._prefixes = tuple(prefixes)
        rest = sorted(each for each in special if each[:-1] not in prefixes)
        self._pattern = _compile(tuple(rest)) if rest else None

    def match(self, model_id: str, external_id: str) -> bool:
        """Whether a glob matches the model_id or the external_id."""
        return self._matches(model_id) or self._matches(external_id)

    def _matches(self, name: str) -> bool:
        return (
            name in self._exact
            or name.startswith(self._prefixes)
            or (self._pattern is not None and self._pattern.match(name) is not None)
        )


# The same few lists come with most requests; compiling a pattern costs a thousand times asking it.
@lru_cache(maxsize=256)
def _compile(globs: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(translate(each) for each in globs))
