"""The composition root: the one place that knows how the parts fit together."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Self

import structlog

from imrs_server.adapters.addresses import AddressRules
from imrs_server.domain import scoring
from imrs_server.index.refresher import Refresher
from imrs_server.index.warm import Index
from imrs_server.jobs import outbox, rollup, shared_view
from imrs_server.jobs.breakers import BreakerReports, BreakerSteps
from imrs_server.jobs.budgets import BudgetWindows
from imrs_server.jobs.credentials import CredentialWatch
from imrs_server.jobs.decision_log import DecisionLog
from imrs_server.jobs.late_messages import LateMessageDelivery
from imrs_server.jobs.lifecycle import Lifecycle
from imrs_server.jobs.orphans import OrphanSweep
from imrs_server.jobs.outbox import OutboxDelivery
from imrs_server.jobs.partitions import PartitionLoop
from imrs_server.jobs.presence import Presence
from imrs_server.jobs.rollup import Rollup
from imrs_server.jobs.shared_view import SharedView
from imrs_server.jobs.stocktaking import Stocktaking
from imrs_server.jobs.sync_schedule import SyncSchedule
from imrs_server.jobs.usage import UsageRollup
from imrs_server.jobs.warming import Warming
from imrs_server.storage.database import Database
from imrs_server.storage.group_commit import MOST
from imrs_server.transport.line import Line
from imrs_server.transport.pools import Limits
from imrs_server.transport.server import Server
from imrs_server.transport.tokens import Verifier
from imrs_server.transport.watch.hub import Hub, Pace
from imrs_server.use_cases.agent_models import AgentModels
from imrs_server.use_cases.agents import Agents
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.call_rates import CallRates
from imrs_server.use_cases.catalog import Catalog
from imrs_server.use_cases.complete import Completions
from imrs_server.use_cases.configuration.apply import Configuration
from imrs_server.use_cases.effects import Effects
from imrs_server.use_cases.feedback import FeedbackDesk
from imrs_server.use_cases.late_messages import LateMessages
from imrs_server.use_cases.loading import LOAD_SECONDS
from imrs_server.use_cases.messages import Messages
from imrs_server.use_cases.pacing import Pacing
from imrs_server.use_cases.provider_checks import ProviderChecks
from imrs_server.use_cases.providers import Providers
from imrs_server.use_cases.reports import DecisionReports
from imrs_server.use_cases.route import Router
from imrs_server.use_cases.spending import Spending
from imrs_server.use_cases.status import StatusReport
from imrs_server.use_cases.sync import Sync
from imrs_server.wiring.config_jobs import ConfigJobs
from imrs_server.wiring.model_pool import ModelPool
from imrs_server.wiring.observers import Observers
from imrs_server.wiring.outside import key_set, provider_client, somabrain, trust, vault
from imrs_server.wiring.servicers import servicers

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from imrs_server.domain.scoring import Scorer
    from imrs_server.settings import Settings
    from imrs_server.wiring.part import Part
    from imrs_server.wiring.place import Place

log = structlog.get_logger()

DRAIN_SECONDS = 20.0
READY_CHECK_SECONDS = 1.0
# Workers that are not the first are woken for what they took in themselves; the first looks for the rest.
SELDOM_SECONDS = 30.0
SILENCE_SECONDS = 600.0
_VAULT_VIEW = "vault.json"


class App:
    """One server process. Entering starts everything without waiting for the database; leaving drains.

    ``scorer`` turns evidence into scores; ``most_votes_at_once`` is how many votes one commit takes at most;
    ``place`` is where it stands among several. Raises OSError where the address is taken.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        scorer: Scorer = scoring.score,
        most_votes_at_once: int = MOST,
        place: Place | None = None,
    ) -> None:
        dsn = settings.database_url.get_secret_value()
        direct = settings.listen_database_url
        rules = AddressRules(allowed=settings.provider_allow)
        self._observers = Observers(
            settings, folder=place.folder if place else None, worker=place.number if place else 0
        )
        self.database = Database(dsn)
        self.vault = vault(settings)
        self.index = Index(poll_seconds=settings.poll_seconds)
        self._refresher = Refresher(direct.get_secret_value() if direct else dsn, self.index, scorer=scorer)
        self.decisions = DecisionLog(self.database, observers=self._observers.decisions)
        memory = somabrain(settings, rules)
        with_memory = memory is not None
        leads = place is None or place.leads
        self.outbox = (
            OutboxDelivery(
                self.database, memory, poll_seconds=outbox.POLL_SECONDS if leads else SELDOM_SECONDS
            )
            if memory
            else None
        )
        self.rollup = Rollup(
            self.database,
            poll_seconds=rollup.POLL_SECONDS if leads else SELDOM_SECONDS,
            with_memory=with_memory,
        )

        keys = key_set(settings, rules)
        self._verifier = Verifier(
            trust(settings),
            find_key=keys.find if keys else lambda _: None,
            revoked=self.index.revoked,
        )
        if keys:
            keys.changed = self._verifier.forget

        self._parts: tuple[Part, ...] = (
            *((keys,) if keys else ()),
            self._refresher,
            Warming(self.index),
            self.decisions,
            self.rollup,
            *((self.outbox,) if self.outbox else ()),
            self._vault_view(place),
        )

        self.providers = Providers(self.database, self.vault, rules, lambda: self.index.vault)
        grace = settings.missing_grace
        client = provider_client(settings, rules)
        self.breakers = Breakers(self.database, self.index, count=self._observers.cooled)
        pacing = Pacing(self.breakers, CallRates(self.database, used_up=self.breakers.used_up))
        self.provider_checks = ProviderChecks(
            self.database, self.vault, provider_client(settings, rules, tries=1), permit=pacing.permit
        )
        self.sync = Sync(
            self.database,
            self.vault,
            client,
            permit=pacing.permit,
            missing_grace=grace,
            note=self._observers.synced,
        )
        self._parts += (BreakerReports(self.breakers),)
        self.stocktaking = Stocktaking(self.database) if leads and self._observers.figures else None
        if self.stocktaking:
            self._parts += (self.stocktaking,)
        if leads:
            self._parts += (
                PartitionLoop(self.database),
                OrphanSweep(self.database, self.vault),
                Lifecycle(self.database, missing_grace=grace),
                SyncSchedule(self.database, self.sync),
                UsageRollup(self.database),
                BreakerSteps(self.database, self.index),
                BudgetWindows(self.database),
            )
        self.catalog = Catalog(self.database)
        self.model_pool = ModelPool(
            self.database,
            self.vault,
            self.index,
            self.breakers,
            rules,
            provider_client(settings, rules, tries=1, read_seconds=LOAD_SECONDS),
            leads=leads,
        )
        self._parts += self.model_pool.parts
        self.agents = Agents(self.database)
        self.configuration = Configuration(self.database, rules)
        self.router = Router(self.index, self.decisions.offer)
        self.watch = Hub(self.index, self._verifier.bearer, Pace(most_streams=settings.max_watchers))
        self.agent_models = AgentModels(self.database, Effects(self.index))
        flush, wake = self.decisions.flush, self._votes_came
        spending = Spending(self.database, self.index)
        self.messages = Messages(
            self.database,
            flush_decisions=flush,
            wake_rollup=wake,
            with_memory=with_memory,
            notes=self._observers.model_calls,
            spending=spending,
        )
        self.late_messages = LateMessages(self.messages)
        self.feedback = FeedbackDesk(
            self.database,
            flush_decisions=flush,
            wake_rollup=wake,
            with_memory=with_memory,
            most_at_once=most_votes_at_once,
        )
        # A model may think for minutes before it says a word; the caller's deadline is the bound.
        self._model_client = provider_client(
            settings, rules, tries=1, read_seconds=SILENCE_SECONDS, kept=settings.max_completions
        )
        self.completions = Completions(
            self.router,
            self.index,
            self.vault,
            self.messages,
            self.catalog,
            self._model_client,
            pacing,
            spending,
            self.late_messages,
            self.model_pool.pool,
            key_cache_seconds=settings.key_cache_seconds,
        )
        self.reports = DecisionReports(self.database, self.index, observers=self._observers.reported)
        self.status = StatusReport(self.database, self.vault, self.index)
        self._parts += (
            self.feedback,
            self.reports,
            LateMessageDelivery(self.late_messages),
            Presence(self.database, self.status.own),
        )

        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._patience_seconds = place.patience_seconds if place else 0.0
        self._server = self._serve(settings, place)
        self.config = (
            ConfigJobs(self.configuration, self.index, note=self._observers.config_reloaded)
            if leads
            else None
        )
        if self.config:
            self._parts += (self.config,)
            if settings.config_file:
                self.config.watch(settings.config_file, settings.config_tenant, settings.config_environment)
        if self._observers.figures:
            self._observers.figures.declare(self)
        host = settings.grpc_addr.rpartition(":")[0]
        self.address = f"{host}:{self._server.port}"

    def _vault_view(self, place: Place | None) -> Part:
        """Of several workers the first watches Vault, and the others see what it saw."""
        if place is None or place.workers == 1:
            return CredentialWatch(self.vault, self.index)
        path = place.folder / _VAULT_VIEW
        if place.leads:
            return CredentialWatch(self.vault, self.index, publish=partial(shared_view.write, path))
        # A check closes a circuit that is open.
        return SharedView(path, self.index, back=self.vault.check)

    def _serve(self, settings: Settings, place: Place | None) -> Server:
        return Server(
            settings.grpc_addr,
            verifier=self._verifier,
            servicers=servicers(self, settings),
            with_reflection=settings.reflection,
            limits=Limits(
                route=settings.max_waiting_routes,
                feedback=settings.max_waiting_feedback,
                admin=settings.max_waiting_admin,
                streams=settings.max_streams,
                completions=settings.max_completions,
            ),
            meter_of=self._observers.meter,
            shared_port=place is not None,
            line=Line(place.folder / f"worker-{place.number}.sock") if place else None,
        )

    @property
    def calls_in_hand(self) -> Mapping[str, int]:
        """Calls that run or wait, by the pool that serves them."""
        return self._server.calls_in_hand

    def _votes_came(self) -> None:
        self.rollup.wake()
        if self.outbox is not None:
            self.outbox.wake()

    def __enter__(self) -> Self:
        self.database.open()
        for each in self._observers.parts:
            each.start()
        for part in self._parts:
            part.start()
        self.watch.start()
        self.index.wait_for(1, self._patience_seconds)
        self._server.start()
        threading.Thread(target=self._become_ready, name="readiness", daemon=True).start()
        log.info("server.started", address=self.address)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._server.stop(DRAIN_SECONDS, self.watch.stop)
        for part in reversed(self._parts):
            part.stop()
        self._model_client.close()
        self.vault.close()
        self.database.close()
        for each in self._observers.parts:
            each.stop()
        log.info("server.stopped", address=self.address)

    def await_turn(self) -> None:
        """Wait for a thread that answers Route, and for that which takes calls; for ever where they hang."""
        self._server.await_turn()

    def wait_ready(self, timeout_seconds: float | None) -> bool:
        """Wait until health says SERVING: the index has been read."""
        return self._ready.wait(timeout_seconds)

    def _become_ready(self) -> None:
        """From the first state of the index on; an outage later does not take it back, for Route goes on."""
        while not self._stopping.is_set():
            if self.index.wait_for(1, READY_CHECK_SECONDS):
                self._server.ready(serving=True)
                self._ready.set()
                return
