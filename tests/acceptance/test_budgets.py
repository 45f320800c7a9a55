"""Budgets on whole servers: what they refuse, what they leave, and that they are exact."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from psycopg.rows import dict_row

from imrs_client import (
    Aborted,
    FailedPrecondition,
    ImrsClient,
    InvalidArgument,
    NotFound,
    Replica,
    ResourceExhausted,
    Unavailable,
)
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support import patience
from tests.support.chatting import breaks_off, refuses, says
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault

HOUR = 3600
# At most 1,000 tokens of answer at 2 USD per 1M, and a prompt of 5 tokens at 1: set aside.
ESTIMATE_USD = Decimal("0.002005")
# 1,000 tokens of prompt, 200 of them cached at 0.5, and 500 of answer: what it then costs.
COST_USD = Decimal("0.0019")
TOKENS = 1500
PRICED = {
    "price_state": pb.Model.PriceState.PRICE_KNOWN,
    "input_price_usd": "1",
    "output_price_usd": "2",
    "cached_input_price_usd": "0.5",
}
NOTHING = (Decimal(0), 0)
SHORT = pb.Parameters(max_output_tokens=1000)


@dataclass
class World:
    """A provider with a model that costs, one that is free and one of which nobody knows; an agent."""

    service: Service
    upstream: FakeProvider
    bot: ImrsClient

    def set(self, seconds: float = HOUR, **fields: Any) -> pb.Budget:
        tenant = self.service.tenant
        window = Duration()
        window.FromTimedelta(timedelta(seconds=seconds))
        found = tenant.admin.SetBudget(pb.SetBudgetRequest(budget=pb.Budget(window=window, **fields)))
        self.service.settled(tenant)
        return found

    @property
    def budgets(self) -> list[pb.Budget]:
        return list(self.service.tenant.admin.ListBudgets(pb.ListBudgetsRequest()).budgets)

    @property
    def budget(self) -> pb.Budget:
        (found,) = self.budgets
        return found

    def enable(self, *model_ids: str) -> None:
        tenant = self.service.tenant
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=model_ids))
        self.service.settled(tenant)

    def complete(self, **fields: Any) -> Any:
        return self.bot.complete("x", parameters=SHORT, **fields)

    def rows(self, statement: str) -> list[dict[str, Any]]:
        dsn = self.service.settings.database_url.get_secret_value()
        with psycopg.connect(dsn, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def end_windows(self) -> None:
        """As if their time were over."""
        self.rows("update budgets set reset_time = now() returning budget_id")

    def known(self) -> bool:
        """Whether Route has heard of every change."""
        [(newest,)] = [tuple(row.values()) for row in self.rows("select rev from index_revision")]
        return self.service.app.index.wait_for(newest, 20)


@pytest.fixture
def world(service: Service) -> Iterator[World]:
    with FakeProvider(b"") as upstream:
        furnish(service, upstream)
        yield World(service, upstream, service.agent("bot"))


def furnish(service: Service, upstream: FakeProvider) -> None:
    platform, tenant = service.platform, service.tenant
    provider = pb.Provider(
        provider_id="p",
        provider_type=pb.Provider.Type.CUSTOM,
        api_base=f"{upstream.url}/v1",
        api_key="sk",
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for name, priority, fields in (
        ("dear", 90, PRICED),
        ("free", 10, {"price_state": pb.Model.PriceState.PRICE_FREE}),
        ("dark", 50, {}),
    ):
        model = pb.Model(provider_id="p", external_id=name, priority=priority, **fields)
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/dear"]))
    service.settled(platform)
    service.settled(tenant)


def spent(budget: pb.Budget) -> tuple[Decimal, int]:
    return Decimal(budget.spent_usd), budget.spent_tokens


def reserved(budget: pb.Budget) -> tuple[Decimal, int]:
    return Decimal(budget.reserved_usd), budget.reserved_tokens


def test_a_budget_is_set_changed_listed_and_deleted(world: World) -> None:
    tenant = world.service.tenant
    before = datetime.now(UTC)
    first = world.set(agent_id="bot", limit_usd="10")
    assert (first.limit_usd, first.level) == ("10", pb.Budget.Level.WITHIN)
    assert not first.HasField("limit_tokens")
    begun = first.reset_time.ToDatetime(UTC) - timedelta(hours=1)
    assert before - timedelta(seconds=1) < begun < before + timedelta(minutes=1)

    again = world.set(agent_id="bot", limit_tokens=5)
    assert (again.budget_id, again.limit_usd, again.limit_tokens) == (first.budget_id, "", 5)
    with pytest.raises(Aborted) as stale:
        world.set(agent_id="bot", limit_tokens=6, etag=first.etag)
    assert stale.value.reason == "ETAG_MISMATCH"

    by_id = world.set(budget_id=first.budget_id, limit_tokens=7, seconds=60)
    assert (by_id.agent_id, by_id.window.seconds, by_id.limit_tokens) == ("bot", 60, 7)
    other = world.set(limit_usd="0.5")
    assert other.agent_id == ""
    assert [each.budget_id for each in world.budgets] == [other.budget_id, first.budget_id]
    mine = tenant.admin.ListBudgets(pb.ListBudgetsRequest(agent_id="bot"))
    assert [each.budget_id for each in mine.budgets] == [first.budget_id]

    tenant.admin.DeleteBudget(pb.DeleteBudgetRequest(budget_id=first.budget_id))
    assert [each.budget_id for each in world.budgets] == [other.budget_id]
    with pytest.raises(NotFound) as gone:
        tenant.admin.DeleteBudget(pb.DeleteBudgetRequest(budget_id=first.budget_id))
    assert gone.value.reason == "BUDGET_NOT_FOUND"


def test_what_cannot_be_a_budget(world: World) -> None:
    first = world.set(agent_id="bot", limit_usd="1")
    world.set(agent_id="bot", limit_usd="1", seconds=60)
    for wrong, error, reason in (
        ({"agent_id": "nobody"}, NotFound, "AGENT_NOT_FOUND"),
        ({"budget_id": "unknown"}, NotFound, "BUDGET_NOT_FOUND"),
        ({"budget_id": first.budget_id, "agent_id": "other"}, InvalidArgument, "INVALID_REQUEST"),
        ({"budget_id": first.budget_id, "seconds": 60}, InvalidArgument, "INVALID_REQUEST"),
        ({"limit_usd": "-1"}, InvalidArgument, "INVALID_REQUEST"),
        ({"etag": "1"}, Aborted, "ETAG_MISMATCH"),
    ):
        with pytest.raises(error) as caught:
            world.set(**wrong)
        assert caught.value.reason == reason, wrong


def test_a_call_is_paid_from_the_budgets_of_its_agent_and_its_tenant(world: World) -> None:
    world.set(agent_id="bot", limit_usd="1")
    world.set(limit_tokens=10_000)
    world.upstream.script(says("Hi"))
    assert world.complete().cost_usd == COST_USD
    tenants, agents = world.budgets
    for each in (tenants, agents):
        assert spent(each) == (COST_USD, TOKENS)
        assert reserved(each) == NOTHING
    assert world.rows("select * from budget_reservations") == []


def test_what_a_call_may_come_to_is_set_aside_while_it_runs(world: World) -> None:
    world.set(limit_usd="1", limit_tokens=10_000)
    seen: list[pb.Budget] = []
    answer = says("Hi")

    def look(handler: Any) -> None:
        seen.append(world.budget)
        answer(handler)

    world.upstream.script(look)
    world.complete()
    (during,) = seen
    assert reserved(during) == (ESTIMATE_USD, 1005)
    assert spent(during) == NOTHING


def test_a_call_that_may_come_to_more_than_is_left_is_not_made(world: World) -> None:
    budget = world.set(agent_id="bot", limit_usd=str(ESTIMATE_USD))
    world.upstream.script(says("Hi"))
    world.complete()
    eventually(world.known)
    with pytest.raises(ResourceExhausted) as caught:
        world.complete()
    error = caught.value
    assert error.reason == "BUDGET_EXCEEDED"
    assert error.metadata["budget_id"] == budget.budget_id
    assert (error.metadata["agent_id"], error.metadata["limit_usd"]) == ("bot", "0.002005")
    assert error.metadata["spent_usd"] == "0.0019"
    assert error.metadata["reset_time"].startswith(budget.reset_time.ToDatetime().isoformat()[:19])
    assert HOUR - 60 < (error.retry_after_seconds or 0) <= HOUR
    assert len(world.upstream.requests) == 1
    assert reserved(world.budget)[0] == 0


def test_route_spares_and_then_leaves_only_what_is_free(world: World) -> None:
    """And says so; the window's end brings everything back, without anybody asking."""
    world.enable("p/free")
    world.set(limit_usd=str(COST_USD))
    assert world.bot.route.Route(pb.RouteRequest()).selected.model_id == "p/dear"
    world.bot.record(model_id="p/dear", prompt_tokens=1000, completion_tokens=500, cached_tokens=200)
    eventually(world.known)
    assert world.budget.level == pb.Budget.Level.SPENT
    assert world.bot.route.Route(pb.RouteRequest()).selected.model_id == "p/free"
    explained = world.bot.route.ExplainRoute(pb.RouteRequest())
    (removed,) = [each for each in explained.candidates if not each.eligible]
    assert removed.removed_by == pb.CandidateReport.RemovedBy.BUDGET
    assert "the budget of the tenant, 0.0019 USD until" in removed.detail
    world.upstream.script(says("Hi"))
    assert world.complete().model_id == "p/free"

    world.end_windows()

    def renewed() -> bool:
        return world.bot.route.Route(pb.RouteRequest()).selected.model_id == "p/dear"

    eventually(renewed)
    assert (*spent(world.budget), world.budget.level) == (*NOTHING, pb.Budget.Level.WITHIN)


def test_route_spares_before_anything_is_spent(world: World) -> None:
    """The cheaper of two that are about as good, from 80 percent on; a request may say otherwise."""
    platform = world.service.platform
    fields: dict[str, Any] = PRICED | {"input_price_usd": "0.1", "output_price_usd": "0.1"}
    model = pb.Model(provider_id="p", external_id="cheap", priority=89, **fields)
    cheap = platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    world.enable(cheap.model_id)
    world.set(agent_id="bot", limit_usd="1")

    def chosen(**fields: Any) -> str:
        return world.bot.route.Route(pb.RouteRequest(**fields)).selected.model_id

    world.bot.record(model_id="p/dear", prompt_tokens=790_000)
    eventually(world.known)
    assert (world.budget.level, chosen()) == (pb.Budget.Level.WITHIN, "p/dear")
    world.bot.record(model_id="p/dear", prompt_tokens=10_000)
    eventually(world.known)
    assert (world.budget.level, chosen()) == (pb.Budget.Level.SPARING, "p/cheap")
    dear = world.bot.route.Route(pb.RouteRequest()).fallbacks[0]
    assert chosen(prefer_cost_tier=dear.cost_tier) == "p/dear"


def test_agents_that_decide_by_themselves_hear_of_it(world: World) -> None:
    world.enable("p/free")
    world.set(limit_usd=str(COST_USD))
    with Replica(world.bot, report=False) as replica:
        replica.wait_until_ready(20)
        assert replica.route().selected.model_id == "p/dear"
        world.bot.record(model_id="p/dear", prompt_tokens=1000, completion_tokens=500)
        eventually(lambda: replica.route().selected.model_id == "p/free")
        world.end_windows()
        eventually(lambda: replica.route().selected.model_id == "p/dear")


def test_with_nothing_free_a_spent_budget_ends_complete_and_says_which(world: World) -> None:
    world.set(limit_usd="0")
    with pytest.raises(ResourceExhausted) as caught:
        world.complete()
    assert caught.value.reason == "BUDGET_EXCEEDED"
    assert "0 of 0 USD are spent" in caught.value.message
    with pytest.raises(FailedPrecondition) as routed:
        world.bot.route.Route(pb.RouteRequest())
    assert (routed.value.reason, routed.value.metadata["BUDGET"]) == ("NO_ELIGIBLE_MODEL", "1")
    assert world.upstream.requests == []


def test_a_spent_number_of_tokens_leaves_nothing(world: World) -> None:
    world.enable("p/free")
    world.set(limit_tokens=TOKENS)
    world.bot.record(model_id="p/free", prompt_tokens=1000, completion_tokens=500)
    eventually(world.known)
    assert world.budget.level == pb.Budget.Level.EXHAUSTED
    with pytest.raises(ResourceExhausted) as caught:
        world.complete()
    assert (caught.value.reason, caught.value.metadata["limit_tokens"]) == ("BUDGET_EXCEEDED", "1500")


def test_a_free_model_stands_in_although_it_was_not_among_the_fallbacks(world: World) -> None:
    """The budget is far from spent, and still too small for what the others may come to."""
    world.enable("p/free")
    world.set(limit_usd="0.001")
    world.upstream.script(says("Hi"))
    done = world.complete(max_fallbacks=0)
    assert done.decision.selected.model_id == "p/dear"
    assert done.model_id == "p/free"
    assert [(each.model_id, each.error_kind) for each in done.failed_attempts] == [("p/dear", "budget")]
    assert spent(world.budget)[0] == 0


def test_a_model_of_an_unknown_price_is_not_paid_from_a_budget(world: World) -> None:
    """Nobody could say what is left of it then. What agents report is counted apart, and never as 0."""
    world.enable("p/dark")
    world.set(agent_id="bot", limit_usd="100")
    with pytest.raises(ResourceExhausted) as caught:
        world.complete(allowed_models=pb.StringList(values=["p/dark"]))
    assert "the price of the model is not known" in caught.value.message
    world.bot.record(model_id="p/dark", prompt_tokens=10, completion_tokens=5)
    assert (*spent(world.budget), world.budget.unpriced_calls) == (Decimal(0), 15, 1)
    world.set(agent_id="bot", limit_tokens=5000)
    world.upstream.script(says("Hi"))
    assert world.complete(allowed_models=pb.StringList(values=["p/dark"])).model_id == "p/dark"


def test_what_agents_report_counts_beyond_the_limit_and_once(world: World) -> None:
    """Also when it is told anew, with other numbers; and what was called before the window does not."""
    world.set(limit_usd="0.001")
    message_id = str(new_id())
    call: dict[str, Any] = {
        "model_id": "p/dear",
        "agent_id": "bot",
        "message_id": message_id,
        "prompt_tokens": 1_000_000,
    }
    world.bot.record(**call)
    world.bot.record(**call)
    assert spent(world.budget)[0] == 1
    world.bot.record(**call, completion_tokens=500_000)
    assert spent(world.budget)[0] == 2
    world.bot.record(**(call | {"prompt_tokens": 250_000}))
    assert spent(world.budget) == (Decimal("0.25"), 250_000)
    old = pb.Message(model_id="p/dear", agent_id="bot", prompt_tokens=10**6)
    old.create_time.FromDatetime(datetime.now(UTC) - timedelta(days=3))
    world.service.tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=old))
    assert world.budget.spent_tokens == 250_000


def test_an_agent_cannot_talk_down_what_complete_counted(world: World) -> None:
    world.set(limit_usd="1")
    world.upstream.script(says("Hi"))
    done = world.complete()
    before = spent(world.budget)
    assert before[1] == TOKENS
    told = world.bot.record(message_id=done.message_id, model_id=done.model_id)
    assert told.prompt_tokens + told.completion_tokens == TOKENS
    assert spent(world.budget) == before
    message = pb.Message(message_id=done.message_id, model_id=done.model_id, agent_id="bot", prompt_tokens=1)
    world.service.tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=message))
    assert spent(world.budget)[1] == 1


def test_an_agent_cannot_take_the_place_of_what_complete_counts(world: World) -> None:
    """By telling of another call under the decision's id before this one has ended."""
    world.enable("p/dark")
    world.set(limit_tokens=100_000)
    told = threading.Event()

    def waits(handler: Any) -> None:
        assert told.wait(60)
        says("Hi")(handler)

    world.upstream.script(waits)
    asked = pb.CompleteRequest(messages=[pb.ChatMessage(role="user", content="Hello")])
    asked.route.allowed_models.values.append("p/dear")
    events = world.bot.route.Complete(asked)
    decision_id = next(events).decision.decision_id
    world.bot.record(message_id=decision_id, model_id="p/dark", task_type="mine")
    told.set()
    *_, last = events
    assert last.completed.model_id == "p/dear"
    assert last.completed.message_id != decision_id
    assert spent(world.budget)[1] == TOKENS


def test_every_attempt_is_paid_once(world: World) -> None:
    """A failure that cost nothing gives everything back; an answer that broke off costs what was said."""
    world.enable("p/free")
    world.set(limit_usd="0.003", limit_tokens=100_000)
    world.upstream.script(refuses(503), says("Hi"))
    assert world.complete().model_id == "p/free"
    assert spent(world.budget) == (Decimal(0), TOKENS)
    world.upstream.script(breaks_off("y" * 40))
    answer = world.bot.stream("x" * 396, parameters=SHORT)
    with pytest.raises(Exception):  # noqa: B017, PT011  (whichever: the account matters)
        list(answer)
    eventually(lambda: world.budget.reserved_tokens == 0)
    assert world.budget.spent_tokens == TOKENS + 103 + 10
    assert spent(world.budget)[0] == Decimal("0.000123")


def test_who_is_refused_for_a_budget_uses_up_no_call_of_a_rate_limit(world: World) -> None:
    platform = world.service.platform
    limited = pb.Provider(provider_id="p", rate_limit_rpm=1)
    mask = FieldMask(paths=["rate_limit_rpm"])
    platform.admin.UpdateProvider(pb.UpdateProviderRequest(provider=limited, update_mask=mask))
    world.service.settled(platform)
    world.set(limit_usd="0.001")
    with pytest.raises(ResourceExhausted) as caught:
        world.complete()
    assert caught.value.reason == "BUDGET_EXCEEDED"
    world.set(limit_usd="1")
    world.upstream.script(says("Hi"))
    assert world.complete().model_id == "p/dear"
    # Now it is used up: what was set aside is given back.
    with pytest.raises(ResourceExhausted) as late:
        world.complete(timeout=timedelta(seconds=20))
    assert late.value.reason == "PROVIDER_RATE_LIMITED"
    assert world.rows("select * from budget_reservations") == []
    assert reserved(world.budget) == NOTHING


def test_a_caller_who_goes_away_pays_what_was_said(world: World) -> None:
    world.set(limit_usd="1")
    goes_on = threading.Event()

    def slowly(handler: Any) -> None:
        chunk = b'data: {"choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n' % (b"z" * 40)
        handler.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + chunk)
        goes_on.wait(20)

    world.upstream.script(slowly)
    answer = world.bot.stream("x" * 396, parameters=SHORT)
    next(iter(answer))
    answer.close()
    eventually(lambda: spent(world.budget)[0] == Decimal("0.000123"))
    assert reserved(world.budget)[0] == 0
    goes_on.set()


@pytest.fixture
def pair(world: World, vault: Vault) -> Iterator[tuple[str, str]]:
    """Two servers of one database, where callers wait long for a connection to it."""
    dsn = world.service.settings.database_url.get_secret_value()
    with serving(dsn, vault) as second:
        for each in (world.service, second):
            each.app.database._app.timeout = patience.SECONDS
        yield world.service.app.address, second.app.address


def test_budgets_are_exact_with_many_callers_of_two_servers(world: World, pair: tuple[str, str]) -> None:
    """As many calls as fit one after another, and not one more however they meet."""
    fitting = 20
    limit = (fitting - 1) * COST_USD + ESTIMATE_USD
    world.set(agent_id="bot", limit_usd=str(limit))
    world.set(limit_tokens=10**6)
    world.upstream.script(*[says("Hi")] * (2 * fitting))
    token = world.service.token(Role.AGENT, agent_id="bot")
    made: Counter[str] = Counter()

    def call(number: int) -> None:
        with patience.client(pair[number % 2], token) as bot:
            # Of those that wait only for calls that run, some try again.
            for _ in range(40):
                try:
                    bot.complete("x", parameters=SHORT)
                except ResourceExhausted as error:
                    made[error.reason] += 1
                    if (error.retry_after_seconds or 0) > 1:
                        return
                    threading.Event().wait(0.05)
                except Unavailable as error:
                    # Connections to the database were taken for long: it was not made, or is stored later.
                    made[error.reason] += 1
                else:
                    made["OK"] += 1

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(call, range(32)))
    assert set(made) - {"DATABASE_UNAVAILABLE"} == {"OK", "BUDGET_EXCEEDED"}
    # Of those that fit, some may not have heard that they did.
    assert made["DATABASE_UNAVAILABLE"] <= fitting // 4
    assert fitting - made["DATABASE_UNAVAILABLE"] <= made["OK"] <= fitting
    eventually(lambda: not any(each.reserved_tokens for each in world.budgets))
    tokens_budget, budget = world.budgets
    assert spent(budget)[0] == fitting * COST_USD <= limit
    assert tokens_budget.spent_tokens == fitting * TOKENS
    assert reserved(budget) == reserved(tokens_budget) == NOTHING
    assert len(world.upstream.requests) == fitting
    assert world.rows("select * from budget_reservations") == []
