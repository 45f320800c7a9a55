"""The figures on a terminal, and in a file."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Column, Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.quality.figures import Check, Summary


def show(title: str, rows: Sequence[Summary], checks: Sequence[Check]) -> None:
    console = Console()
    table = Table(
        Column("", no_wrap=True),
        *(
            Column(name, justify="right")
            for name in ("whole run", "± seeds", "last fifth", "cost", "stuck cells")
        ),
        title=title,
        caption="percent of the oracle per task; stuck: cells that ended 5 points below their best",
    )
    for row in rows:
        stuck = "" if row.stuck is None else f"{row.stuck:.0f} %"
        table.add_row(
            row.name,
            f"{row.whole:.1f}",
            f"{row.deviation:.1f}",
            f"{row.last_fifth:.1f}",
            f"{row.cost:.0f}",
            stuck,
        )
    console.print(table)
    for check in checks:
        sign = "≥" if check.at_least else "≤"
        word = "holds" if check.holds else "[bold red]MISSED[/]"
        console.print(f"{word:6}  {check.name}: {check.value:.1f} ({sign} {check.bound:g})", highlight=False)


def keep(path: Path, about: dict[str, int | str], rows: Sequence[Summary], checks: Sequence[Check]) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        **about,
        "rows": [asdict(row) for row in rows],
        "checks": [{**asdict(check), "holds": check.holds} for check in checks],
    }
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
