"""``imrs import``: the history of another system, so that learning need not start at zero."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from imrs_client import ImrsError
from imrs_server.cli import remote
from imrs_server.cli.ending import Ending
from imrs_server.cli.history.columns import Header, HeaderError, Problem
from imrs_server.cli.history.delivery import BATCH_BYTES, BATCH_CALLS, Delivery
from imrs_server.cli.history.known import Known
from imrs_server.cli.history.rows import Call, Names, Reader
from imrs_server.cli.history.table import Rejects, Source
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import Form, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client import ImrsClient

_SHOWN_ERRORS: Final = 10
_KEPT_ERRORS: Final = 100


@dataclass(slots=True)
class Tally:
    """What became of the rows; ``next_line`` is where to go on after an import that stopped."""

    rows: int = 0
    messages: int = 0
    votes: int = 0
    skipped: int = 0
    rejected: int = 0
    derived_ids: int = 0
    next_line: int | None = None
    ignored_columns: list[str] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)


def _renames(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for old, _, new in pairs:
        if not (old and new):
            raise click.BadParameter(f"must be OLD=NEW, not {old}{new}")
    return {old: new for old, _, new in pairs}


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--agent", default="", help="The agent of rows that name none.")
@click.option("--map-agent", multiple=True, metavar="OLD=NEW", callback=_renames, help="An agent's id here.")
@click.option("--map-model", multiple=True, metavar="OLD=NEW", callback=_renames, help="A model's id here.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where to write the rows that were not imported, with the reason; mended, it can be imported.",
)
@click.option("--from-line", type=click.IntRange(2), default=2, help="Go on at this line of the file.")
@click.option("--validate-only", is_flag=True, help="Check every row against the server, and write nothing.")
@forms.single
@remote.calls
def command(
    client: ImrsClient,
    file: Path,
    *,
    agent: str,
    map_agent: dict[str, str],
    map_model: dict[str, str],
    rejects: Path | None,
    from_line: int,
    validate_only: bool,
    form: Form,
) -> None:
    """Import calls and their ratings from a CSV file, as a tenant's admin.

    Its columns are named as the fields of Message and Feedback, or as the SRS names them; model_id, agent_id
    and event_time are needed, and task_type and rating are what is learned from. A second import of the same
    file changes nothing. Ends with 1 when rows were rejected, or it stopped.
    """
    if rejects is not None and rejects.resolve() == file.resolve():
        raise click.UsageError("--rejects must be another file than the one that is imported")
    as_json = form.kind is Kind.JSON
    known = Known(client, agents=map_agent, models=map_model, agent=agent)
    with ExitStack() as stack:
        ending = stack.enter_context(Ending())
        try:
            source = stack.enter_context(Source(file))
            header = Header(source.columns, agent_known=bool(agent))
        except HeaderError as error:
            raise click.ClickException(f"{file}: {error}") from None
        refused = Rejects(rejects, header, source.delimiter, add=from_line > 2)
        stack.callback(refused.close)
        work = _Import(
            source=source,
            header=header,
            reader=Reader(Names(agent=known.agent, model=known.model)),
            delivery=None if validate_only else Delivery(client, ending.wait),
            rejects=refused,
        )
        stopped = _run(work, ending, from_line, quiet=as_json)
    _tell(work.tally, file, rejects, validate_only=validate_only, as_json=as_json)
    if stopped:
        raise click.ClickException(
            f"stopped: {stopped}. What is in stays; go on with --from-line {work.tally.next_line}"
        )
    if work.tally.rejected:
        sys.exit(1)


def _run(work: _Import, ending: Ending, from_line: int, *, quiet: bool) -> str:
    """Import batch by batch; why it stopped before the end, or nothing."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("importing", total=work.source.size_bytes)
        for first_line, batch in work.batches(from_line):
            work.tally.next_line = first_line
            if ending.wished:
                return "interrupted"
            try:
                work.deliver(batch)
            except ImrsError as error:
                return str(error)
            done = f"{work.tally.messages:,} calls, {work.tally.rejected:,} rejected"
            progress.update(task, completed=work.source.read_bytes, description=done)
        work.tally.next_line = None
    return ""


@dataclass(slots=True, kw_only=True)
class _Import:
    source: Source
    header: Header
    reader: Reader
    delivery: Delivery | None
    rejects: Rejects
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self.tally.ignored_columns = self.header.ignored

    def batches(self, from_line: int) -> Iterator[tuple[int, list[_Row]]]:
        """Rows that are sent together, and the line of the first. Earlier rows are read, for their ids."""
        batch: list[_Row] = []
        size = 0
        for line, values in self.source.rows():
            row = self._read(line, values)
            if line < from_line:
                continue
            batch.append(row)
            size += row.size_bytes
            if len(batch) >= BATCH_CALLS or size >= BATCH_BYTES:
                yield batch[0].line, batch
                batch, size = [], 0
        if batch:
            yield batch[0].line, batch

    def deliver(self, batch: list[_Row]) -> None:
        """Send a batch, and count it once it is in. Raises ImrsError."""
        tally = self.tally
        calls = [row.call for row in batch if row.call is not None]
        refused = [(row.line, row.values, row.problem) for row in batch if row.problem is not None]
        if self.delivery is not None:
            delivered = self.delivery.send(calls)
            refused += [(call.line, call.values, problem) for call, problem in delivered.refused]
            tally.messages += delivered.messages
            tally.votes += delivered.votes
        else:
            tally.messages += len(calls)
            tally.votes += sum(call.vote is not None for call in calls)
        tally.rows += len(batch)
        tally.derived_ids += sum(call.derived for call in calls)
        tally.rejected += len(refused)
        tally.skipped += sum(row.call is None and row.problem is None for row in batch)
        for line, values, problem in sorted(refused, key=lambda each: each[0]):
            self.rejects.write(line, values, problem)
            if len(tally.errors) < _KEPT_ERRORS:
                column = self.header.column(problem.field) if problem.field else ""
                tally.errors.append({"line": line, "column": column, "error": problem.description})

    def _read(self, line: int, values: tuple[str, ...]) -> _Row:
        try:
            return _Row(line, values, self.reader.read(line, values, self.header.read(values)))
        except Problem as problem:
            return _Row(line, values, None, problem)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    values: tuple[str, ...]
    call: Call | None
    problem: Problem | None = None

    @property
    def size_bytes(self) -> int:
        return 0 if self.call is None else self.call.message.ByteSize()


def _tell(tally: Tally, file: Path, rejects: Path | None, *, validate_only: bool, as_json: bool) -> None:
    if as_json:
        told = {name: getattr(tally, name) for name in Tally.__slots__} | {"validate_only": validate_only}
        forms.echo_json(told)
        return
    for each in tally.errors[:_SHOWN_ERRORS]:
        where = f"line {each['line']}" + (f", {each['column']}" if each["column"] else "")
        click.echo(f"{file}, {where}: {each['error']}", err=True)
    if tally.rejected > _SHOWN_ERRORS:
        click.echo(f"... and {tally.rejected - _SHOWN_ERRORS:,} more", err=True)
    if tally.ignored_columns:
        click.echo(f"not imported: {', '.join(tally.ignored_columns)}", err=True)
    done = "would be imported" if validate_only else "imported"
    click.echo(f"{tally.rows:,} rows: {tally.messages:,} calls and {tally.votes:,} ratings {done}")
    if tally.skipped:
        click.echo(f"{tally.skipped:,} rows are no calls of a model (role)")
    if tally.derived_ids:
        click.echo(f"{tally.derived_ids:,} got an id made of their time and what they say: theirs is no UUID")
    if tally.rejected:
        where = f"in {rejects}" if rejects else "give --rejects FILE to get them with the reason"
        click.echo(f"{tally.rejected:,} rejected: {where}")
