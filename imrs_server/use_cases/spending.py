"""What calls take from the budgets of their agent and their tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from imrs_client.ids import new_id
from imrs_server.domain import budget
from imrs_server.domain.budget import NOTHING, Level
from imrs_server.domain.pricing import UNPRICED
from imrs_server.storage import budgets, changes, messages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from imrs_server.domain.budget import Spend
    from imrs_server.domain.chat import TokenUsage
    from imrs_server.domain.decision import SelectedModel
    from imrs_server.domain.errors import BudgetExceeded
    from imrs_server.domain.message import Message
    from imrs_server.index.warm import Index
    from imrs_server.storage.budgets import Moved
    from imrs_server.storage.database import Database, Tx

# What a call that was cut off needs at most to end, and to be stored.
_MARGIN_SECONDS = 60.0
# Windows go by the database's clock and calls by a server's: what is this new is of the window that is now.
_NEW = timedelta(minutes=1)


class EndedCall(NamedTuple):
    """A call that is over and not charged yet."""

    reservation_id: UUID
    model_id: str
    usage: TokenUsage


class Spending:
    """Where the index knows of no budget, nothing here asks the database anything."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    def reserve(
        self,
        tenant_id: UUID,
        agent_id: str,
        model: SelectedModel,
        *,
        prompt_tokens: int,
        output_tokens: int,
        seconds: float,
        ended: Sequence[EndedCall] = (),
    ) -> UUID | None:
        """Set aside what a call may come to, for as long as it may take; None where there is no budget.

        Of what was set aside for ``ended`` calls only what they came to stays so, until they are charged.

        Raises BudgetExceeded, and DatabaseUnavailable: where nobody knows what is left, nothing is spent.
        """
        if not self._counts(tenant_id, agent_id):
            return None
        reservation_id = new_id()
        with self._database.transaction(tenant_id) as tx:
            price = messages.price(tx, tenant_id, agent_id, model.model_id) or UNPRICED
            wanted = budget.estimate(price, model.cost_tier, prompt_tokens, output_tokens)
            judged = budgets.reserve(
                tx,
                tenant_id,
                agent_id,
                reservation_id,
                wanted,
                seconds=seconds + _MARGIN_SECONDS,
                ended={each.reservation_id: _came_to(tx, tenant_id, agent_id, each) for each in ended},
            )
            _announce(tx, [each.moved for each in judged])
        refusing = [each.budget for each in judged if each.refuses]
        if refusing:
            raise budget.exceeded(refusing, datetime.now(UTC), wanted)
        return reservation_id if judged else None

    def give_back(self, tenant_id: UUID, agent_id: str, reservation_id: UUID) -> None:
        """What was set aside for a call that is not made. Raises DatabaseUnavailable; then it expires."""
        with self._database.transaction(tenant_id) as tx:
            _announce(tx, budgets.charge(tx, tenant_id, agent_id, NOTHING, reservation_id=reservation_id))

    def charge(
        self, tx: Tx, message: Message, before: Message | None = None, *, reservation_id: UUID | None = None
    ) -> None:
        """Count a call, or what telling it anew changes, in place of what was set aside for it.

        In the transaction that stores its message, and there as late as can be: others who spend wait for
        its end.
        """
        if reservation_id is None and not self._counts(message.tenant_id, message.agent_id):
            return
        spend = budget.spend(message, before)
        if reservation_id is None and spend.is_nothing:
            return
        is_new = datetime.now(UTC) - message.create_time < _NEW
        moved = budgets.charge(
            tx,
            message.tenant_id,
            message.agent_id,
            spend,
            reservation_id=reservation_id,
            create_time=None if is_new else message.create_time,
        )
        _announce(tx, moved)

    def used_up(self, tenant_id: UUID, agent_id: str) -> BudgetExceeded | None:
        """Why no model is left, where it is for a budget. Raises DatabaseUnavailable."""
        with self._database.transaction(tenant_id) as tx:
            found = budgets.of(tx, tenant_id, agent_id)
        now = datetime.now(UTC)
        short = [each for each in found if each.level in (Level.SPENT, Level.EXHAUSTED)]
        return budget.exceeded(short, now) if short else None

    def _counts(self, tenant_id: UUID, agent_id: str) -> bool:
        state = self._index.current
        return state is None or state.limits.has_budget(tenant_id, agent_id)


def _came_to(tx: Tx, tenant_id: UUID, agent_id: str, call: EndedCall) -> Spend:
    price = messages.price(tx, tenant_id, agent_id, call.model_id) or UNPRICED
    return budget.came_to(price, call.usage)


def _announce(tx: Tx, moved: list[Moved]) -> None:
    news = budgets.news(moved)
    if news:
        changes.announce(tx, *news)
