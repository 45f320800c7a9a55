"""Named queries in ``.sql`` files beside the module that owns them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from imrs_server.storage.database import Tx

T = TypeVar("T")
Row = dict[str, Any]


class Query:
    """One named query; parameters are psycopg's ``%(name)s``."""

    __slots__ = ("name", "text")

    def __init__(self, name: str, text: LiteralString) -> None:
        self.name = name
        self.text: LiteralString = text  # from a file of ours, never from a caller

    def one(self, tx: Tx, shape: Callable[[Row], T], /, **parameters: Any) -> T | None:
        """The first row, or None."""
        row = tx.execute(self.text, parameters).fetchone()
        return None if row is None else shape(row)

    def all(self, tx: Tx, shape: Callable[[Row], T], /, **parameters: Any) -> list[T]:
        return [shape(row) for row in tx.execute(self.text, parameters)]

    def ask(self, tx: Tx, shape: Callable[[Row], T], /, **parameters: Any) -> Callable[[], list[T]]:
        """Send it; the answer reads the rows. In ``tx.pipeline()`` several go there and back in one."""
        cursor = tx.execute(self.text, parameters)
        return lambda: [shape(row) for row in cursor]

    def value(self, tx: Tx, /, **parameters: Any) -> Any:
        """The only column of the first row, or None."""
        row = tx.execute(self.text, parameters).fetchone()
        return None if row is None else next(iter(row.values()))

    def run(self, tx: Tx, /, **parameters: Any) -> int:
        """The number of rows touched."""
        return tx.execute(self.text, parameters).rowcount


class Queries:
    """The queries of one file, as attributes."""

    def __init__(self, queries: Mapping[str, Query]) -> None:
        self._queries = queries

    def __getattr__(self, name: str) -> Query:
        try:
            return self._queries[name]
        except KeyError:
            raise AttributeError(name) from None

    def __iter__(self) -> Iterator[Query]:
        return iter(self._queries.values())


def load(module_file: str) -> Queries:
    """Read the ``.sql`` file of the same name: blocks that start with ``-- name: x``."""
    text = Path(module_file).with_suffix(".sql").read_text(encoding="utf-8")
    blocks = re.split(r"^-- name: (\w+)\s*$", text, flags=re.MULTILINE)[1:]
    return Queries(
        {name: Query(name, body.strip()) for name, body in zip(blocks[::2], blocks[1::2], strict=True)}
    )
