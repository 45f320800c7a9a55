"""Many votes in one transaction: of any tenants, each of a caller who was checked, no two on one message."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from imrs_client.ids import new_id, time_of
from imrs_server.domain import votes
from imrs_server.domain.errors import AgentMismatch, DomainError, MessageNotFound
from imrs_server.domain.feedback import PENDING_FOR, Feedback, Submission
from imrs_server.domain.memory import item
from imrs_server.domain.message import CLOCK_SKEW, partition_time
from imrs_server.domain.principal import Principal
from imrs_server.domain.votes import Vote
from imrs_server.domain.written import Written
from imrs_server.storage import feedback, idempotency, messages, outbox
from imrs_server.storage.database import Tx
from imrs_server.storage.feedback import Target
from imrs_server.storage.idempotency import Key
from imrs_server.storage.partitions import Table, needing

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


Answer = Written[Feedback]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ballot:
    """A vote that may be counted: who hands it in may vote, and for this tenant."""

    who: Principal
    tenant_id: UUID
    submission: Submission
    key: Key | None = None

    @property
    def place(self) -> tuple[UUID, UUID]:
        """Tenant, and message or decision."""
        return self.tenant_id, self.submission.message_id

    @property
    def claims(self) -> frozenset[Hashable]:
        """What one transaction has to itself: the message, and the key."""
        if self.key is None:
            return frozenset([self.place])
        return frozenset([self.place, (self.tenant_id, self.key.caller, self.key.request_id)])


class Voting:
    """``flush_decisions`` writes what the decision log holds back; ``with_memory`` tells a memory store."""

    def __init__(self, *, flush_decisions: Callable[[], object], with_memory: bool) -> None:
        self._flush_decisions = flush_decisions
        self._with_memory = with_memory

    def write(self, tx: Tx, ballots: Sequence[Ballot]) -> list[Answer | Exception | None]:
        """Count votes; for each its answer, its error, or None where somebody else is at its message.

        Raises MissingPartition.
        """
        count = _Count(tx, ballots)
        count.read()
        if count.may_land():
            self._flush_decisions()
            count.look_again()
        count.cast()
        count.store(with_memory=self._with_memory)
        return count.outcomes


@dataclass(slots=True)
class _Count:
    """One transaction: what is read goes there and back in one, and so does what is written."""

    tx: Tx
    ballots: Sequence[Ballot]
    outcomes: list[Answer | Exception | None] = field(init=False)
    targets: dict[int, Target] = field(init=False)
    standing: dict[tuple[UUID, UUID], list[Vote]] = field(default_factory=dict)
    inserts: list[Vote] = field(default_factory=list)
    updates: list[Vote] = field(default_factory=list)
    shown: list[tuple[datetime, Vote]] = field(default_factory=list)
    answers: list[tuple[UUID, Key, Answer]] = field(default_factory=list)
    told: list[Vote] = field(default_factory=list)

    def read(self) -> None:
        """Lock what there is to lock, then look at it."""
        tx, places = self.tx, [each.place for each in self.ballots]
        keyed = [(i, each.tenant_id, each.key) for i, each in enumerate(self.ballots) if each.key]
        keys = [(tenant_id, key) for _, tenant_id, key in keyed]
        with tx.pipeline():
            locked = messages.try_lock(tx, places)
            held = idempotency.try_lock(tx, keys)
            first = idempotency.first_answers(tx, keys, Feedback)
            targets = feedback.targets(tx, places)
            standing = feedback.on(tx, places)
        open_ = {i for i, is_locked in enumerate(locked()) if is_locked}
        self.outcomes = [None] * len(places)
        for (i, _, _), is_held, answer in zip(keyed, held(), first(), strict=True):
            if i in open_ and is_held:
                self.outcomes[i] = answer
            if not is_held or answer is not None:
                open_.discard(i)
        self.targets = {i: each for i, each in enumerate(targets()) if i in open_}
        for vote in standing():
            self.standing.setdefault((vote.tenant_id, vote.cast.message_id), []).append(vote)

    def may_land(self) -> bool:
        """Whether what a vote is on may be a decision that the log still holds back."""
        return any(self._is_awaited(i) for i in self.targets)

    def look_again(self) -> None:
        awaited = [i for i in self.targets if self._is_awaited(i)]
        found = feedback.targets(self.tx, [self.ballots[i].place for i in awaited])()
        self.targets.update(zip(awaited, found, strict=True))

    def cast(self) -> None:
        for i, target in self.targets.items():
            ballot = self.ballots[i]
            try:
                vote = self._vote(ballot, target)
            except DomainError as error:
                self.outcomes[i] = error
                continue
            answer = Written(self._count(vote, target), target.revision)
            self.outcomes[i] = answer
            if ballot.key is not None:
                self.answers.append((ballot.tenant_id, ballot.key, answer))

    def store(self, *, with_memory: bool) -> None:
        place = needing(Table.FEEDBACK, self.inserts[0].partition_time) if self.inserts else nullcontext()
        with place, self.tx.pipeline():
            if self.inserts:
                feedback.insert(self.tx, self.inserts)
            if self.updates:
                feedback.update(self.tx, self.updates)
            if self.shown:
                messages.show_ratings(self.tx, self.shown)
            if self.answers:
                idempotency.keep_all(self.tx, self.answers)
            if with_memory:
                outbox.put(self.tx, [item(each.tenant_id, each.cast) for each in self.told])

    def _is_awaited(self, i: int) -> bool:
        target = self.targets[i]
        return not target.agent_id and _is_fresh(self.ballots[i].submission.message_id, target.now)

    def _vote(self, ballot: Ballot, target: Target) -> Vote:
        """The vote that a ballot stands for. Raises MessageNotFound, AgentMismatch."""
        submission, who, agent_id = ballot.submission, ballot.who, target.agent_id
        place = target.partition_time or partition_time(submission.message_id, target.now, of_decision=True)
        pending = not agent_id
        if pending:
            if not _is_fresh(submission.message_id, target.now):
                raise MessageNotFound(message_id=submission.message_id)
            # Whose message it is comes out later; of an agent it must then be its own.
            agent_id = who.agent("") if who.acts_only_as_agent else ""
        elif who.acts_only_as_agent and agent_id != who.agent_id:
            raise AgentMismatch
        event_time = submission.event_time
        return Vote(
            tenant_id=ballot.tenant_id,
            partition_time=place,
            cast=Feedback(
                feedback_id=new_id(),
                message_id=submission.message_id,
                agent_id=agent_id,
                model_id=target.model_id,
                task_type=target.task_type,
                rating=submission.judgement.rating(target.signal_ratings),
                feedback_type=submission.judgement.feedback_type,
                signal=submission.judgement.signal,
                user_id=submission.user_id,
                comment=submission.comment,
                pending=pending,
                create_time=target.now if event_time is None else min(event_time, target.now),
            ),
        )

    def _count(self, vote: Vote, target: Target) -> Feedback:
        """Put a vote among those on its message; the answer is the one of this user and kind that counts."""
        before = self.standing.get((vote.tenant_id, vote.cast.message_id), [])
        earlier = next((each for each in before if _is_same(each.cast, vote.cast)), None)
        if earlier is not None:
            if _time(vote) < _time(earlier) or _repeats(vote.cast, earlier.cast):
                return earlier.cast
            # It keeps the id that it first got, and its place.
            vote = replace(earlier, cast=replace(vote.cast, feedback_id=earlier.cast.feedback_id))
        others = [each for each in before if each is not earlier]
        vote, *others_now = votes.stand([vote, *others])
        (self.inserts if earlier is None else self.updates).append(vote)
        self.updates += [now for was, now in zip(others, others_now, strict=True) if now is not was]
        if not vote.cast.pending:
            self.told.append(vote)
        speaker = votes.speaker([vote, *others_now])
        if target.partition_time is not None and speaker is not None:
            shown = (speaker.cast.rating, speaker.cast.feedback_type, speaker.cast.create_time)
            if shown != target.shown:
                self.shown.append((target.partition_time, speaker))
        return vote.cast


def _is_fresh(message_id: UUID, now: datetime) -> bool:
    """Whether the message of an unknown id may still come."""
    time = time_of(message_id)
    return time is not None and now - PENDING_FOR < time <= now + CLOCK_SKEW


def _is_same(one: Feedback, other: Feedback) -> bool:
    return (one.user_id, one.feedback_type) == (other.user_id, other.feedback_type)


def _repeats(now: Feedback, before: Feedback) -> bool:
    """Whether a vote is the very one that is there, taken back or not: a history is imported again."""
    return now == replace(before, feedback_id=now.feedback_id, revoke_time=None)


def _time(vote: Vote) -> datetime:
    assert vote.cast.create_time is not None
    return vote.cast.create_time
