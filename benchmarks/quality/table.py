"""Tables of scores: how well each model answered each prompt, and what it cost."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pathlib import Path


COLUMNS = ("prompt_id", "category", "model", "score", "cost")


class Malformed(Exception):
    """A file is no such table; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """``scores`` and ``costs`` by task type: arrays of (prompts, models), of 0 to 1 and of USD."""

    name: str
    models: tuple[str, ...]
    scores: Mapping[str, NDArray[np.float64]]
    costs: Mapping[str, NDArray[np.float64]]

    @property
    def tasks(self) -> tuple[str, ...]:
        return tuple(sorted(self.scores))

    @property
    def mean_scores(self) -> NDArray[np.float64]:
        """What each model is worth for each task, over all prompts: (tasks, models)."""
        return np.array([self.scores[task].mean(axis=0) for task in self.tasks])

    @property
    def mean_costs(self) -> NDArray[np.float64]:
        """USD for an answer of each model, every task counting the same."""
        return np.asarray(np.mean([self.costs[task].mean(axis=0) for task in self.tasks], axis=0))

    @property
    def best_model(self) -> int:
        """The model that is best where every task counts the same."""
        return int(self.mean_scores.mean(axis=0).argmax())


def read(path: Path) -> Table:
    """Read a CSV file, plain or gzipped. Prompts that not every model answered are left out.

    Raises Malformed.
    """
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    models: dict[str, None] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
        rows = csv.DictReader(file)
        missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
        if missing:
            raise Malformed(f"{path}: no column {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
        for row in rows:
            pair = _numbers(row, f"{path}, line {rows.line_num}")
            found.setdefault((_task(row["category"]), row["prompt_id"]), {})[row["model"]] = pair
            models[row["model"]] = None
    whole: dict[str, list[list[tuple[float, float]]]] = {}
    for (task, _), answers in found.items():
        if len(answers) == len(models):
            whole.setdefault(task, []).append([answers[name] for name in models])
    if len(models) < 2 or not whole:
        raise Malformed(f"{path}: no prompt that at least two models, and all of them, answered")
    arrays = {task: np.array(rows) for task, rows in whole.items()}
    return Table(
        name=path.name.partition(".")[0],
        models=tuple(models),
        scores={task: each[:, :, 0] for task, each in arrays.items()},
        costs={task: each[:, :, 1] for task, each in arrays.items()},
    )


def _numbers(row: dict[str, str], where: str) -> tuple[float, float]:
    try:
        score, cost = float(row["score"]), float(row["cost"])
    except (TypeError, ValueError):
        raise Malformed(f"{where}: score and cost must be numbers") from None
    if not (0 <= score <= 1 and 0 <= cost < float("inf")):
        raise Malformed(f"{where}: score must be from 0 to 1, cost not negative")
    return score, cost


def _task(category: str) -> str:
    """A category as a task type."""
    return re.sub(r"[^a-z0-9_.-]+", "-", category.lower()).strip("-._")[:64] or "general"
