"""The change feed of the warm index: one revision a transaction, in commit order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from uuid import UUID

from psycopg.types.json import Jsonb

from imrs_server.storage import sql

if TYPE_CHECKING:
    from imrs_server.storage.database import Tx

CHANNEL = "imrs_index"

Q = sql.load(__file__)


class Kind(StrEnum):
    """What changed; the key names which one, an empty key means all of the kind."""

    PROVIDER = "provider"
    MODEL = "model"
    AGENT = "agent"
    PREFERENCE = "preference"
    DEFAULTS = "defaults"
    ENDPOINT = "endpoint"
    EVIDENCE = "evidence"
    BUDGET = "budget"
    COOLDOWN = "cooldown"
    TOKEN = "token"  # noqa: S105  (a word, not a token)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change log.

    For AGENT the key is the agent_id within the tenant, for EVIDENCE ``agent_id/task_type``, for ENDPOINT the
    model_id. An empty key means all there is of a kind. For BUDGET it is the agent_id, empty for the budgets
    of the tenant as such.
    """

    kind: Kind
    key: str = ""
    tenant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Revision:
    """Where the index stands. A new epoch means that the database was restored: load everything again."""

    rev: int
    epoch: UUID


def announce(tx: Tx, *changes: Change) -> int:
    """Take the next revision for what this transaction changed, and tell every server at commit.

    Call it last: the row lock on ``index_revision`` makes writers take turns until they commit, and that
    is what makes the order of revisions the order of commits.
    """
    lines = [
        {"kind": change.kind, "key": change.key, "tenant_id": change.tenant_id and str(change.tenant_id)}
        for change in changes
    ]
    revision: int = Q.announce.value(tx, changes=Jsonb(lines), channel=CHANNEL)
    return revision


def current(tx: Tx) -> Revision:
    """The newest committed revision."""
    found = Q.current.one(tx, lambda row: Revision(row["rev"], row["epoch"]))
    assert found is not None
    return found


def since(tx: Tx, revision: int) -> list[tuple[int, Change]]:
    """Every change after a revision, in order."""
    return Q.since.all(tx, _numbered, revision=revision)


def _numbered(row: dict[str, Any]) -> tuple[int, Change]:
    return row["rev"], Change(Kind(row["kind"]), row["key"], row["tenant_id"])
