"""``imrs usage``: calls, tokens and money, for people, for programs and for spreadsheets."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Final

import click
from google.protobuf import json_format

from imrs_client import v1 as pb
from imrs_server.cli import remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from imrs_client import ImrsClient

_TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
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
@click.option(
    "--since", type=_TIME, help="Begin of the range, UTC unless it says otherwise [default: 30 days]."
)
@click.option("--until", type=_TIME, help="End of the range, not included.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the groups as CSV, or the total without groups.")
def command(
    client: ImrsClient,
    group_by: tuple[str, ...],
    since: datetime | None,
    until: datetime | None,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Add up calls, tokens and cost, as a tenant's admin; or of all tenants, as a platform admin.

    A call costs what the price was when it was recorded. Where that was unknown, the call is `unpriced` and
    adds nothing to the cost; where the provider gave no numbers of tokens, it is `estimated`.
    """
    if as_json and as_csv:
        raise click.UsageError("--json and --csv contradict each other")
    group_by = tuple(dict.fromkeys(group_by))
    request = pb.GetUsageRequest(group_by=group_by)
    # Without a zone of its own a time is UTC, as protobuf takes it.
    if since is not None:
        request.start_time.FromDatetime(since)
    if until is not None:
        request.end_time.FromDatetime(until)
    found = client.feedback.GetUsage(request)
    if as_json:
        click.echo(
            json_format.MessageToJson(
                found, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
            )
        )
    elif as_csv:
        table = csv.writer(sys.stdout, lineterminator="\n")
        table.writerow([*group_by, *_SUMS])
        for each in found.usages if group_by else [found.totals]:
            table.writerow([*(each.group[key] for key in group_by), *(getattr(each, name) for name in _SUMS)])
    else:
        click.echo("\n".join(_lines(found, group_by)))


def _lines(found: pb.GetUsageResponse, group_by: Sequence[str]) -> Iterator[str]:
    rows = [[*group_by, *_SHOWN]]
    rows += [[*(each.group[key] for key in group_by), *_numbers(each)] for each in found.usages]
    rows.append([*("total", *[""] * (len(group_by) - 1))[: len(group_by)], *_numbers(found.totals)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < len(group_by) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _numbers(usage: pb.Usage) -> Iterator[str]:
    for name in _SHOWN.values():
        value = getattr(usage, name)
        yield value or "-" if isinstance(value, str) else f"{value:,.0f}"
