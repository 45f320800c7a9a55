"""Votes after something happened to them other than being cast: which count now, and who is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.domain import votes
from imrs_server.domain.memory import item, items
from imrs_server.storage import feedback, messages, outbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.message import Message
    from imrs_server.domain.votes import Vote
    from imrs_server.storage.database import Tx


def stand(tx: Tx, places: Sequence[tuple[UUID, UUID]]) -> None:
    """See to it that on some locked messages, each by its tenant and id, the right votes count."""
    on: dict[tuple[UUID, UUID], list[Vote]] = {}
    for vote in feedback.on(tx, places)():
        on.setdefault((vote.tenant_id, vote.cast.message_id), []).append(vote)
    changed = [
        now
        for before in on.values()
        for was, now in zip(before, votes.stand(before), strict=True)
        if now is not was
    ]
    if changed:
        feedback.update(tx, changed)


def settle(tx: Tx, message: Message, *, with_memory: bool) -> Message:
    """Bring the votes that came before a locked message together with it; returns it with its rating."""
    settled = feedback.settle(tx, message)
    if settled:
        stand(tx, [(message.tenant_id, message.message_id)])
    if with_memory:
        outbox.put(tx, items(message.tenant_id, settled))
    return messages.show_rating(tx, message)


def settle_decided(tx: Tx, *, with_memory: bool) -> int:
    """Let votes of all tenants count whose decision has landed since they came. Returns how many.

    Those on messages that somebody else is at are left for the next time.
    """
    found = feedback.decided(tx)
    if not found:
        return 0
    locked = messages.try_lock(tx, found)()
    places = [place for place, is_locked in zip(found, locked, strict=True) if is_locked]
    settled = feedback.settle_decided(tx, places)
    stand(tx, places)
    if with_memory:
        outbox.put(tx, [item(each.tenant_id, each.cast) for each in settled])
    return len(settled)
