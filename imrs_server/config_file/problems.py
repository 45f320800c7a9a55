"""What is wrong in a file: where, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass

from imrs_server.domain.errors import InvalidRequest, Violation

# Whoever sends more mistakes than that gets to know these first.
MOST = 20


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the file; both count from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is not as it must be; ``path`` is dotted, and empty for the whole file."""

    mark: Mark
    path: str
    expected: str

    def __str__(self) -> str:
        return f"{self.mark}: {self.path}: {self.expected}" if self.path else f"{self.mark}: {self.expected}"

    def within(self, file: str) -> str:
        """As compilers write it, so that editors can jump there."""
        where = f"{file}:{self.mark.line}:{self.mark.column}"
        return f"{where}: {self.path}: {self.expected}" if self.path else f"{where}: {self.expected}"


class ConfigInvalid(InvalidRequest):
    """The file is not valid: {summary}."""

    problems: tuple[Problem, ...]
    """The first ones; as an error of the API each is a violation of its path."""
    more: int
    """How many there are besides."""

    def __init__(self, *problems: Problem, more: int = 0) -> None:
        self.problems = tuple(sorted(problems)[:MOST])
        self.more = more + len(problems) - len(self.problems)
        super().__init__(
            *(Violation(each.path or "yaml", f"{each.mark}: {each.expected}") for each in self.problems)
        )
