"""``imrs usage``: calls, tokens and money, for people, for programs and for spreadsheets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.output import fields, forms, tables, text
from imrs_server.cli.output.forms import Form, Kind
from imrs_server.cli.output.tables import Column

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from imrs_client import ImrsClient

_KEYS: Final = ("agent", "model", "provider", "task_type", "day")
_SUMS: Final = (
    "calls", "errors", "prompt_tokens", "completion_tokens", "cached_tokens", "total_tokens", "cost_usd",
    "unpriced_calls", "estimated_calls", "avg_latency_ms", "p95_latency_ms",
)  # fmt: skip
# Column of the table -> what it shows.
_SHOWN: Final = {
    "calls": "calls", "errors": "errors", "prompt": "prompt_tokens", "cached": "cached_tokens",
    "completion": "completion_tokens", "USD": "cost_usd", "unpriced": "unpriced_calls",
    "estimated": "estimated_calls", "avg ms": "avg_latency_ms", "p95 ms": "p95_latency_ms",
}  # fmt: skip


@click.command("usage")
@remote.calls
@click.option(
    "--by",
    "group_by",
    multiple=True,
    type=click.Choice(_KEYS),
    help="What to tell apart; may be given several times.",
)
@arguments.between
@forms.table_or(Kind.JSON, Kind.JSONL, Kind.CSV)
def command(
    client: ImrsClient, group_by: tuple[str, ...], *, between: Callable[[Any], None], form: Form
) -> None:
    """Add up calls, tokens and cost, as a tenant's admin; or of all tenants, as a platform admin.

    Of the last 30 days, unless a range is given. A call costs what the price was when it was recorded. Where
    that was unknown, the call is `unpriced` and adds nothing to the cost; where the provider gave no numbers
    of tokens, it is `estimated`.
    """
    group_by = tuple(dict.fromkeys(group_by))
    request = pb.GetUsageRequest(group_by=group_by)
    between(request)
    found = client.feedback.GetUsage(request)
    rows = found.usages if group_by else [found.totals]
    if form.kind is Kind.JSON:
        forms.echo_json(found)
    elif form.kind is Kind.JSONL:
        for each in rows:
            click.echo(fields.compact(fields.as_dict(each)))
    elif form.kind is Kind.CSV:
        forms.echo_csv([*group_by, *_SUMS], (_exact(each, group_by) for each in rows))
    else:
        keys = [Column(title=key) for key in group_by]
        sums = [Column(title=title, numbers=True) for title in _SHOWN]
        tables.echo([*keys, *sums], _rows(found, group_by))


def _exact(usage: pb.Usage, group_by: Sequence[str]) -> list[Any]:
    return [*(usage.group[key] for key in group_by), *(getattr(usage, name) for name in _SUMS)]


def _rows(found: pb.GetUsageResponse, group_by: Sequence[str]) -> Iterator[list[str]]:
    for each in found.usages:
        yield [*(text.harmless(each.group[key]) for key in group_by), *tables.cells(each, _SHOWN)]
    total = [*("total", *[""] * (len(group_by) - 1))[: len(group_by)]]
    yield [*total, *tables.cells(found.totals, _SHOWN)]
