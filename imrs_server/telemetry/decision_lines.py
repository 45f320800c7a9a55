"""A line for each decision, or for a share of them: which model was chosen, for whom, and why (FR-06.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imrs_server.domain.decision import Decision

log = structlog.get_logger()

Level = Literal["debug", "info"]

# The last bits of a UUIDv7 are chance.
_CHANCES = 1 << 32


class DecisionLines:
    """Writes lines of ``level`` for the ``share`` of decisions, 0 to 1; the same ones on every server.

    ``taken`` says where: by the server, or by a client that reports it.
    """

    def __init__(self, level: Level, share: float, *, taken: Literal["server", "client"] = "server") -> None:
        self._taken = taken
        self._write = log.debug if level == "debug" else log.info
        self._below = round(share * _CHANCES)

    def __call__(self, decisions: Sequence[Decision]) -> None:
        for each in decisions:
            if each.decision_id.int % _CHANCES < self._below:
                self._write("decision", taken=self._taken, **_facts(each))


def _facts(decision: Decision) -> dict[str, object]:
    """All but what was said: neither the message nor what it names."""
    answer = decision.answer
    return {
        "timestamp": decision.create_time.isoformat().replace("+00:00", "Z"),
        "decision_id": str(decision.decision_id),
        "tenant": str(answer.tenant_id),
        "agent_id": answer.agent_id,
        "request_id": decision.request_id,
        "task_type": answer.task.task_type,
        "confidence": answer.task.confidence,
        "source": answer.task.source,
        "model_id": answer.selected.model_id,
        "score": round(answer.selected.score, 6),
        "fallbacks": [each.model_id for each in answer.fallbacks],
        "reason": answer.reason,
        "candidates": answer.candidates_total,
        "eligible": answer.candidates_eligible,
        "propensity": decision.propensity,
        "index_revision": decision.index_revision,
        "stale": decision.stale,
    }
