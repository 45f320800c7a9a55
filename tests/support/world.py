"""A small world in a database, changed and announced as the use cases do it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.types.json import Jsonb

from imrs_server.storage import changes
from imrs_server.storage.changes import Change, Kind
from tests.support.schema import ELSEWHERE, HERE, NOW, insert

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.storage.database import Database, Tx

# name -> priority, capabilities
MODELS: dict[str, tuple[int, list[str]]] = {
    "low": (40, ["text"]),
    "mid": (50, ["text", "code"]),
    "high": (60, ["text", "code", "vision"]),
}


class World:
    """Two tenants with an agent ``a`` each, which may use all of MODELS; HERE has ``b``, which may none."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with psycopg.connect(database.dsn) as connection:
            insert(connection, "providers", key_version=1)
            for name, (priority, capabilities) in MODELS.items():
                row = {
                    "priority": priority,
                    "capabilities": Jsonb(capabilities),
                    "display_name": name.title(),
                }
                insert(connection, "models", model_id=f"p/{name}", external_id=name, **row)
            for tenant_id in (HERE, ELSEWHERE):
                insert(connection, "agents", tenant_id=tenant_id)
                for name in MODELS:
                    insert(connection, "agent_models", tenant_id=tenant_id, model_id=f"p/{name}")
            insert(connection, "agents", agent_id="b")

    def change(self, statement: Any, *said: Change, **parameters: Any) -> int:
        """Execute a statement and announce what it changed; the revision."""
        with self.database.system() as tx:
            tx.execute(statement, parameters)
            return changes.announce(tx, *said)

    @contextmanager
    def silently(self) -> Iterator[Tx]:
        """A change of which nobody is notified: the revision rises, and whatever else is up to the caller."""
        with self.database.system() as tx:
            yield tx
            tx.execute("update index_revision set rev = rev + 1")

    def update_model(self, name: str, **columns: Any) -> int:
        key = f"p/{name}"
        return self.change(
            _update("models", "model_id", columns), Change(Kind.MODEL, key), key=key, **columns
        )

    def update_provider(self, **columns: Any) -> int:
        return self.change(
            _update("providers", "provider_id", columns), Change(Kind.PROVIDER, "p"), key="p", **columns
        )

    def update_agent(self, agent_id: str = "a", tenant_id: UUID = HERE, **columns: Any) -> int:
        statement = _update("agents", "agent_id", columns) + " and tenant_id = %(tenant_id)s"
        change = Change(Kind.AGENT, agent_id, tenant_id)
        return self.change(statement, change, key=agent_id, tenant_id=tenant_id, **columns)

    def update_agent_model(self, name: str, **columns: Any) -> int:
        whose = " and tenant_id = %(tenant)s and agent_id = 'a'"
        statement = _update("agent_models", "model_id", columns) + whose
        return self.change(statement, Change(Kind.AGENT, "a", HERE), key=f"p/{name}", tenant=HERE, **columns)

    def rate(self, name: str, rating: float, *, task_type: str = "code", n: int = 20) -> int:
        """Give the agent ``a`` evidence for a model, as the roll-up does: its own row and the tenant's."""
        statement = """
            insert into evidence (
                tenant_id, agent_id, task_type, model_id, last_time, raw_n, raw_s, explicit_n, explicit_s
            )
            select %(tenant)s, agent_id, %(task)s, %(model)s, %(now)s, %(n)s, %(s)s, %(n)s, %(s)s
            from unnest(array['a', '']) as agent_id
            on conflict (tenant_id, agent_id, task_type, model_id) do update
            set raw_n = excluded.raw_n, raw_s = excluded.raw_s,
                explicit_n = excluded.explicit_n, explicit_s = excluded.explicit_s
        """
        known = {"tenant": HERE, "task": task_type, "model": f"p/{name}", "now": NOW}
        return self.change(
            statement, Change(Kind.EVIDENCE, f"a/{task_type}", HERE), n=n, s=n * rating, **known
        )

    def set_defaults(self, tenant_id: UUID | None = None, **columns: Any) -> int:
        """The defaults of a tenant, or of all."""
        row = {"tenant_id": tenant_id, "scope": "GLOBAL" if tenant_id is None else "TENANT", **columns}
        names = ", ".join(row)
        values = ", ".join(f"%({name})s" for name in row)
        updates = ", ".join(f"{name} = excluded.{name}" for name in row)
        statement = f"""
            insert into defaults ({names}) values ({values})
            on conflict (tenant_id) do update set {updates}
        """
        return self.change(statement, Change(Kind.DEFAULTS, "", tenant_id), **row)

    def place(self, endpoint_id: str, name: str, state: str) -> int:
        """Set an endpoint of a model, which may have been another one's."""
        statement = """
            insert into endpoints (endpoint_id, model_id, base_url, state)
            values (%(endpoint_id)s, %(model_id)s, %(base_url)s, %(state)s)
            on conflict (endpoint_id) do update set model_id = excluded.model_id, state = excluded.state
        """
        # Whose it was is not known here, so all of them.
        return self.change(
            statement,
            Change(Kind.ENDPOINT),
            endpoint_id=endpoint_id,
            model_id=f"p/{name}",
            base_url=f"http://127.0.0.1:9/{endpoint_id}",
            state=state,
        )

    def unplace(self, endpoint_id: str) -> int:
        statement = "delete from endpoints where endpoint_id = %(endpoint_id)s"
        changes = [Change(Kind.ENDPOINT, f"p/{name}") for name in MODELS]
        return self.change(statement, *changes, endpoint_id=endpoint_id)

    def fail(self, endpoint_id: str, phase: str) -> int:
        """Have an endpoint cool, or come back."""
        statement = """
            insert into breakers
                (kind, subject_id, phase, cause, share, openings, generation, since_time, due_time)
            values ('ENDPOINT', %(endpoint_id)s, %(phase)s, 'network', 0, 1, 1, %(now)s, %(now)s)
            on conflict (kind, subject_id) do update set phase = excluded.phase
        """
        change = Change(Kind.COOLDOWN)
        return self.change(statement, change, endpoint_id=endpoint_id, phase=phase, now=NOW)

    def prefer(self, agent_class: str, *names: str) -> int:
        statement = """
            insert into preferences (agent_class, model_ids) values (%(agent_class)s, %(ids)s)
            on conflict (agent_class) do update set model_ids = excluded.model_ids
        """
        ids = Jsonb([f"p/{name}" for name in names])
        return self.change(statement, Change(Kind.PREFERENCE, agent_class), agent_class=agent_class, ids=ids)


def _update(table: str, key: str, columns: dict[str, Any]) -> str:
    assignments = ", ".join(f"{name} = %({name})s" for name in columns)
    return f"update {table} set {assignments} where {key} = %(key)s"
