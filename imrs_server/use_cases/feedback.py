"""Feedback: votes on messages, perhaps before the messages themselves are known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from imrs_client.ids import new_id, time_of
from imrs_server.domain.errors import (
    AgentMismatch,
    FeedbackNotFound,
    InvalidRequest,
    MessageNotFound,
    Violation,
)
from imrs_server.domain.feedback import PENDING_FOR, Feedback
from imrs_server.domain.message import CLOCK_SKEW, partition_time
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, decisions, feedback, idempotency, messages, partitions
from imrs_server.use_cases.landing import NotLanded, landing

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from imrs_server.domain.feedback import FeedbackFilter, Submission
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx
    from imrs_server.storage.idempotency import Key

_ANYBODY = (Role.USER, Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)


class FeedbackDesk:
    """``flush_decisions`` writes what the decision log holds back, ``wake_rollup`` tells that votes came."""

    def __init__(
        self,
        database: Database,
        *,
        flush_decisions: Callable[[], object],
        wake_rollup: Callable[[], None],
    ) -> None:
        self._database = database
        self._flush_decisions = flush_decisions
        self._wake_rollup = wake_rollup

    def submit(
        self, who: Principal, tenant_id: UUID | None, submission: Submission, *, key: Key | None = None
    ) -> Written[Feedback]:
        """Store a vote. Each user has one of each kind on a message; the one given last counts.

        A vote on a decision whose message was not recorded counts for what was decided. One on an unknown
        id is pending while the id is fresh. Votes take no revision; the answer has the newest.

        Raises InvalidRequest, AgentMismatch, MessageNotFound.
        """
        who.require(*_ANYBODY)
        tenant = who.tenant(tenant_id)
        now = datetime.now(UTC)
        if submission.event_time is not None and submission.event_time > now + CLOCK_SKEW:
            raise InvalidRequest(Violation("event_time", "must not be in the future"))
        if _is_only_user(who):
            submission = replace(submission, user_id=who.subject)

        def work(landed: bool) -> Written[Feedback]:
            with self._database.transaction(tenant) as tx:
                first = idempotency.first_answer(tx, tenant, key, Feedback)
                if first is not None:
                    return first
                stored = _Voting(tx, who, tenant, landed=landed, now=now).vote(submission)
                return idempotency.keep(tx, tenant, key, Written(stored, changes.current(tx).rev))

        written = partitions.healing(self._database, lambda: landing(work, self._flush_decisions))
        if not written.value.pending:
            self._wake_rollup()
        return written

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
                message = messages.get(tx, tenant, before.message_id)
                if message is not None:
                    messages.show_rating(tx, message)
                target = ("feedback", str(feedback_id))
                audit.write(tx, who, "RevokeFeedback", target, before=before, after=after, tenant_id=tenant)
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


class _Voting:
    """One vote in its transaction."""

    def __init__(self, tx: Tx, who: Principal, tenant_id: UUID, *, landed: bool, now: datetime) -> None:
        self._tx, self._who, self._tenant_id, self._landed, self._now = tx, who, tenant_id, landed, now

    def vote(self, submission: Submission) -> Feedback:
        messages.lock(self._tx, self._tenant_id, submission.message_id)
        message = messages.get(self._tx, self._tenant_id, submission.message_id)
        if message is not None:
            stored = self._put(
                submission, message.partition_time, message.agent_id, message.model_id, message.task_type
            )
            messages.show_rating(self._tx, message)
            return stored
        decision = decisions.get(self._tx, self._tenant_id, submission.message_id)
        if decision is not None:
            place = partition_time(submission.message_id, self._now, of_decision=True)
            return self._put(submission, place, decision.agent_id, decision.model_id, decision.task_type)
        return self._wait(submission)

    def _wait(self, submission: Submission) -> Feedback:
        time = time_of(submission.message_id)
        if time is None or not self._now - PENDING_FOR < time <= self._now + CLOCK_SKEW:
            raise MessageNotFound(message_id=submission.message_id)
        if not self._landed:
            raise NotLanded
        # Whose message it is comes out later; of an agent it must then be its own.
        claim = self._who.agent("") if self._who.acts_only_as_agent else ""
        return self._put(submission, time, claim)

    def _put(
        self,
        submission: Submission,
        place: datetime,
        agent_id: str = "",
        model_id: str = "",
        task_type: str = "",
    ) -> Feedback:
        if self._who.acts_only_as_agent and agent_id != self._who.agent_id:
            raise AgentMismatch
        configured = {}
        if submission.judgement.given is None:
            configured = feedback.signal_ratings(self._tx, self._tenant_id, agent_id)
        vote = Feedback(
            feedback_id=new_id(),
            message_id=submission.message_id,
            agent_id=agent_id,
            model_id=model_id,
            task_type=task_type,
            rating=submission.judgement.rating(configured),
            feedback_type=submission.judgement.feedback_type,
            signal=submission.judgement.signal,
            user_id=submission.user_id,
            comment=submission.comment,
            pending=not model_id,
            create_time=submission.event_time,
        )
        return feedback.put(self._tx, self._tenant_id, vote, place)


def _is_only_user(who: Principal) -> bool:
    """Whether the user role is the strongest one held."""
    return who.roles.isdisjoint({Role.AGENT, Role.TENANT_ADMIN, Role.PLATFORM_ADMIN})


def _may_see(who: Principal, vote: Feedback) -> bool:
    if _is_only_user(who):
        return vote.user_id == who.subject
    return not who.acts_only_as_agent or vote.agent_id == who.agent_id
