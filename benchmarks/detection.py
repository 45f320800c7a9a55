"""Task detection: what it takes beside the scan that the SRS describes, and how right it is on a table.

``python -m benchmarks.detection TABLE.csv`` reads the columns ``task_type`` (empty or ? where not known),
``instruction`` and ``input``. It prints precision and recall of each task type that is a label,
and what fires without a label.
"""

from __future__ import annotations

import csv
import timeit
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from benchmarks.rows import Row
from imrs_client.tasks import GENERAL, SRS_RULES, detect

CALLS = 100
ROUNDS = 60
# A thousand characters, as somebody asks: with words that speak for tasks, and some that must not.
MESSAGE = """Our shop has a small service in Python that sends a mail when an order is late. Since Monday some
customers get the mail twice, and two of them cancelled their subscription because of that. I think
that the function that collects the late orders runs again before the first run has marked them, but
I am not sure; the description in the ticket says only that it happens around noon, when the
warehouse loads the trucks.

Please look at the code below and tell me where the second mail comes from. Keep the change as small
as you can, since we are in the middle of the season and nobody has time to try everything again. If
there is a way to see from the log which orders were affected, tell me that too, so that we can
write to these people and say that we are sorry. The manager asked for a short note on what went
wrong that she can read to the others at the meeting on Friday, three or four sentences will do.
Thank you for the help that you gave us last time, it worked at once and saved us a long day. It is
greatly appreciated by the entire team."""
# SRS 3.5.4, searched as its pseudo code has it.
NAIVE = {
    "slides": ("powerpoint", "ppt", "presentation", "slides"),
    "code": ("code", "program", "script", "function", "python", "javascript"),
    "analysis": ("analyze", "examine", "investigate", "review"),
    "summarization": ("summarize", "summary", "condense", "tldr"),
    "translation": ("translate", "translation"),
    "image": ("image", "picture", "photo", "diagram"),
    "document": ("document", "report", "paper", "pdf"),
}
HOSTILE = ("x", "write ", "write function ", "for i in range ", "\n")


def measure() -> list[Row]:
    """Microseconds of a call; both see the same machine, and the best round has the least of others in it."""
    ours, scan = _best_us(MESSAGE), _best_us(MESSAGE, scan=True)
    worst = max(_best_us(piece * (256_000 // len(piece)), calls=5) for piece in HOSTILE)
    return [
        Row(
            name="detect_1kb_us",
            value=ours,
            unit="us",
            baseline=scan,
            ratio=scan / ours,
            beside="the scan of the SRS",
        ),
        Row(name="detect_256kb_hostile_us", value=worst, unit="us"),
    ]


def _best_us(message: str, *, scan: bool = False, calls: int = CALLS) -> float:
    def call() -> None:
        if scan:
            _scan(message)
        else:
            detect(SRS_RULES, message=message)

    call()
    return min(timeit.repeat(call, number=calls, repeat=ROUNDS)) / calls * 1e6


def _scan(message: str) -> list[str]:
    text = message.lower()
    return [task for task, words in NAIVE.items() if any(word in text for word in words)]


def tasks_of(path: Path) -> Counter[tuple[str, str]]:
    """How many rows have which label and which detected task type."""
    with path.open(encoding="utf-8", newline="") as file:
        return Counter(
            (row["task_type"].strip("?"), _task(row["instruction"], row["input"]))
            for row in csv.DictReader(file)
        )


def _task(instruction: str, pasted: str) -> str:
    return detect(SRS_RULES, message=f"{instruction}\n\n{pasted}".strip()).task_type


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def main(path: Path) -> None:
    """Precision and recall on a table."""
    pairs = tasks_of(path)
    table = Table("task type", "labelled", "precision", "recall")
    for label in sorted({label for label, _ in pairs if label not in {"", "other"}}):
        right = pairs[label, label]
        fired = sum(count for (known, found), count in pairs.items() if known and found == label)
        labelled = sum(count for (known, _), count in pairs.items() if known == label)
        table.add_row(label, str(labelled), f"{right / max(fired, 1):.2f}", f"{right / labelled:.2f}")
    Console().print(table)
    unlabelled = {found: count for (known, found), count in pairs.items() if not known}
    if unlabelled:
        fired = sum(count for found, count in unlabelled.items() if found != GENERAL)
        click.echo(f"without a label: {sum(unlabelled.values())}, of which {fired} fire: {unlabelled}")


if __name__ == "__main__":
    main()
