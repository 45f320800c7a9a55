"""Long answers, page by page: nothing waits for the last page, and nothing keeps them all."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

import click
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from imrs_client.paging import items
from imrs_server.cli.output import fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


_PAGE_SIZE: Final = 1000
# What people and providers wrote as they liked; ids stay as they are, for programs look them up.
_FREE_TEXTS: Final = frozenset({"comment", "display_name", "use_case"})
_SPREADSHEET_COMMANDS: Final = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of ``total_size`` items, which are of ``kind``."""

    items: Sequence[Message]
    total_size: int
    kind: Descriptor


def pages(method: Callable[[Any], Any], request: Message, limit: int | None) -> Iterator[Page]:
    """The pages of a List method up to so many items: one at least, and that may be empty."""
    asked: Any = type(request)()
    asked.CopyFrom(request)
    left = limit
    while True:
        asked.page_size = min(left or _PAGE_SIZE, _PAGE_SIZE)
        response = method(asked)
        found = items(response)[:left]
        yield Page(items=found, total_size=response.total_size, kind=_kind(response))
        left = None if left is None else left - len(found)
        if left == 0 or not response.next_page_token:
            return
        asked.page_token = response.next_page_token


class Writer(Protocol):
    """Writes page after page to standard output, and then what ends them."""

    def write(self, page: Sequence[Message]) -> None: ...

    def end(self) -> None: ...


class Csv:
    """Rows below the paths of their fields."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._writer = csv.writer(sys.stdout, lineterminator="\n")
        self._writer.writerow(columns)

    def write(self, page: Sequence[Message]) -> None:
        self._writer.writerows([_cell(each, path) for path in self._columns] for each in page)

    def end(self) -> None:
        """Nothing ends a CSV."""


class JsonLines:
    """One object a line."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns

    def write(self, page: Sequence[Message]) -> None:
        for each in page:
            click.echo(fields.compact(_chosen(each, self._columns)))

    def end(self) -> None:
        """Nothing ends them."""


class JsonArray:
    """One array. Cut off by a failure it is no JSON, and so not taken for the whole."""

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._empty = True

    def write(self, page: Sequence[Message]) -> None:
        for each in page:
            told = json.dumps(_chosen(each, self._columns), indent=2, ensure_ascii=False)
            click.echo(f"{'[' if self._empty else ','}\n{told}", nl=False)
            self._empty = False

    def end(self) -> None:
        click.echo("[]" if self._empty else "\n]")


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None]]:
    """Progress on standard error, where a person sees it while standard output goes elsewhere."""
    console = Console(stderr=True)
    wanted = console.is_terminal and not sys.stdout.isatty()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not wanted) as shown:
        task = shown.add_task("reading", total=total)
        yield lambda count: shown.update(task, advance=count)


def _kind(response: Any) -> Descriptor:
    found: Descriptor = next(
        field.message_type
        for field in response.DESCRIPTOR.fields
        if field.message_type is not None and field.is_repeated
    )
    return found


def _cell(message: Message, path: str) -> str:
    """A spreadsheet must not take what somebody wrote for a formula."""
    found = fields.exact(message, path)
    return f"'{found}" if path in _FREE_TEXTS and found.startswith(_SPREADSHEET_COMMANDS) else found


def _chosen(message: Message, columns: Sequence[str]) -> Any:
    return {path: fields.plain(message, path) for path in columns} if columns else fields.as_dict(message)
