"""Messages of calls that ended while the database was away: kept here until it is back."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from imrs_client.ids import new_id
from imrs_server.domain.errors import AgentMismatch, DatabaseUnavailable, DomainError, InvalidRequest
from imrs_server.domain.message import Report
from imrs_server.domain.principal import Principal

if TYPE_CHECKING:
    from imrs_server.domain.decision import DecisionRecord
    from imrs_server.domain.message import Message
    from imrs_server.use_cases.messages import Messages

log = structlog.get_logger()

CAPACITY = 10_000
TRIES = 60
"""So often is tried to store what fails for no reason that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The message of a call that Complete has made. Its report has a message_id and a create_time, so that
    storing it a second time changes nothing.
    """

    who: Principal
    tenant_id: UUID
    report: Report
    reservation_id: UUID | None = None
    other_id: UUID = field(default_factory=new_id)
    tries: int = 0

    def record(self, messages: Messages, *, decided: DecisionRecord | None = None) -> Message:
        """Store it; as ``other_id`` where somebody has told of another call under its id, for this one is
        paid for all the same. Raises what ``Messages.record`` may raise.
        """
        try:
            return self._stored(messages, self.report, decided)
        except (AgentMismatch, InvalidRequest):
            return self._stored(messages, replace(self.report, message_id=self.other_id), decided)

    def _stored(self, messages: Messages, report: Report, decided: DecisionRecord | None) -> Message:
        return messages.record(
            self.who, self.tenant_id, report, reservation_id=self.reservation_id, decided=decided
        ).value


class LateMessages:
    """In memory, and so for as long as this process lives; ``lost`` counts those that were given up.

    What cannot be kept is written into the log with its tokens.
    """

    def __init__(self, messages: Messages, *, capacity: int = CAPACITY) -> None:
        self._messages = messages
        self._capacity = capacity
        self._kept: deque[Late] = deque()
        self._writing = Lock()
        self._has_ended = False
        self.lost = 0

    @property
    def waiting(self) -> int:
        """How many are kept."""
        return len(self._kept)

    def keep(self, late: Late) -> None:
        """Store it later. Waits for nothing."""
        if len(self._kept) >= self._capacity:
            self.lose(late, "too many wait for the database")
            return
        self._kept.append(late)
        log.info("message.late", message_id=str(late.report.message_id), waiting=len(self._kept))
        if self._has_ended:
            # Nobody writes any more. Who gave up before may have missed this one.
            self.give_up()

    def write(self) -> int:
        """Store them, oldest first; how many were stored. Raises DatabaseUnavailable, and keeps the rest."""
        stored = 0
        with self._writing:
            for _ in range(len(self._kept)):
                stored += self._store(self._kept[0])
                self._kept.popleft()
        return stored

    def give_up(self) -> None:
        """The process ends: tell the log what was not stored, and from now on what is to be kept."""
        self._has_ended = True
        with self._writing:
            while self._kept:
                self.lose(self._kept.popleft(), "the server stops while the database is away")

    def _store(self, late: Late) -> bool:
        try:
            late.record(self._messages)
        except DatabaseUnavailable:
            raise
        except DomainError as error:
            self.lose(late, error.reason)
            return False
        except Exception:
            if late.tries == 0:
                log.exception("message.failed", message_id=str(late.report.message_id))
            self._put_back(late)
            return False
        return True

    def _put_back(self, late: Late) -> None:
        """Behind the others: one that can never be stored must not keep them from it."""
        again = replace(late, tries=late.tries + 1)
        if again.tries < TRIES:
            self._kept.append(again)
        else:
            self.lose(late, "unexpected error")

    def lose(self, late: Late, reason: str) -> None:
        """It will never be stored: tell the log what it came to."""
        self.lost += 1
        report = late.report
        log.warning(
            "message.lost",
            reason=reason,
            tenant_id=str(late.tenant_id),
            message_id=str(report.message_id),
            decision_id=str(report.decision_id),
            agent_id=report.agent_id,
            model_id=report.model_id,
            prompt_tokens=report.prompt_tokens,
            completion_tokens=report.completion_tokens,
            cached_tokens=report.cached_tokens,
        )
