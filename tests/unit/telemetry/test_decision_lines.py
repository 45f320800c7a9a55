"""A line for each decision, or for a share of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from imrs_client.ids import new_id
from imrs_client.ranked import Reason
from imrs_client.tasks import Detection
from imrs_server.domain.decision import Answer, Decision, SelectedModel
from imrs_server.telemetry.decision_lines import DecisionLines

if TYPE_CHECKING:
    import io

TENANT = uuid4()


def decision() -> Decision:
    return Decision(
        decision_id=new_id(),
        request_id="r-1",
        answer=Answer(
            tenant_id=TENANT,
            agent_id="coder",
            task=Detection(task_type="code"),
            selected=SelectedModel(model_id="p/m", score=0.5),
            fallbacks=(SelectedModel(model_id="p/n"),),
            reason=Reason.SCORE,
            candidates_total=3,
            candidates_eligible=2,
        ),
        index_revision=7,
        stale=False,
    )


def lines(output: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(each) for each in output.getvalue().splitlines()]


def test_a_line_says_what_was_decided_and_why(output: io.StringIO) -> None:
    made = decision()
    DecisionLines("info", 1.0)([made])
    [found] = lines(output)
    wanted = {
        "event": "decision",
        "level": "info",
        "taken": "server",
        "decision_id": str(made.decision_id),
        "tenant": str(TENANT),
        "agent_id": "coder",
        "request_id": "r-1",
        "task_type": "code",
        "model_id": "p/m",
        "fallbacks": ["p/n"],
        "reason": "SCORE",
        "candidates": 3,
        "eligible": 2,
        "index_revision": 7,
        "stale": False,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert str(found["timestamp"]).endswith("Z")


def test_lines_of_a_level_that_is_not_wanted_are_not_written(output: io.StringIO) -> None:
    DecisionLines("debug", 1.0)([decision()])
    assert not lines(output)


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0, 0), (0.1, 20, 250), (1.0, 1000, 1000)])
def test_a_share_is_drawn_by_the_id_and_so_the_same_everywhere(
    output: io.StringIO, share: float, low: int, high: int
) -> None:
    made = [decision() for _ in range(1000)]
    DecisionLines("info", share)(made)
    found = lines(output)
    assert low <= len(found) <= high
    DecisionLines("info", share)(made)
    assert [each["decision_id"] for each in lines(output)[len(found) :]] == [
        each["decision_id"] for each in found
    ]
