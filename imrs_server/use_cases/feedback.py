"""Feedback: votes on messages, perhaps before the messages themselves are known."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imrs_server.domain.errors import FeedbackNotFound, InvalidRequest, Violation
from imrs_server.domain.memory import items
from imrs_server.domain.message import CLOCK_SKEW
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, feedback, messages, outbox
from imrs_server.storage.group_commit import MOST, GroupCommit
from imrs_server.use_cases import settling
from imrs_server.use_cases.voting import Answer, Ballot, Voting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from imrs_server.domain.feedback import Feedback, FeedbackFilter, Submission
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database
    from imrs_server.storage.idempotency import Key

_ANYBODY = (Role.USER, Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)

PATIENCE_SECONDS = 10.0
"""How long a caller without a deadline waits for the acknowledgement."""


class FeedbackDesk:
    """``flush_decisions`` writes what the decision log holds back, ``wake_rollup`` tells that votes came.

    Votes are written in groups of at most ``most_at_once``; ``with_memory`` has a memory store told of them.
    """

    def __init__(
        self,
        database: Database,
        *,
        flush_decisions: Callable[[], object],
        wake_rollup: Callable[[], None],
        most_at_once: int = MOST,
        with_memory: bool = False,
    ) -> None:
        self._database = database
        self._wake_rollup = wake_rollup
        self._with_memory = with_memory
        voting = Voting(flush_decisions=flush_decisions, with_memory=with_memory)
        self._queue: GroupCommit[Ballot, Answer] = GroupCommit(
            database, voting.write, lambda ballot: ballot.claims, name="feedback", most=most_at_once
        )
        self.start, self.stop = self._queue.start, self._queue.stop

    @property
    def waiting(self) -> int:
        """Votes in the queue."""
        return self._queue.waiting

    @property
    def commits(self) -> int:
        """Transactions that stored votes."""
        return self._queue.commits

    @property
    def committed(self) -> int:
        """Votes that were stored, or refused by the database."""
        return self._queue.committed

    def submit(
        self,
        who: Principal,
        tenant_id: UUID | None,
        submission: Submission,
        *,
        key: Key | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Written[Feedback]:
        """Store a vote. Each user has one of each kind on a message; the one given last counts.

        A vote on a decision whose message was not recorded counts for what was decided. One on an unknown
        id is pending while the id is fresh. Votes take no revision; the answer has the newest.

        Raises InvalidRequest, AgentMismatch, MessageNotFound, IdempotencyMismatch, Overloaded, and
        DatabaseUnavailable also where it took longer than the caller's patience.
        """
        ballot = self.check(who, tenant_id, submission, key=key)
        [answer] = self.count([ballot], patience_seconds=patience_seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def check(
        self, who: Principal, tenant_id: UUID | None, submission: Submission, *, key: Key | None = None
    ) -> Ballot:
        """What may be counted. Raises InvalidRequest and what the caller is not allowed."""
        who.require(*_ANYBODY)
        tenant = who.tenant(tenant_id)
        given = submission.event_time
        if given is not None and given > datetime.now(UTC) + CLOCK_SKEW:
            raise InvalidRequest(Violation("event_time", "must not be in the future"))
        if _is_only_user(who):
            submission = replace(submission, user_id=who.subject)
        return Ballot(who=who, tenant_id=tenant, submission=submission, key=key)

    def count(
        self, ballots: Sequence[Ballot], *, patience_seconds: float = PATIENCE_SECONDS
    ) -> list[Answer | Exception]:
        """Store votes; for each its answer, or the error that ``submit`` raises."""
        deadline = time.monotonic() + patience_seconds
        tickets = self._queue.hand_in(ballots)
        answers = [each.wait(max(0.0, deadline - time.monotonic())) for each in tickets]
        if any(not isinstance(each, Exception) and not each.value.pending for each in answers):
            self._wake_rollup()
        return answers

    def revoke(self, who: Principal, tenant_id: UUID | None, feedback_id: UUID) -> Written[Feedback]:
        """Take a vote back: a user the own, an agent those on its messages. Twice is no error.

        Raises FeedbackNotFound.
        """
        who.require(*_ANYBODY)
        tenant = who.tenant(tenant_id)
        with self._database.transaction(tenant) as tx:
            before = feedback.get(tx, tenant, feedback_id)
            if before is None or not _may_see(who, before):
                raise FeedbackNotFound(feedback_id=feedback_id)
            messages.lock(tx, tenant, before.message_id)
            after = feedback.revoke(tx, tenant, feedback_id)
            if after is not None:
                settling.stand(tx, [(tenant, before.message_id)])
                message = messages.get(tx, tenant, before.message_id)
                if message is not None:
                    messages.show_rating(tx, message)
                target = ("feedback", str(feedback_id))
                audit.write(tx, who, "RevokeFeedback", target, before=before, after=after, tenant_id=tenant)
                if self._with_memory:
                    outbox.put(tx, items(tenant, [after]))
            written = Written(after or before, changes.current(tx).rev)
        self._wake_rollup()
        return written

    def list(
        self, who: Principal, tenant_id: UUID | None, page: PageRequest, wanted: FeedbackFilter
    ) -> Page[Feedback]:
        """Votes, the newest first: a user's own, those on an agent's messages, a tenant's, or all."""
        who.require(*_ANYBODY)
        scope = who.scope(tenant_id)
        owner = who.subject if _is_only_user(who) else None
        if who.acts_only_as_agent:
            wanted = replace(wanted, agent_id=who.agent(wanted.agent_id))
        page = replace(page, order_by=page.order_by or "create_time desc")
        with self._database.scoped(scope) as tx:
            return feedback.list_page(tx, page, scope, wanted, owner=owner)


def _is_only_user(who: Principal) -> bool:
    """Whether the user role is the strongest one held."""
    return who.roles.isdisjoint({Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN})


def _may_see(who: Principal, vote: Feedback) -> bool:
    if _is_only_user(who):
        return vote.user_id == who.subject
    return not who.acts_only_as_agent or vote.agent_id == who.agent_id
