"""The options that say how a command answers, and the answers in that form."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import wraps
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf.message import Message

from imrs_client import ImrsError
from imrs_server.cli.output import fields, streams, tables, text
from imrs_server.cli.output.tables import Column

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from google.protobuf.descriptor import Descriptor

    from imrs_server.cli.output.streams import Page, Writer

_TABLE_ROWS: Final = 50


class Kind(Enum):
    """In which form to answer."""

    TABLE = auto()
    JSON = auto()
    JSONL = auto()
    CSV = auto()


_FLAGS: Final = {
    Kind.JSON: ("as_json", "--json", "Print JSON."),
    Kind.JSONL: ("as_jsonl", "--jsonl", "Print one JSON object a line."),
    Kind.CSV: ("as_csv", "--csv", "Print CSV."),
}
_WRITERS: Final[dict[Kind, Callable[[Sequence[str]], Writer]]] = {
    Kind.JSON: streams.JsonArray,
    Kind.JSONL: streams.JsonLines,
    Kind.CSV: streams.Csv,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """How a list looks: the titles of its table -> paths of fields, and what to do where it is empty.

    ``also`` are further columns of the table, which no single field has.
    """

    shown: Mapping[str, str]
    empty: str
    also: Mapping[str, Callable[[Any], str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How one command was told to answer."""

    kind: Kind = Kind.TABLE
    limit: int | None = None
    columns: tuple[str, ...] = ()
    order_by: str = ""

    def list(self, method: Callable[[Any], Any], request: Message, view: View) -> None:
        """Print what a List method answers. Raises ImrsError, and BadParameter for an unknown column."""
        limit = self.limit or (_TABLE_ROWS if self.kind is Kind.TABLE else None)
        asked: Any = type(request)()
        asked.CopyFrom(request)
        asked.order_by = self.order_by
        found = streams.pages(method, asked, limit)
        first = next(found)
        self._check(first.kind)
        if self.kind is Kind.TABLE:
            self._table(first, [*first.items, *(each for page in found for each in page.items)], view)
        else:
            self._stream(first, found, limit)

    def one(self, message: Message) -> None:
        """Print one resource."""
        if self.kind is Kind.TABLE:
            tables.echo_details(message)
        else:
            echo_json(message)

    def done(self, what: Message | Mapping[str, Any], says: str, *, then: str = "") -> None:
        """Say what was done and what may come next; or print what came of it."""
        if self.kind is Kind.TABLE:
            click.echo(text.harmless(says))
            hint(then)
        else:
            echo_json(what)

    def _table(self, first: Page, found: Sequence[Message], view: View) -> None:
        if not found:
            click.echo(view.empty, err=True)
            return
        shown = {path: path for path in self.columns} or _with_tenants(view.shown, first.kind, found)
        also = {} if self.columns else view.also
        columns = [*tables.columns(first.kind, shown), *(Column(title=title) for title in also)]
        tables.echo(
            columns,
            (
                [*tables.cells(each, shown), *(text.harmless(told(each)) for told in also.values())]
                for each in found
            ),
        )
        if first.total_size > len(found):
            hint(f"{len(found):,} of {first.total_size:,}: more with --limit, all with --csv or --jsonl")

    def _stream(self, first: Page, rest: Iterator[Page], limit: int | None) -> None:
        every = fields.paths(first.kind) if self.kind is Kind.CSV else ()
        stream = _WRITERS[self.kind](self.columns or every)
        total = first.total_size if limit is None else min(limit, first.total_size)
        written = 0
        try:
            with streams.progress(total) as advance:
                for page in chain([first], rest):
                    stream.write(page.items)
                    written += len(page.items)
                    advance(len(page.items))
        except ImrsError:
            hint(f"stopped after {written:,} of {total:,}")
            raise
        stream.end()

    def _check(self, kind: Descriptor) -> None:
        for path in self.columns:
            try:
                fields.field_of(kind, path)
            except KeyError:
                known = ", ".join(fields.paths(kind))
                raise click.BadParameter(f"no {path}; there are {known}", param_hint="--columns") from None


def _with_tenants(shown: Mapping[str, str], kind: Descriptor, found: Sequence[Message]) -> Mapping[str, str]:
    """The tenant beside what it is of, where a platform admin sees several."""
    if "tenant_id" not in kind.fields_by_name or "tenant_id" in shown.values():
        return shown
    if len({fields.value(each, "tenant_id") for each in found}) == 1:
        return shown
    (first, path), *rest = shown.items()
    return {first: path, "tenant": "tenant_id", **dict(rest)}


def listing(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a list, and the parameter ``form``."""

    @wraps(command)
    def around(*args: Any, limit: int | None, columns: str, order_by: str, **options: Any) -> Any:
        chosen = tuple(filter(None, (each.strip() for each in columns.split(","))))
        form = Form(kind=_kind(options), limit=limit, columns=chosen, order_by=order_by)
        return command(*args, form=form, **options)

    around = click.option(
        "--limit",
        type=click.IntRange(1),
        help=f"So many at most [default: {_TABLE_ROWS} in a table, else all].",
    )(around)
    around = click.option(
        "--sort", "order_by", default="", metavar="FIELD", help="Such as create_time, or 'create_time desc'."
    )(around)
    around = click.option(
        "--columns", default="", metavar="FIELD,...", help="Only these fields, such as model_id,create_time."
    )(around)
    return _flagged(around, (Kind.JSON, Kind.JSONL, Kind.CSV))


def table_or(*kinds: Kind) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a command the flags of these kinds, and the parameter ``form``."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(command)
        def around(*args: Any, **options: Any) -> Any:
            return command(*args, form=Form(kind=_kind(options)), **options)

        return _flagged(around, kinds)

    return decorate


single: Final = table_or(Kind.JSON)
"""Give a command ``--json``, and the parameter ``form``."""


def echo_json(found: Message | Mapping[str, Any] | Sequence[Any]) -> None:
    told = fields.as_dict(found) if isinstance(found, Message) else found
    click.echo(json.dumps(told, indent=2, ensure_ascii=False))


def echo_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)


def hint(says: str) -> None:
    """What may come next, for people: standard output stays what was asked for."""
    if says:
        click.echo(click.style(text.harmless(says), dim=True), err=True)


def _flagged(command: Callable[..., Any], kinds: Sequence[Kind]) -> Callable[..., Any]:
    for kind in reversed(kinds):
        name, flag, says = _FLAGS[kind]
        command = click.option(flag, name, is_flag=True, help=says)(command)
    return command


def _kind(options: dict[str, Any]) -> Kind:
    """Take the flags out of the options. Raises click.UsageError for two of them."""
    given = [kind for kind, (name, _, _) in _FLAGS.items() if options.pop(name, False)]
    if len(given) > 1:
        flags = " and ".join(_FLAGS[kind][1] for kind in given)
        raise click.UsageError(f"{flags} contradict each other")
    return given[0] if given else Kind.TABLE
