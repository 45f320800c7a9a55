"""What is counted of a server, and by which names; calls are counted where they are guarded."""

from __future__ import annotations

from collections import Counter as Tallied
from typing import TYPE_CHECKING

from imrs_client.ranked import Reason
from imrs_server.telemetry.agent_labels import AgentLabels
from imrs_server.telemetry.metrics import Metrics
from imrs_server.telemetry.model_calls import ModelCalls
from imrs_server.transport.server import kinds

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from imrs_server.domain.decision import Decision
    from imrs_server.wiring import App


class Figures(Metrics):
    """The figures of a server; ``calls`` is to be told of calls of models.

    ``folder`` is that of the run, where there are several processes.
    """

    def __init__(self, *, folder: Path | None = None, by_agent: bool = True) -> None:
        super().__init__(kinds())
        self.calls = ModelCalls(self, AgentLabels(folder), by_agent=by_agent)
        decided = self.counter("imrs_decisions", "Decisions of Route, by their reason.", "reason")
        self._decided = {reason: decided.labels(reason) for reason in Reason}
        self._stale = self.counter(
            "imrs_stale_decisions", "Decisions of Route by an index that may have missed changes."
        )

    def decided(self, decisions: Sequence[Decision]) -> None:
        """Count decisions."""
        for reason, count in Tallied(each.reason for each in decisions).items():
            self._decided[reason].inc(count)
        self._stale.inc(sum(each.stale for each in decisions))

    def declare(self, app: App) -> None:
        """All that is read from the parts of a server now and then."""
        index, log, votes = app.index, app.decisions, app.feedback
        self.gauge(
            "imrs_index_revision",
            "Revision that answers are given by; of the worker that is furthest behind.",
            lambda: index.revision,
            of="livemin",
        )
        self.gauge(
            "imrs_index_age_seconds",
            "Time since the database last confirmed the index; of the worker that waits longest.",
            lambda: index.age_seconds,
            of="livemax",
        )
        self.gauge(
            "imrs_index_connected",
            "1 where every worker hears of changes from the database.",
            lambda: index.connected,
            of="livemin",
        )
        self.gauge(
            "imrs_vault_answers", "1 where Vault answered last.", lambda: index.vault.answers, of="livemin"
        )
        self.gauges("imrs_calls_in_hand", "Calls that run or wait.", "pool", lambda: app.calls_in_hand)
        self.gauge("imrs_watchers", "Open streams of WatchAgent.", lambda: app.watch.streams)
        self.gauge("imrs_decisions_waiting", "Decisions that are not stored yet.", lambda: log.waiting)
        self.total("imrs_decisions_dropped", "Decisions that were not stored.", lambda: log.dropped)
        self.gauge("imrs_feedback_waiting", "Votes that are not committed yet.", lambda: votes.waiting)
        self.total("imrs_feedback_commits", "Transactions that stored votes.", lambda: votes.commits)
        self.total("imrs_feedback_committed", "Votes that were stored.", lambda: votes.committed)
