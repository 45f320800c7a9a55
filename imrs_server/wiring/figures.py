"""What is counted of a server, and by which names; calls are counted where they are guarded."""

from __future__ import annotations

from collections import Counter as Tallied
from math import nan
from typing import TYPE_CHECKING

from imrs_client.limits import Funds
from imrs_client.ranked import Reason
from imrs_server.domain.endpoint import EndpointState
from imrs_server.index.limits import NO_LIMITS
from imrs_server.telemetry.agent_labels import AgentLabels
from imrs_server.telemetry.metrics import Metrics
from imrs_server.telemetry.model_calls import ModelCalls
from imrs_server.transport.server import kinds

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from imrs_server.domain.breaker import Cause
    from imrs_server.domain.decision import Decision
    from imrs_server.index.warm import Index
    from imrs_server.jobs.stocktaking import Stocktaking
    from imrs_server.storage.inventory import Inventory
    from imrs_server.wiring.app import App
    from imrs_server.wiring.config_jobs import ConfigJobs


class Figures(Metrics):
    """The figures of a server; ``calls`` is to be told of calls of models.

    ``folder`` is that of the run, where there are several processes.
    """

    def __init__(self, *, folder: Path | None = None, by_agent: bool = True) -> None:
        super().__init__(kinds())
        self.calls = ModelCalls(self, AgentLabels(folder), by_agent=by_agent)
        decided = self.counter("imrs_decisions", "Decisions of Route, by their reason.", "reason")
        self._decided = {reason: decided.labels(reason) for reason in Reason}
        self._cooled = self.tally(
            "imrs_cooldowns", "Reports that a model or provider is to be left alone, by their cause.", "cause"
        )
        self._synced = self.tally(
            "imrs_syncs", "Syncs of providers, by their result: ok, or the reason.", "provider", "result"
        )
        self._reported = self.counter(
            "imrs_reported_decisions", "Decisions that clients took by themselves, by their reason.", "reason"
        )
        self._reloaded = self.tally(
            "imrs_config_reloads", "Changes of the configuration file, by what became of them.", "result"
        )
        self._stale = self.counter(
            "imrs_stale_decisions", "Decisions of Route by an index that may have missed changes."
        )

    def decided(self, decisions: Sequence[Decision]) -> None:
        """Count decisions."""
        for reason, count in Tallied(each.reason for each in decisions).items():
            self._decided[reason].inc(count)
        self._stale.inc(sum(each.stale for each in decisions))

    def reported(self, decisions: Sequence[Decision]) -> None:
        """Count decisions of clients."""
        for reason, count in Tallied(each.reason for each in decisions).items():
            self._reported.labels(reason).inc(count)

    def cooled(self, cause: Cause) -> None:
        """Count a report of a breaker."""
        self._cooled(cause)

    def synced(self, provider_id: str, result: str) -> None:
        """Count a sync."""
        self._synced(provider_id, result)

    def config_reloaded(self, result: str) -> None:
        """Count a change of the configuration file."""
        self._reloaded(result)

    def declare(self, app: App) -> None:
        """All that is read from the parts of a server now and then."""
        self._index(app.index)
        self._limits(app.index)
        self._queues(app)
        if app.stocktaking:
            self._stock(app.stocktaking)
        if app.config:
            self._config(app.config)

    def _index(self, index: Index) -> None:
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
        self.gauge(
            "imrs_keys_missing",
            "Keys that the database knows of and Vault does not give.",
            lambda: sum(not each.usable for each in index.vault.sightings.values()),
            of="livemax",
        )

    def _limits(self, index: Index) -> None:
        def cooling() -> dict[str, float]:
            found = index.current.limits if index.current else NO_LIMITS
            return {"model": len(found.models), "provider": len(found.providers)}

        def budgets() -> dict[str, float]:
            found = index.current.limits.budgets if index.current else {}
            levels = Tallied(each.funds for each in found.values())
            return {each.lower(): levels[each] for each in Funds}

        self.gauges(
            "imrs_cooling",
            "Models, and whole providers, that get fewer requests.",
            "of",
            cooling,
            of="livemax",
        )
        self.gauges(
            "imrs_budgets", "Budgets that are nearly spent, and that are.", "funds", budgets, of="livemax"
        )

    def _config(self, config: ConfigJobs) -> None:
        drift = config.drift
        self.gauge(
            "imrs_config_drift",
            "Things that are not as the configuration file gave them.",
            lambda: nan if drift.things is None else drift.things,
            of="livemax",
        )
        self.gauge(
            "imrs_config_refused",
            "1 while the configuration file is not good, and the last good one holds.",
            lambda: config.refused,
            of="livemax",
        )

    def _queues(self, app: App) -> None:
        log, votes, rollup = app.decisions, app.feedback, app.rollup
        self.gauges("imrs_calls_in_hand", "Calls that run or wait.", "pool", lambda: app.calls_in_hand)
        self.gauge("imrs_watchers", "Open streams of WatchAgent.", lambda: app.watch.streams)
        self.gauge("imrs_decisions_waiting", "Decisions that are not stored yet.", lambda: log.waiting)
        self.total("imrs_decisions_dropped", "Decisions that were not stored.", lambda: log.dropped)
        self.gauge("imrs_feedback_waiting", "Votes that are not committed yet.", lambda: votes.waiting)
        self.total("imrs_feedback_commits", "Transactions that stored votes.", lambda: votes.commits)
        self.total("imrs_feedback_committed", "Votes that were stored.", lambda: votes.committed)
        self.total("imrs_feedback_dropped", "Votes whose message never came.", lambda: rollup.dropped)
        late = app.late_messages
        self.gauge("imrs_messages_late", "Calls that wait to be stored.", lambda: late.waiting)
        self.total("imrs_messages_lost", "Calls that were never stored.", lambda: late.lost)
        outbox = app.outbox
        if outbox:
            self.total("imrs_outbox_dropped", "Ratings that were never told.", lambda: outbox.dropped)
            self.total("imrs_outbox_refused", "Ratings that were parked.", lambda: outbox.parked)

    def _stock(self, stock: Stocktaking) -> None:
        def of(read: Callable[[Inventory], float]) -> Callable[[], float]:
            return lambda: read(stock.found) if stock.found else nan

        self.gauge(
            "imrs_database_answers",
            "1 where the database answered last.",
            lambda: stock.answers,
            of="livemax",
        )
        for name, says, read in _STOCK:
            self.gauge(name, says, of(read), of="livemax")
        self.gauges(
            "imrs_endpoints",
            "Endpoints of the model pool, by their state.",
            "state",
            lambda: {
                each.lower(): stock.found.endpoints.get(each, 0) if stock.found else 0
                for each in EndpointState
            },
            of="livemax",
        )
        self.gauges(
            "imrs_sync_age_seconds",
            "Time since the models of a provider were synced.",
            "provider",
            lambda: {
                each.provider_id: nan if each.age_seconds is None else each.age_seconds
                for each in (stock.found.synced if stock.found else ())
            },
            of="livemax",
        )
        self.gauges(
            "imrs_sync_failing",
            "1 where the last sync of a provider failed.",
            "provider",
            lambda: {each.provider_id: each.failing for each in (stock.found.synced if stock.found else ())},
            of="livemax",
        )


_STOCK: tuple[tuple[str, str, Callable[[Inventory], float]], ...] = (
    ("imrs_partitions_ahead", "Months after this one that have partitions.", lambda each: each.months_ahead),
    ("imrs_outbox_waiting", "Ratings that wait to be told.", lambda each: each.outbox.waiting),
    ("imrs_outbox_parked", "Ratings that were refused.", lambda each: each.outbox.parked),
    (
        "imrs_outbox_oldest_seconds",
        "Age of the oldest rating that waits to be told.",
        lambda each: each.outbox.oldest_seconds,
    ),
)
