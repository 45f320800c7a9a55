"""``python -m benchmarks``: measure, print one table, write bench.json into $BENCH_OUT."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

from benchmarks import rows

if TYPE_CHECKING:
    from benchmarks.rows import Row

BENCHMARKS = ("route", "sync", "lists", "detection", "rollup", "feedback")


@click.command()
@click.option("--only", default=",".join(BENCHMARKS), show_default=True, help="Which, separated by commas.")
def main(only: str) -> None:
    """Measure what the documentation claims."""
    found: list[Row] = []
    for name in only.split(","):
        if name not in BENCHMARKS:
            raise click.BadParameter(f"{name}: not one of {', '.join(BENCHMARKS)}")
        click.echo(f"measuring {name} ...", err=True)
        found += import_module(f"benchmarks.{name}").measure()
    rows.show(found)
    rows.keep(found, Path(os.environ.get("BENCH_OUT", "build")))


if __name__ == "__main__":
    main()
