"""The CSV files: the one that is read, and the one that takes the rows that were not imported."""

from __future__ import annotations

import csv
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Literal, Self, TextIO

from imrs_server.cli.history.columns import OURS, HeaderError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    from imrs_server.cli.history.columns import Header, Problem

_DELIMITERS = ",;\t"
_OWN = ("import_line", "import_error")

# Content columns are read, and passed over, whatever their size.
csv.field_size_limit(min(sys.maxsize, 2**31 - 1))


class Source:
    """A CSV file with a header. Commas, semicolons or tabs part the columns, whichever the header has."""

    def __init__(self, path: Path) -> None:
        self.size_bytes = path.stat().st_size
        # What is not UTF-8 is a fault of its row alone.
        self._binary = path.open("rb")
        self._file = TextIOWrapper(self._binary, encoding="utf-8-sig", errors="surrogateescape", newline="")
        first = self._file.readline()
        self._file.seek(0)
        self.delimiter = max(_DELIMITERS, key=first.count)
        self._reader = csv.reader(self._file, delimiter=self.delimiter)
        self.columns = next(self._reader, [])
        if not self.columns:
            self._file.close()
            raise HeaderError("the file begins with an empty line; its first line must name the columns")

    @property
    def read_bytes(self) -> int:
        return self._binary.tell()

    def rows(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """The line where each row begins, and its values; empty lines are none."""
        begin = self._reader.line_num + 1
        for values in self._reader:
            if values:
                yield begin, tuple(values)
            begin = self._reader.line_num + 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._file.close()


class Rejects:
    """Rows with what is wrong with them; mended, the file can be imported itself. Made with the first row."""

    def __init__(self, path: Path | None, header: Header, delimiter: str, *, add: bool) -> None:
        self._path = path
        self._header = header
        self._delimiter = delimiter
        self._add = add and path is not None and path.exists()
        self._file: TextIO | None = None
        if path is not None and not self._add:
            path.unlink(missing_ok=True)

    def write(self, line: int, values: Sequence[str], problem: Problem) -> None:
        if self._path is None:
            return
        # A file of rejects that is imported again gets new lines and errors.
        names = self._header.columns
        kept = [place for place, name in enumerate(names) if name.strip().lower() not in OURS]
        rows: list[list[str]] = []
        if self._file is None:
            mode: Literal["a", "w"] = "a" if self._add else "w"
            self._file = self._path.open(mode, encoding="utf-8", errors="surrogateescape", newline="")
            if not self._add:
                rows.append([*_OWN, *(names[place] for place in kept)])
        told = f"{self._header.column(problem.field)}: " if problem.field else ""
        padded = [*values, *[""] * (len(names) - len(values))]
        whole = [*(padded[place] for place in kept), *padded[len(names) :]]
        rows.append([str(line), told + problem.description, *whole])
        csv.writer(self._file, delimiter=self._delimiter).writerows(rows)
        self._file.flush()

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
