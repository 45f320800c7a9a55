"""What follows from a change of the catalogue, last in its transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.storage import changes, standing
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.storage.database import Tx

# Beyond this many it is cheaper for an index to read all of a kind than one by one.
MAX_NAMED = 1000


def announce(tx: Tx, model_ids: Sequence[str]) -> int:
    """Let standing rules catch the models, tell every server, and return the revision.

    The transaction must be of ``Database.system``: rules of every tenant are at work.
    """
    return changes.announce(tx, *caught(tx, model_ids))


def caught(tx: Tx, model_ids: Sequence[str]) -> list[Change]:
    """Let standing rules catch the models; gives what is to be announced of models and agents."""
    agents: set[tuple[UUID, str]] = set()
    for each in standing.filters(tx):
        agents |= standing.enable(tx, each, model_ids)
    return [*_models(model_ids), *_agents(agents)]


def _models(model_ids: Sequence[str]) -> list[Change]:
    if len(model_ids) > MAX_NAMED:
        return [Change(Kind.MODEL)]
    return [Change(Kind.MODEL, model_id) for model_id in model_ids]


def _agents(agents: set[tuple[UUID, str]]) -> list[Change]:
    if len(agents) > MAX_NAMED:
        return [Change(Kind.AGENT)]
    return [Change(Kind.AGENT, agent_id, tenant_id) for tenant_id, agent_id in sorted(agents)]
