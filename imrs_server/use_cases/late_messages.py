"""Messages of calls that ended while the database was away: kept here until it is back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from imrs_server.domain.errors import DatabaseUnavailable, DomainError
from imrs_server.domain.message import Report
from imrs_server.domain.principal import Principal

if TYPE_CHECKING:
    from imrs_server.use_cases.messages import Messages

log = structlog.get_logger()

CAPACITY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A message to be stored, as by ``Messages.record``. Its report has a message_id and a create_time, so
    that storing it a second time changes nothing.
    """

    who: Principal
    tenant_id: UUID
    report: Report
    reservation_id: UUID | None = None


class LateMessages:
    """In memory, and so for as long as this process lives; ``lost`` counts those that were given up.

    What cannot be kept is written into the log with its tokens.
    """

    def __init__(self, messages: Messages, *, capacity: int = CAPACITY) -> None:
        self._messages = messages
        self._capacity = capacity
        self._kept: deque[Late] = deque()
        self._writing = Lock()
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def keep(self, late: Late) -> None:
        """Store it later. Waits for nothing."""
        if len(self._kept) >= self._capacity:
            self._lose(late, "too many wait for the database")
            return
        self._kept.append(late)
        log.info("message.late", message_id=str(late.report.message_id), waiting=len(self._kept))

    def write(self) -> int:
        """Store them, oldest first; how many were stored. Raises DatabaseUnavailable, and keeps the rest."""
        stored = 0
        with self._writing:
            while self._kept:
                stored += self._store(self._kept[0])
                self._kept.popleft()
        return stored

    def give_up(self) -> None:
        """The process ends: tell the log what was not stored."""
        with self._writing:
            while self._kept:
                self._lose(self._kept.popleft(), "the server stops while the database is away")

    def _store(self, late: Late) -> bool:
        try:
            self._messages.record(late.who, late.tenant_id, late.report, reservation_id=late.reservation_id)
        except DatabaseUnavailable:
            raise
        except DomainError as error:
            self._lose(late, error.reason)
            return False
        except Exception:
            # One that can never be stored must not keep the others from it.
            log.exception("message.failed", message_id=str(late.report.message_id))
            self._lose(late, "unexpected error")
            return False
        return True

    def _lose(self, late: Late, reason: str) -> None:
        self.lost += 1
        report = late.report
        log.warning(
            "message.lost",
            reason=reason,
            tenant_id=str(late.tenant_id),
            message_id=str(report.message_id),
            agent_id=report.agent_id,
            model_id=report.model_id,
            prompt_tokens=report.prompt_tokens,
            completion_tokens=report.completion_tokens,
            cached_tokens=report.cached_tokens,
        )
