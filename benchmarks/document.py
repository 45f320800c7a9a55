"""``python -m benchmarks.document [bench.json]``: put the figures of a run into the pages that show them.

A page shows them between ``<!-- bench: name name -->`` and ``<!-- bench end -->``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benchmarks.bounds import BOUNDS, by_value
from benchmarks.report import figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).parent.parent
PAGES = ("README.md", "docs/performance.md", "docs/scaling.md")
MARKED = re.compile(r"(<!-- bench: ([\w ]+) -->\n).*?(<!-- bench end -->)", re.DOTALL)
HEAD = "| figure | value | baseline | ratio | must | aim |\n|---|---|---|---|---|---|\n"


class NotMeasured(Exception):
    """A page names a figure that the run has not."""


def filled(page: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """The page with tables of these rows. Raises NotMeasured."""
    known = {row["name"]: row for row in rows}

    def table(found: re.Match[str]) -> str:
        names = found[2].split()
        missing = [name for name in names if name not in known]
        if missing:
            raise NotMeasured(f"{', '.join(missing)}: not in the run")
        return found[1] + HEAD + "".join(_line(known[name]) for name in names) + found[3]

    return MARKED.sub(table, page)


def _line(row: Mapping[str, Any]) -> str:
    name, bound = row["name"], BOUNDS.get(row["name"])
    value, ratio = f"{figure(row['value'])} {row['unit']}", figure(row["ratio"])
    if bound is not None and by_value(name):
        value = f"**{value}**"
    elif bound is not None:
        ratio = f"**{ratio}**"
    must = "" if bound is None else f"{bound.must:g}"
    aim = "" if bound is None or bound.aim is None else f"{bound.aim:g}"
    return f"| `{name}` | {value} | {figure(row['baseline'])} | {ratio} | {must} | {aim} |\n"


@click.command()
@click.argument(
    "path", type=click.Path(exists=True, dir_okay=False, path_type=Path), default="build/bench.json"
)
def main(path: Path) -> None:
    """Write the figures of bench.json into the documentation."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    for name in PAGES:
        page = ROOT / name
        before = page.read_text(encoding="utf-8")
        try:
            after = filled(before, rows)
        except NotMeasured as error:
            raise click.ClickException(f"{name}: {error}") from None
        if after != before:
            page.write_text(after, encoding="utf-8")
            click.echo(name)


if __name__ == "__main__":
    main()
