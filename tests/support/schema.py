"""A valid row for every table, and connections as the database's roles."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = UUID("11111111-1111-7111-8111-111111111111")
ELSEWHERE = UUID("22222222-2222-7222-8222-222222222222")
NOW = datetime.now(UTC)


@contextmanager
def acting(dsn: str, role: str, tenant_id: UUID | None = None) -> Iterator[psycopg.Connection]:
    """A transaction as a role, for a tenant; committed unless it ends with an error."""
    with psycopg.connect(dsn, options=f"-c role={role}") as connection:
        if tenant_id is not None:
            connection.execute("select set_config('imrs.tenant_id', %s, true)", [str(tenant_id)])
        yield connection


def insert(connection: psycopg.Connection[Any], table: str, **changes: Any) -> None:
    """Insert the table's valid row, with changes."""
    row = {**ROWS[table], **changes}
    statement = sql.SQL("insert into {} ({}) values ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(statement, row)


def insert_all(connection: psycopg.Connection) -> None:
    """Insert the valid row of every table."""
    for table in ROWS:
        insert(connection, table)


# In the order in which foreign keys allow it. Tables that a migration fills are left out.
ROWS: dict[str, dict[str, Any]] = {
    "change_log": {"rev": 2, "seq": 1, "kind": "agent", "tenant_id": HERE, "key": "a"},
    "providers": {
        "provider_id": "p",
        "provider_type": "CUSTOM",
        "dialect": "openai",
        "api_base": "https://llm.example/v1",
    },
    "models": {"model_id": "p/m", "provider_id": "p", "external_id": "m"},
    "model_changes": {
        "change_id": UUID(int=1),
        "provider_id": "p",
        "model_id": "p/m",
        "action": "ADDED",
        "synced_time": NOW,
    },
    "tenants": {"tenant_id": HERE},
    "agents": {"tenant_id": HERE, "agent_id": "a"},
    "agent_rules": {"tenant_id": HERE, "rule_id": UUID(int=2), "agent_id": "a", "filter": Jsonb({})},
    "agent_models": {"tenant_id": HERE, "agent_id": "a", "model_id": "p/m"},
    "agent_keys": {"tenant_id": HERE, "agent_id": "a", "provider_id": "p", "key_version": 1},
    "preferences": {"agent_class": "*"},
    "defaults": {"tenant_id": HERE, "scope": "TENANT"},
    "endpoints": {"endpoint_id": "e", "model_id": "p/m", "base_url": "http://10.0.0.1:8000"},
    "replicas": {
        "replica_id": "r",
        "version": "1",
        "index_revision": 1,
        "listener_connected": True,
        "start_time": "2026-01-01",
    },
    "endpoint_calls": {"endpoint_id": "e", "process_id": UUID(int=10), "in_flight": 1},
    "budgets": {
        "tenant_id": HERE,
        "budget_id": "b",
        "budget_window": timedelta(days=30),
        "reset_time": NOW,
    },
    "budget_reservations": {
        "tenant_id": HERE,
        "budget_id": "b",
        "reservation_id": UUID(int=5),
        "usd": 1,
        "tokens": 1,
        "expire_time": NOW,
    },
    "breakers": {
        "kind": "MODEL",
        "subject_id": "p/m",
        "phase": "COOLING",
        "cause": "overloaded",
        "share": 0.0,
        "openings": 1,
        "generation": 1,
        "since_time": NOW,
        "due_time": NOW,
    },
    "provider_calls": {"provider_id": "p", "second": 1, "calls": 1},
    "decisions": {
        "tenant_id": HERE,
        "decision_id": UUID(int=3),
        "create_time": NOW,
        "agent_id": "a",
        "task_type": "code",
        "confidence": "HIGH",
        "source": "TOOL",
        "model_id": "p/m",
        "reason": "SCORE",
    },
    "messages": {
        "tenant_id": HERE,
        "message_id": UUID(int=3),
        "partition_time": NOW,
        "agent_id": "a",
        "model_id": "p/m",
    },
    "feedback": {
        "tenant_id": HERE,
        "feedback_id": UUID(int=4),
        "message_id": UUID(int=3),
        "partition_time": NOW,
        "agent_id": "a",
        "model_id": "p/m",
        "task_type": "code",
        "rating": 1.0,
        "feedback_type": "EXPLICIT",
        "user_id": "u",
    },
    "evidence": {
        "tenant_id": HERE,
        "agent_id": "a",
        "task_type": "code",
        "model_id": "p/m",
        "last_time": NOW,
    },
    "evidence_tenants": {"tenant_id": HERE, "half_life_seconds": 1.0},
    "task_types": {"tenant_id": HERE, "task_type": "code"},
    "past_feedback": {
        "tenant_id": HERE,
        "born": "3",
        "rating": 1.0,
        "event_time": NOW,
        "counts": True,
        "speaks": True,
        "feedback_type": "EXPLICIT",
        "agent_id": "a",
        "task_type": "code",
        "model_id": "p/m",
    },
    "past_messages": {
        "tenant_id": HERE,
        "born": "3",
        "create_time": NOW,
        "latency_ms": 1,
        "outcome": "OK",
        "agent_id": "a",
        "task_type": "code",
        "model_id": "p/m",
    },
    "past_usage": {
        "tenant_id": HERE,
        "born": "3",
        "create_time": NOW,
        "agent_id": "a",
        "model_id": "p/m",
        "task_type": "code",
        "outcome": "OK",
        "latency_ms": 1,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "cached_tokens": 1,
        "tokens_estimated": False,
    },
    "usage_days": {
        "tenant_id": HERE,
        "day": NOW.date(),
        "agent_id": "a",
        "model_id": "p/m",
        "task_type": "code",
        "calls": 1,
        "errors": 0,
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "cached_tokens": 0,
        "cost_usd": 0,
        "unpriced_calls": 0,
        "estimated_calls": 0,
        "latency_steps": [0],
        "latency_calls": [1],
        "latency_sums_ms": [1],
    },
    "rollup_state": {"name": "evidence", "xid": "1", "epoch": UUID(int=5)},
    "audit_events": {
        "event_id": UUID(int=6),
        "tenant_id": HERE,
        "actor": "ann",
        "method": "CreateAgent",
        "target_type": "agent",
    },
    "issued_tokens": {
        "token_id": UUID(int=7),
        "tenant_id": HERE,
        "subject": "ann",
        "roles": Jsonb(["agent"]),
        "issued_by": "bob",
        "expire_time": NOW,
    },
    "idempotency_keys": {
        "tenant_id": HERE,
        "method": "CreateAgent",
        "key": "k",
        "request_hash": bytes(32),
        "response": Jsonb({}),
    },
    "config_owned": {"tenant_id": HERE, "source": "default", "target": "agents/a", "fields": Jsonb({})},
    "config_applies": {
        "apply_id": UUID(int=9),
        "tenant_id": HERE,
        "source": "default",
        "actor": "ann",
        "changes": Jsonb([]),
        "owned": Jsonb([]),
    },
    "config_files": {"tenant_id": HERE, "source": "default", "digest": bytes(32)},
    "outbox": {
        "tenant_id": HERE,
        "item_id": UUID(int=8),
        "kind": "somabrain",
        "key": "k",
        "payload": Jsonb({}),
    },
}
