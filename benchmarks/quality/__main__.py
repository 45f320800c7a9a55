"""``python -m benchmarks.quality``: how well routing learns from ratings, through a real service."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import Progress

from benchmarks.quality import figures, lane, report, stage, synthetic
from benchmarks.quality import service as services
from benchmarks.quality import table as tables
from benchmarks.quality.arms import ARMS
from benchmarks.quality.play import Player
from imrs_client import ImrsClient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.quality.arms import Arm
    from benchmarks.quality.lane import Lane
    from benchmarks.quality.table import Table

# In these worlds the oracle of the whole run is none that anybody could follow.
WITHOUT_SUMMARY = frozenset({"pooled best arrives"})


@click.command()
@click.argument("table", default="usual")
@click.option("--requests", default=3000, show_default=True, type=click.IntRange(min=100))
@click.option("--seeds", default=8, show_default=True, type=click.IntRange(min=1))
@click.option("--only", default="", help="Which, by their names and separated by commas; all where not said.")
def main(table: str, requests: int, seeds: int, only: str) -> None:
    """Replay TABLE (a CSV file with prompt_id, category, model, score, cost; or the name of a made-up one)
    and compare what routing earned with the best choice for each task. Fails where a bound is missed.
    """
    found, arms = _table(table), _arms(only)
    lanes = [lane.make(arm, found, requests, seed) for arm in arms for seed in range(seeds)]
    play(found, lanes)
    by_arm = {arm.name: [each for each in lanes if each.arm is arm] for arm in arms}
    rows = [figures.summary(found, mine) for name, mine in by_arm.items() if name not in WITHOUT_SUMMARY]
    rows += figures.references(by_arm["srs"]) if "srs" in by_arm else []
    checks = figures.checks(found, by_arm)
    title = f"{found.name}: {requests} requests, {seeds} seeds"
    report.show(title, rows, checks)
    folder = Path(os.environ.get("BENCH_OUT", "build"))
    about: dict[str, int | str] = {"table": found.name, "requests": requests, "seeds": seeds}
    report.keep(folder / f"quality-{found.name}.json", about, rows, checks)
    _draw(folder / f"quality-{found.name}.png", title, found, by_arm, rows)
    if not all(each.holds for each in checks):
        sys.exit(1)


def play(table: Table, lanes: Sequence[Lane]) -> None:
    """Play lanes through a service of their own; what they picked is in them afterwards."""
    patient = [each for each in lanes if not each.arm.hurried]
    hurried = [each for each in lanes if each.arm.hurried]
    with (
        services.started() as service,
        ImrsClient(service.address, token=service.token) as client,
        Progress(console=Console(stderr=True)) as progress,
    ):
        stage.set_up(client, table, lanes)
        service.settle()
        player = Player(client, service, table)
        if patient:
            rounds = progress.add_task("in rounds", total=len(patient[0].plan))
            player.rounds(patient, lambda: progress.advance(rounds))
        if hurried:
            calls = progress.add_task("in a hurry", total=sum(len(each.plan) for each in hurried))
            player.hurry(hurried, lambda: progress.advance(calls))


def _table(name: str) -> Table:
    if name in synthetic.SHAPES:
        return synthetic.make(name)
    if not Path(name).exists():
        raise click.BadParameter(f"{name}: neither a file nor one of {', '.join(synthetic.SHAPES)}")
    try:
        return tables.read(Path(name))
    except tables.Malformed as error:
        raise click.ClickException(str(error)) from None


def _arms(only: str) -> list[Arm]:
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    known = {arm.name: arm for arm in ARMS}
    for name in wanted:
        if name not in known:
            raise click.BadParameter(f"{name}: not one of {', '.join(known)}")
    return [known[name] for name in wanted] or list(ARMS)


def _draw(
    path: Path, title: str, table: Table, arms: dict[str, list[Lane]], rows: list[figures.Summary]
) -> None:
    try:
        from benchmarks.quality import plot  # noqa: PLC0415  (the figures do without matplotlib)
    except ModuleNotFoundError:
        click.echo("no picture: matplotlib is not installed; `make bench-quality` installs it", err=True)
        return
    plot.draw(path, title, table, arms, rows)
    click.echo(f"{path}", err=True)


if __name__ == "__main__":
    main()
