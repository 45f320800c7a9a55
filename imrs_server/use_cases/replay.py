"""What if: logged decisions taken again under another policy, with other models or at other prices."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from imrs_client.decide import NothingEligible, decide
from imrs_server.domain import routing
from imrs_server.domain.errors import AgentNotFound, DatabaseUnavailable, InvalidRequest, Violation
from imrs_server.domain.pricing import UNPRICED
from imrs_server.domain.principal import Role
from imrs_server.domain.replay import NO_MODEL, Retaken, Tally
from imrs_server.index import imagined
from imrs_server.storage import changes, messages
from imrs_server.storage import replay as log
from imrs_server.storage.index import Key
from imrs_server.use_cases import known

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from uuid import UUID

    from imrs_client.query import Query
    from imrs_client.ranked import RankedTable
    from imrs_server.domain.pricing import Price
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.replay import Logged, Replay, WhatIf
    from imrs_server.index.tables import AgentTables
    from imrs_server.index.warm import Index
    from imrs_server.storage.database import Database

MOST_DECISIONS = 100_000
DEFAULT_RANGE = timedelta(days=30)

_PAGE = 5_000
_MEMO = 10_000
_CATCH_UP_SECONDS = 0.5
_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


class Replays:
    """``flush`` brings the decisions that this server still holds back into the database."""

    def __init__(self, database: Database, index: Index, flush: Callable[[], object]) -> None:
        self._database = database
        self._index = index
        self._flush = flush

    def replay(
        self,
        who: Principal,
        tenant_id: UUID | None,
        agent_id: str,
        what: WhatIf,
        *,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Replay:
        """Take an agent's newest decisions of a range again, at most MOST_DECISIONS. Changes nothing.

        The range is the last 30 days of what it leaves open. Decisions are taken by today's evidence, which
        holds the ratings of these very decisions: a policy that follows few ratings looks somewhat better
        than it is. Pins, preferences and settings of the agent hold as they are now.

        Raises InvalidRequest, AgentNotFound, ModelNotFound, and DatabaseUnavailable as long as the index was
        never read.
        """
        who.require(Role.TENANT_ADMIN, Role.PLATFORM_ADMIN)
        tenant = who.tenant(tenant_id)
        _require_valid(what)
        self._flush()
        tables = self._tables(Key(tenant, agent_id), what)
        end_time = end_time or _END_OF_TIME
        start_time = start_time or min(end_time, datetime.now(UTC)) - DEFAULT_RANGE
        tally, again = Tally(), _Again(tables)
        for logged in self._logged(tenant, agent_id, start_time, end_time):
            if logged.query is None:
                tally.skip()
            else:
                tally.add(logged, again.take(logged, logged.query))
        before = self._prices(tenant, agent_id, tally.models())
        return tally.report(before, _changed(before, what))

    def _tables(self, key: Key, what: WhatIf) -> AgentTables:
        with self._database.transaction(key.tenant_id) as tx:
            known.require_agent(tx, key.tenant_id, key.agent_id)
            known.require_models(tx, [*what.added_models, *(each.model_id for each in what.prices)])
            known.require_models(tx, what.removed_models, deleted_too=True)
            added = log.models(tx, what.added_models) if what.added_models else []
            revision = changes.current(tx).rev
        # So that an admin's own change of this moment is in it, as in ListAgentModels.
        self._index.wait_for(revision, _CATCH_UP_SECONDS)
        state = self._index.current
        if state is None:
            raise DatabaseUnavailable
        tables = imagined.tables(state, key, what, added)
        if tables is None:
            raise AgentNotFound(agent_id=key.agent_id)
        return tables

    def _logged(
        self, tenant_id: UUID, agent_id: str, start_time: datetime, end_time: datetime
    ) -> Iterator[Logged]:
        """Page by page, each in a transaction of its own: none waits while decisions are taken."""
        before: log.Place | None = log.end(end_time)
        left = MOST_DECISIONS
        while before is not None and left > 0:
            with self._database.transaction(tenant_id) as tx:
                found, before = log.page(
                    tx, tenant_id, agent_id, start_time=start_time, before=before, size=min(left, _PAGE)
                )
            left -= len(found)
            yield from found

    def _prices(self, tenant_id: UUID, agent_id: str, model_ids: frozenset[str]) -> dict[str, Price]:
        with self._database.transaction(tenant_id) as tx:
            found = {each: messages.price(tx, tenant_id, agent_id, each) for each in model_ids}
        return {model_id: price or UNPRICED for model_id, price in found.items()}


class _Again:
    """Takes decisions again by the tables of an agent; equal requests are decided once."""

    def __init__(self, tables: AgentTables) -> None:
        self._tables = tables
        self._memo: dict[tuple[str, str, Query], Retaken] = {}

    def take(self, logged: Logged, query: Query) -> Retaken:
        table = self._tables.table(logged.task_type, logged.agent_class).ranked
        if table.policy.session_affinity:
            query = replace(query, conversation_id=logged.conversation_id)
        if table.policy.exploration_rate:
            # Drawn as it was then, else from what no other request has.
            return _decided(table, replace(query, chance=query.chance or str(logged.decision_id)))
        if query.chance:
            query = replace(query, chance="")
        key = (logged.task_type, logged.agent_class, query)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            found = self._memo[key] = _decided(table, query)
        return found


def _decided(table: RankedTable, query: Query) -> Retaken:
    try:
        choice = decide(table, replace(query, max_fallbacks=0))
    except NothingEligible:
        return NO_MODEL
    model_id = table.candidates[choice.selected].model_id
    chances = {table.candidates[i].model_id: chance for i, chance in choice.lottery}
    return Retaken(model_id, chances or {model_id: 1.0})


def _require_valid(what: WhatIf) -> None:
    if what.policy is not None:
        routing.require_valid(what.policy, "policy", of_agent=True)
    priced = [each.model_id for each in what.prices]
    if len(set(priced)) < len(priced):
        raise InvalidRequest(Violation("prices", "must each be of another model"))
    both = sorted(set(what.added_models) & set(what.removed_models))
    if both:
        raise InvalidRequest(Violation("removed_models", f"{both[0]}: must not be among added_models"))


def _changed(prices: Mapping[str, Price], what: WhatIf) -> dict[str, Price]:
    found = dict(prices)
    for other in what.prices:
        if other.model_id in found:
            old = found[other.model_id]
            input_usd, output_usd = other.over(old.own_input_price_usd, old.own_output_price_usd)
            found[other.model_id] = replace(
                old, own_input_price_usd=input_usd, own_output_price_usd=output_usd
            )
    return found
