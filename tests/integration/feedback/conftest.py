"""A catalogue, agents and decisions, and the use cases on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from imrs_client.ids import new_id, time_of
from imrs_server.domain.feedback import FeedbackType, Signal, Submission, judge
from imrs_server.domain.message import Report
from imrs_server.jobs.rollup import Rollup
from imrs_server.jobs.usage import UsageRollup
from imrs_server.storage.database import Database
from imrs_server.use_cases.feedback import FeedbackDesk
from imrs_server.use_cases.messages import Messages
from imrs_server.use_cases.performance import PerformanceReport
from imrs_server.use_cases.usage import UsageDesk
from tests.support import patience, schema
from tests.support.principals import ADMIN
from tests.support.schema import ELSEWHERE, HERE
from tests.support.transactions import await_earlier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.domain.feedback import Feedback
    from imrs_server.domain.message import Message
    from imrs_server.domain.principal import Principal

KNOWN = {
    "price_state": "PRICE_KNOWN",
    "input_price_usd": Decimal(2),
    "output_price_usd": Decimal(10),
    "cached_input_price_usd": Decimal("0.5"),
}


@dataclass
class World:
    """The slice under test, with short words for what the tests do most."""

    dsn: str
    database: Database
    rollup: Rollup
    flushes: int = 0
    wakes: int = 0
    log: list[dict[str, Any]] = field(default_factory=list)
    """Decisions that are made and not yet in the database."""

    def __post_init__(self) -> None:
        hooks: Any = {"flush_decisions": self.flush, "wake_rollup": self.wake}
        self.messages = Messages(self.database, **hooks)
        self.feedback = FeedbackDesk(self.database, **hooks)
        self.performance = PerformanceReport(self.database)
        self.usage = UsageDesk(self.database)
        self.usage_rollup = UsageRollup(self.database)

    def flush(self) -> None:
        self.flushes += 1
        while self.log:
            self.insert("decisions", **self.log.pop())

    def wake(self) -> None:
        self.wakes += 1
        self.rollup.wake()

    def insert(self, table: str, **columns: Any) -> None:
        with psycopg.connect(self.dsn) as connection:
            schema.insert(connection, table, **columns)

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        with psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(statement.encode(), parameters).fetchall()

    def decide(self, *, landed: bool = True, time: datetime | None = None, **columns: Any) -> UUID:
        decision_id = new_id(time or datetime.now(UTC))
        row = {"decision_id": decision_id, "create_time": time_of(decision_id), **columns}
        if landed:
            self.insert("decisions", **row)
        else:
            self.log.append(row)
        return decision_id

    def record(self, who: Principal = ADMIN, tenant_id: UUID | None = None, **fields: Any) -> Message:
        return self.messages.record(who, tenant_id, Report(**fields)).value

    def called(self, **fields: Any) -> Message:
        """A call that no decision was behind."""
        return self.record(
            **{"message_id": new_id(), "agent_id": "a", "model_id": "p/m", "task_type": "code", **fields}
        )

    def vote(
        self,
        message_id: UUID,
        signal: Signal | None = None,
        rating: float | None = None,
        *,
        who: Principal = ADMIN,
        feedback_type: FeedbackType | None = None,
        **fields: Any,
    ) -> Feedback:
        judgement = judge(signal, feedback_type, rating)
        submission = Submission(message_id=message_id, judgement=judgement, **fields)
        return self.feedback.submit(who, None, submission, patience_seconds=patience.SECONDS).value

    def message(self, message_id: UUID) -> dict[str, Any]:
        [found] = self.query("select * from messages where message_id = %s", message_id)
        return found

    def evidence(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """Of the tenant, by agent, task type and model; sums that are 0 left out."""
        rows = self.query("select * from evidence where tenant_id = %s", HERE)
        keys = ("agent_id", "task_type", "model_id")
        hidden = {"tenant_id", "last_time", *keys}
        return {
            (row["agent_id"], row["task_type"], row["model_id"]): {
                name: value for name, value in row.items() if value and name not in hidden
            }
            for row in rows
        }

    def rolled_up(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        """The evidence after as many turns as it takes to count everything."""
        await_earlier(self.dsn)
        while self.rollup.turn():
            pass
        return self.evidence()


@pytest.fixture
def world(database: str) -> Iterator[World]:
    with psycopg.connect(database) as connection:
        schema.insert(connection, "providers")
        schema.insert(connection, "models", **KNOWN)
        schema.insert(connection, "models", model_id="p/n", external_id="n")
        for agent_id in ("a", "b"):
            schema.insert(connection, "agents", agent_id=agent_id)
        schema.insert(connection, "agents", tenant_id=ELSEWHERE)
    with patience.database(database, app_connections=4, system_connections=2) as opened:
        yield World(database, opened, Rollup(opened))
