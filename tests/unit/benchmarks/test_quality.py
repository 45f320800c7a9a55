"""The benchmark of learning: tables, plans and figures."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.quality import figures, lane, plan, synthetic, table
from benchmarks.quality.arms import Arm

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "prompt_id,category,model,score,cost\n"
ROWS = "1,Computer Science,a,1,0.002\n1,Computer Science,b,0.5,0.001\n2,law,a,0,0.002\n"


@pytest.mark.parametrize("packed", [True, False])
def test_a_table_is_read_packed_or_plain(tmp_path: Path, packed: bool) -> None:
    """Categories become task types; a prompt that not every model answered is left out."""
    path = tmp_path / ("some.csv.gz" if packed else "some.csv")
    text = (HEAD + ROWS).encode()
    path.write_bytes(gzip.compress(text) if packed else text)
    found = table.read(path)
    assert found.name == "some"
    assert found.models == ("a", "b")
    assert found.tasks == ("computer-science",)
    assert found.scores["computer-science"].tolist() == [[1, 0.5]]
    assert found.mean_costs.tolist() == [0.002, 0.001]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("prompt_id,category,model,score\n", "no column cost"),
        (HEAD + "1,law,a,good,0\n", "line 2: score and cost must be numbers"),
        (HEAD + "1,law,a,1,0\n1,law,b,1.5,0\n", "line 3: score must be from 0 to 1"),
        (HEAD + "1,law,a,nan,0\n", "line 2: score must be from 0 to 1"),
        (HEAD + "1,law,a,1,0\n", "at least two models"),
    ],
)
def test_what_is_no_such_table_is_said(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "some.csv"
    path.write_text(text)
    with pytest.raises(table.Malformed, match=said):
        table.read(path)


def test_a_plan_asks_no_prompt_twice_before_all_were_asked() -> None:
    found = synthetic.make("few_models")
    made = plan.make(found, 2000, 3)
    for number, name in enumerate(found.tasks):
        asked = made.costs[made.tasks == number][: len(found.costs[name]), 0]
        assert len(set(asked.tolist())) == len(asked)
    again = plan.make(found, 2000, 3)
    assert (made.scores == again.scores).all()


def test_the_oracle_knows_the_best_model_of_each_task_before_and_after_a_turn() -> None:
    scores = np.array([[1.0, 0.5], [0.0, 1.0], [1.0, 0.5], [0.0, 1.0]])
    made = plan.Plan(
        agents=np.zeros(4, dtype=np.int64),
        tasks=np.array([0, 1, 0, 1]),
        scores=scores,
        costs=np.ones_like(scores),
    )
    assert made.oracle.tolist() == [0, 1, 0, 1]
    assert plan.worsened(made, 0).oracle.tolist() == [0, 1, 1, 1]
    assert made.best_single == 1


def test_figures_are_shares_of_what_the_oracle_earned() -> None:
    found = synthetic.make("usual")
    mine = lane.make(Arm(name="pooled"), found, 1000, 0)
    mine.picks[:] = mine.plan.oracle
    assert figures.summary(found, [mine]).whole == 100
    whole, last_fifth = figures.checks(found, {"pooled": [mine]})
    assert whole.holds
    assert last_fifth.holds
    mine.picks[:] = found.mean_scores.mean(axis=0).argmin()
    poor = figures.summary(found, [mine])
    assert poor.whole < figures.WHOLE_PERCENT
    assert poor.stuck == 100
    assert not figures.checks(found, {"pooled": [mine]})[0].holds


def test_a_fifth_of_the_answers_is_rated() -> None:
    mine = lane.make(Arm(name="some", rated=0.2), synthetic.make("usual"), 5000, 0)
    assert 0.15 < mine.rated.mean() < 0.25
