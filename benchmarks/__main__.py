"""``python -m benchmarks``: measure, print one table, write bench.json and bench.png into $BENCH_OUT.

Ends with 1 where a bound is missed or a part fails, and with 0 where a part only cannot be run here.
"""

from __future__ import annotations

import os
import platform
import sys
import time
import traceback
from pathlib import Path

import click

from benchmarks import parts, report, world
from benchmarks.bounds import holds
from benchmarks.rows import Row, Skipped


@click.command()
@click.option("--only", default="", help="Which parts or figures, separated by commas; all where not said.")
def main(only: str) -> None:
    """Measure what the documentation claims."""
    try:
        wanted = parts.named([name.strip() for name in only.split(",") if name.strip()])
    except parts.UnknownPart as error:
        raise click.BadParameter(str(error)) from None
    folder = Path(os.environ.get("BENCH_OUT", "build"))
    machine = _machine()
    click.echo(machine, err=True)
    rows: list[Row] = []
    absent: dict[str, str] = {}
    try:
        failed = _run(wanted, rows, absent, folder)
    finally:
        world.close()
    report.show(rows, absent)
    _draw(rows, folder / "bench.png", machine)
    if failed or not all(holds(row) for row in rows):
        sys.exit(1)


def _run(wanted: list[str], rows: list[Row], absent: dict[str, str], folder: Path) -> bool:
    """Measure part by part, and keep what there is after each. Says whether one failed."""
    failed = False
    for part in wanted:
        start = time.monotonic()
        click.echo(f"{part} ...", err=True)
        try:
            rows += parts.measure(part)
        except Skipped as reason:
            absent[part] = f"skipped: {reason}"
        except Exception as error:  # noqa: BLE001  (one part that fails leaves the others their figures)
            traceback.print_exc()
            absent[part] = f"FAILED: {type(error).__name__}: {_first_line(error)}"
            failed = True
        click.echo(f"{part}: {time.monotonic() - start:.0f} s", err=True)
        report.keep(rows, folder)
    return failed


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def _machine() -> str:
    """What the figures were measured on, and whether it had other things to do."""
    load = os.getloadavg()[0]
    busy = ", so others use this machine" if load > 0.7 else ""
    about = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    return f"{about}, load {load:.1f} before the run{busy}"


def _draw(rows: list[Row], path: Path, title: str) -> None:
    try:
        from benchmarks import plot  # noqa: PLC0415  (the figures do without matplotlib)
    except ModuleNotFoundError:
        click.echo("no picture: matplotlib is not installed; `make bench` installs it", err=True)
        return
    plot.draw(path, rows, title)
    click.echo(f"{path}", err=True)


if __name__ == "__main__":
    main()
