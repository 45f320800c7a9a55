"""What planning and writing need to know of a kind of things: one class a section of the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from imrs_server.domain.flat import flatten, top, unflatten
from imrs_server.storage.shape import shape

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from imrs_server.domain.configuration import Flat, PlannedChange, Thing, Wanted
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.hand import Hand

T = TypeVar("T")


class Kind(Protocol):
    """``blank`` are the fields of a thing of which nothing was said; what is ``lasting`` is never deleted.

    With ``deletes_first`` a new thing may stand where another one has just been.
    """

    section: str
    blank: Flat
    lasting: bool
    deletes_first: bool

    def read(
        self, tx: Tx, ids: Collection[str], *, all: bool = False, of: Collection[str] = ()
    ) -> dict[str, Thing]:
        """The named things that are there; with ``all`` also every one that a file could have made.

        Of what agents have, those of the agents ``of``.
        """
        ...

    def hold(self, hand: Hand, changes: Sequence[PlannedChange]) -> None:
        """Let nobody else write the things of these changes until the transaction ends.

        In the order of their ids, as everybody does who touches more than one.
        """
        ...

    def create(self, hand: Hand, id: str, wanted: Wanted) -> None:
        """Make a thing, or bring back one that was deleted."""
        ...

    def update(
        self, hand: Hand, id: str, fields: Flat, changed: Collection[str], given: Collection[str]
    ) -> None:
        """Give a thing all these fields; ``changed`` are others than before, ``given`` are the file's."""
        ...

    def delete(self, hand: Hand, id: str, owned: Flat) -> None:
        """Take a thing away, unless it has gone since; ``owned`` is what the file had given it."""
        ...


def ids_of(changes: Iterable[PlannedChange]) -> list[str]:
    """In order."""
    return sorted({each.target.id for each in changes})


def read_fields(value: Any, names: Collection[str]) -> Flat:
    """The fields of a dataclass by their paths."""
    return flatten(shape(type(value)).json(value), names)


def over(before: Any, names: Collection[str], fields: Flat, changed: Collection[str]) -> Flat:
    """The fields of a locked thing with those that change: it may have been written since it was planned.

    All ``fields`` where it is None, for it is not there, or not any more.
    """
    if before is None:
        return fields
    kept = {path: value for path, value in read_fields(before, names).items() if path not in changed}
    return kept | {path: fields[path] for path in changed if path in fields}


def blank_fields(cls: type[Any], names: Collection[str], **required: Any) -> Flat:
    """The fields of a dataclass of which only the least is said."""
    return read_fields(shape(cls)(required), names)


def domain_fields(cls: type[T], fields: Flat, paths: Iterable[str], **required: Any) -> dict[str, Any]:
    """Those fields of a dataclass that the paths are in, as it holds them."""
    whole = shape(cls)(required | unflatten(fields))
    return {name: getattr(whole, name) for name in sorted({top(path) for path in paths})}
