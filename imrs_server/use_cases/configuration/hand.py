"""One transaction in which many things are written: each is audited by itself, all are announced together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.storage import audit, changes
from imrs_server.use_cases import catalogue_feed, closed_breakers, known

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_server.domain.agent import Agent
    from imrs_server.domain.breaker import Subject
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.changes import Change
    from imrs_server.storage.database import Tx


class Hand:
    """Who writes what for which tenant; ``method`` is what the audit log calls it."""

    def __init__(self, tx: Tx, who: Principal, tenant_id: UUID | None, method: str) -> None:
        self.tx = tx
        self.who = who
        self._tenant_id = tenant_id
        self._method = method
        self._changes: dict[Change, None] = {}
        self._model_ids: dict[str, None] = {}
        self._forgiven: dict[Subject, None] = {}
        self._agents: dict[str, Agent] = {}

    @property
    def tenant_id(self) -> UUID:
        """The tenant of what belongs to one; nothing of the kind is written without."""
        assert self._tenant_id is not None
        return self._tenant_id

    def wrote(
        self,
        change: Change,
        target: tuple[str, str],
        *,
        before: object | None = None,
        after: object | None = None,
    ) -> None:
        """Note a change of one thing."""
        audit.write(
            self.tx, self.who, self._method, target, before=before, after=after, tenant_id=change.tenant_id
        )
        self._changes[change] = None

    def agent(self, agent_id: str) -> Agent:
        """The agent whose models or rules are written, held until the end. Raises AgentNotFound."""
        found = self._agents.get(agent_id)
        if found is None:
            found = self._agents[agent_id] = known.lock_agent(self.tx, self.tenant_id, agent_id)
        return found

    def tell(self, *changes: Change) -> None:
        """Have more announced than a thing's own change."""
        self._changes |= dict.fromkeys(changes)

    def wrote_model(
        self, model_id: str, *, before: object | None = None, after: object | None = None
    ) -> None:
        """Note a change of a model; standing rules of every tenant hear of it at the end."""
        audit.write(self.tx, self.who, self._method, ("model", model_id), before=before, after=after)
        self._model_ids[model_id] = None

    def forgive(self, subject: Subject) -> None:
        """Have its breakers closed at the end."""
        self._forgiven[subject] = None

    def announce(self) -> int:
        """Tell every server, once; the revision, also where there was nothing to tell. Call it last."""
        if self._model_ids:
            self._changes |= dict.fromkeys(catalogue_feed.caught(self.tx, list(self._model_ids)))
        if self._forgiven:
            self._changes |= dict.fromkeys(closed_breakers.close(self.tx, self._forgiven))
        if not self._changes:
            return changes.current(self.tx).rev
        return changes.announce(self.tx, *self._changes)
