"""Plays lanes through a service: ask which model, rate what it would have answered, ask again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.quality.stage import agent_id, arrive, model_ids
from imrs_client.v1 import (
    BatchRouteRequest,
    BatchSubmitFeedbackRequest,
    RouteRequest,
    SubmitFeedbackRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.quality.lane import Lane
    from benchmarks.quality.service import Service
    from benchmarks.quality.table import Table
    from imrs_client import ImrsClient
    from imrs_client.v1 import Decision

CALL_SECONDS = 30


class Player:
    """``client`` is a platform admin's; the service is set up for the table and the lanes."""

    def __init__(self, client: ImrsClient, service: Service, table: Table) -> None:
        self._client = client
        self._service = service
        self._table = table
        self._numbers = {name: number for number, name in enumerate(model_ids(table))}

    def rounds(self, lanes: Sequence[Lane], progress: Callable[[], None]) -> None:
        """Play lanes of equal length side by side, a request of each in a round.

        Before the next round everything is counted, as it is between two requests in use.
        """
        for number in range(len(lanes[0].plan)):
            if number == len(lanes[0].plan) // 2:
                arrive(self._client, self._table, lanes)
                self._service.settle()
            requests = [self._request(each, number) for each in lanes]
            routed = self._client.route.BatchRoute(BatchRouteRequest(requests=requests), timeout=CALL_SECONDS)
            for lane, decision in zip(lanes, routed.decisions, strict=True):
                assert not decision.error.reason, decision.error
                self._note(lane, number, decision)
            votes = [vote for each in lanes for vote in self._votes(each, number)]
            rated = self._client.feedback.BatchSubmitFeedback(
                BatchSubmitFeedbackRequest(requests=votes), timeout=CALL_SECONDS
            )
            for each in rated.feedback:
                assert not each.error.reason, each.error
            self._service.settle()
            progress()

    def hurry(self, lanes: Sequence[Lane], progress: Callable[[], None]) -> None:
        """Play lanes at the same time, each as fast as it goes, call by call, waiting for nothing."""
        with ThreadPoolExecutor(len(lanes)) as threads:
            for done in [threads.submit(self._alone, each, progress) for each in lanes]:
                done.result()

    def _alone(self, lane: Lane, progress: Callable[[], None]) -> None:
        for number in range(len(lane.plan)):
            decision = self._client.route.Route(self._request(lane, number), timeout=CALL_SECONDS)
            self._note(lane, number, decision)
            for vote in self._votes(lane, number):
                self._client.feedback.SubmitFeedback(vote, timeout=CALL_SECONDS)
            progress()

    def _request(self, lane: Lane, number: int) -> RouteRequest:
        return RouteRequest(
            tenant_id=lane.tenant_id,
            agent_id=agent_id(int(lane.plan.agents[number])),
            task_type=self._table.tasks[lane.plan.tasks[number]],
            max_fallbacks=0,
        )

    def _note(self, lane: Lane, number: int, decision: Decision) -> None:
        lane.picks[number] = self._numbers[decision.selected.model_id]
        lane.decision_ids.append(decision.decision_id)

    def _votes(self, lane: Lane, number: int) -> list[SubmitFeedbackRequest]:
        """What is rated after a request: its answer, or that of an earlier one, or nothing."""
        about = number - lane.arm.late
        if about < 0 or not lane.rated[about]:
            return []
        return [
            SubmitFeedbackRequest(
                tenant_id=lane.tenant_id,
                message_id=lane.decision_ids[about],
                rating=float(lane.plan.scores[about, lane.picks[about]]),
                user_id="judge",
            )
        ]
