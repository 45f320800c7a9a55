"""Calls and their votes on the way to the server: in batches, again where waiting helps, item by item."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from imrs_client import (
    DeadlineExceeded,
    ImrsError,
    ResourceExhausted,
    Unavailable,
    from_item_error,
)
from imrs_client import v1 as pb
from imrs_server.cli.history.columns import Problem
from imrs_server.cli.history.rows import Call, field_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from imrs_client import ImrsClient

# A server takes a thousand and 8 MiB at once; less shows progress sooner and loses less to a lost connection.
BATCH_CALLS: Final = 500
BATCH_BYTES: Final = 2 << 20
TIMEOUT_SECONDS: Final = 120.0
# Each row waits for the server's disk, and those that wait at once share the wait.
LANES: Final = 4

_WORTH_WAITING: Final = (Unavailable, ResourceExhausted, DeadlineExceeded)
_WAITS_SECONDS: Final = (0.5, 1.0, 2.0, 4.0, 8.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """What became of a batch: how much is in, and what the server would not take."""

    messages: int
    votes: int
    refused: tuple[tuple[Call, Problem], ...]


class Delivery:
    """``wait`` is given seconds, and says whether to give up."""

    def __init__(self, client: ImrsClient, wait: Callable[[float], bool]) -> None:
        self._client = client
        self._wait = wait

    def send(self, calls: Sequence[Call]) -> Delivered:
        """Record the calls, then rate those that are in. Raises ImrsError when the server stays away."""
        # What is said of one message goes one way, and so in its order.
        lanes = [
            [each for each in calls if int(each.message.message.message_id[-2:], 16) % LANES == lane]
            for lane in range(LANES)
        ]
        with ThreadPoolExecutor(LANES) as pool:
            parts = list(pool.map(self._send, filter(None, lanes)))
        return Delivered(
            messages=sum(part.messages for part in parts),
            votes=sum(part.votes for part in parts),
            refused=tuple(each for part in parts for each in part.refused),
        )

    def _send(self, calls: Sequence[Call]) -> Delivered:
        recorded = self._each(
            [each.message for each in calls],
            lambda requests: (
                self._client.feedback.BatchRecordMessages(
                    pb.BatchRecordMessagesRequest(requests=requests), timeout=TIMEOUT_SECONDS
                ).messages
            ),
        )
        refused = [(each, problem) for each, problem in zip(calls, recorded, strict=True) if problem]
        lost = {each.line for each, _ in refused}
        rated = [each for each in calls if each.vote is not None and each.line not in lost]
        voted = self._each(
            [each.vote for each in rated],
            lambda requests: (
                self._client.feedback.BatchSubmitFeedback(
                    pb.BatchSubmitFeedbackRequest(requests=requests), timeout=TIMEOUT_SECONDS
                ).feedback
            ),
        )
        unrated = [(each, problem) for each, problem in zip(rated, voted, strict=True) if problem]
        return Delivered(
            messages=len(calls) - len(refused),
            votes=len(rated) - len(unrated),
            refused=(*refused, *unrated),
        )

    def _each(self, requests: Sequence[Any], send: Callable[[Sequence[Any]], Any]) -> list[Problem | None]:
        """What is wrong with each; items that failed for a reason that passes are sent again alone."""
        answers: list[Problem | None] = [None] * len(requests)
        waiting = list(range(len(requests)))
        for seconds in (*_WAITS_SECONDS, None):
            if not waiting:
                break
            last: ImrsError
            try:
                sent = send([requests[each] for each in waiting])
            except _WORTH_WAITING as error:
                last, again = error, waiting
            else:
                failed = {
                    place: from_item_error(answer.error)
                    for place, answer in zip(waiting, sent, strict=True)
                    if answer.HasField("error")
                }
                again = [place for place, error in failed.items() if isinstance(error, _WORTH_WAITING)]
                answers = [_problem(failed[i]) if i in failed else old for i, old in enumerate(answers)]
                if not again:
                    break
                last = failed[again[0]]
            if seconds is None or self._wait(last.retry_after_seconds or seconds):
                raise last
            for place in again:
                answers[place] = None
            waiting = again
        return answers


def _problem(error: ImrsError) -> Problem:
    """The server's word about one item, by the fields of a history."""
    if error.reason == "INVALID_REQUEST" and error.metadata:
        path, description = next(iter(error.metadata.items()))
        return Problem(field_of(path), description)
    return Problem("", f"{error.reason}: {error.message}")
