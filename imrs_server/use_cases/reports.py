"""Decisions that clients took by themselves, taken over into the log."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from imrs_server.domain.decision import record
from imrs_server.domain.errors import AgentMismatch, Overloaded, TenantMismatch, Unavailable
from imrs_server.domain.message import CLOCK_SKEW, TRUSTED_AGE
from imrs_server.domain.principal import Role
from imrs_server.domain.shadow import beside
from imrs_server.storage import decisions
from imrs_server.storage.group_commit import GroupCommit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from imrs_server.domain.decision import Decision, DecisionRecord
    from imrs_server.domain.principal import Principal
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database, Tx

log = structlog.get_logger()

PATIENCE_SECONDS = 10.0
# What is told later is not compared with a policy on trial: by then that may know the ratings of what was
# chosen, or not have been there at all.
COMPARABLE_AGE = timedelta(hours=1)
_MOST_AT_ONCE = 5_000
_CAPACITY = 50_000


class DecisionReports:
    """What many clients report at once goes into one COPY, and each is answered after COMMIT.

    ``index`` says which policy is on trial; ``observers`` are told of what was stored, and must not wait.
    """

    def __init__(
        self,
        database: Database,
        index: Index,
        *,
        observers: Sequence[Callable[[Sequence[Decision]], None]] = (),
    ) -> None:
        self._index = index
        self._observers = observers
        self._queue: GroupCommit[DecisionRecord, bool] = GroupCommit(
            database, _write, _nothing, name="decision reports", most=_MOST_AT_ONCE, capacity=_CAPACITY
        )
        self.start, self.stop = self._queue.start, self._queue.stop

    def take(
        self, who: Principal, reported: Sequence[Decision], *, patience_seconds: float = PATIENCE_SECONDS
    ) -> int:
        """How many are stored by now; those that were stored before count, too.

        Those of no credible time, or of a model that never was, do not: they would fill the evidence.

        Raises TenantMismatch and AgentMismatch, Overloaded, and DatabaseUnavailable also where it took longer
        than the caller's patience. Whatever failed may be reported again.
        """
        who.require(Role.AGENT)
        tenant_id = who.tenant(None)
        for each in reported:
            if each.tenant_id != tenant_id:
                raise TenantMismatch
            if each.agent_id != who.agent_id:
                raise AgentMismatch
        now = datetime.now(UTC)
        timely = [each for each in reported if now - TRUSTED_AGE <= each.create_time <= now + CLOCK_SKEW]
        deadline = time.monotonic() + patience_seconds
        tickets = self._queue.hand_in([record(self._compared(each, now)) for each in timely])
        outcomes = [each.wait(max(0.0, deadline - time.monotonic())) for each in tickets]
        refused = [each for each in outcomes if isinstance(each, Exception)]
        for error in refused:
            if isinstance(error, Unavailable | Overloaded):
                raise error
        if refused:
            log.error("decisions.refused", count=len(refused), exc_info=refused[0])
        stored = [each for each, outcome in zip(timely, outcomes, strict=True) if outcome is True]
        self._tell(stored)
        return len(stored)

    def _compared(self, decision: Decision, now: datetime) -> Decision:
        """With the policy on trial, as it is now, where it is known what was asked of the one that served."""
        state = self._index.current
        known = decision.query is not None and decision.index_revision > 0
        if state is None or not known or now - decision.create_time > COMPARABLE_AGE:
            return decision
        tables = state.agent(decision.tenant_id, decision.agent_id)
        if tables is None:
            return decision
        table = tables.table(decision.task.task_type, decision.agent_class)
        return decision._replace(shadow=beside(table.shadow, tables.limits))

    def _tell(self, stored: Sequence[Decision]) -> None:
        for each in self._observers:
            try:
                each(stored)
            except Exception:  # who looks on must not keep anything from being answered
                log.exception("decisions.unobserved")


def _write(tx: Tx, records: Sequence[DecisionRecord]) -> Sequence[bool]:
    known = decisions.known_models(tx, {each.model_id for each in records})
    decisions.add(tx, [each for each in records if each.model_id in known])
    return [each.model_id in known for each in records]


def _nothing(_record: DecisionRecord) -> frozenset[Hashable]:
    """A report may meet its like in one transaction."""
    return frozenset()
