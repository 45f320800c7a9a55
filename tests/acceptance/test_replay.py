"""ReplayDecisions: what another policy would have changed, cost and been worth, where the truth is known.

One agent has left a share of its decisions to chance, another none. Ratings are drawn by what each model is
really worth.
"""

from __future__ import annotations

import json
import random
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

import psycopg
import pytest
from click.testing import CliRunner

from imrs_client import ImrsClient, InvalidArgument, NotFound
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.cli import main
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from tests.support.service import Service

T = TypeVar("T")

# What answers of each model are worth: the agents' favourite is not the best.
WORTH = {"p/loud": 0.4, "p/good": 0.8, "p/fair": 0.6}
PRIORITIES = {"p/loud": 70, "p/good": 50, "p/fair": 40}
# USD per 1M tokens, input and output.
PRICES = {"p/loud": ("2", "4"), "p/good": ("1", "2"), "p/fair": ("1", "2"), "p/idle": ("0.5", "1")}
TIERS = {"p/fair": pb.Model.LOW}
TASKS = ("code", "law")
HISTORY = {"curious": 1_500, "steady": 200}
BATCH = 1_000
# Of every call that is reported.
PROMPT, COMPLETION = 1_000, 500


@pytest.fixture(scope="module")
def admin(shared_service: Service) -> ImrsClient:
    """A tenant admin, with two agents that have a history: ``curious`` by chance, ``steady`` not."""
    platform = shared_service.platform
    provider = pb.Provider(provider_id="p", provider_type=pb.Provider.OLLAMA, api_base="http://127.0.0.1:9")
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for model_id, (input_usd, output_usd) in PRICES.items():
        model = pb.Model(
            provider_id="p",
            external_id=model_id.removeprefix("p/"),
            priority=PRIORITIES.get(model_id, 100),
            cost_tier=TIERS.get(model_id, pb.Model.STANDARD),
            price_state=pb.Model.PRICE_KNOWN,
            input_price_usd=input_usd,
            output_price_usd=output_usd,
        )
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    admin = shared_service.tenant
    curious = pb.RoutingPolicy(exploration=pb.RoutingPolicy.EPSILON, exploration_rate=0.6)
    for agent_id, policy in (
        ("curious", curious),
        ("steady", pb.RoutingPolicy(exploration=pb.RoutingPolicy.OFF)),
    ):
        agent = pb.Agent(agent_id=agent_id, routing=policy)
        admin.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
        admin.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=list(WORTH)))
    shared_service.settled(admin)
    draw = random.Random(7)
    # All are decided before anything is learned.
    made = {agent_id: decided(shared_service, agent_id, n, draw) for agent_id, n in HISTORY.items()}
    report_calls(shared_service, "steady", made["steady"])
    for some in made.values():
        rate(admin, some, draw)
    shared_service.learned()
    return admin


def decided(service: Service, agent_id: str, n: int, draw: random.Random) -> list[pb.Decision]:
    """Decisions for an agent, of chance where it leaves some to it."""
    requests = [pb.RouteRequest(task_type=draw.choice(TASKS), seed=i) for i in range(n)]
    made: list[pb.Decision] = []
    for some in batched(requests):
        made.extend(service.agent(agent_id).route.BatchRoute(pb.BatchRouteRequest(requests=some)).decisions)
    return made


def report_calls(service: Service, agent_id: str, made: list[pb.Decision]) -> None:
    calls = [
        pb.RecordMessageRequest(
            message=pb.Message(
                decision_id=each.decision_id, prompt_tokens=PROMPT, completion_tokens=COMPLETION
            )
        )
        for each in made
    ]
    for some in batched(calls):
        service.agent(agent_id).feedback.BatchRecordMessages(pb.BatchRecordMessagesRequest(requests=some))


def rate(admin: ImrsClient, made: list[pb.Decision], draw: random.Random) -> None:
    """Rate each answer by what its model is worth."""
    votes = [
        pb.SubmitFeedbackRequest(
            message_id=each.decision_id, rating=float(draw.random() < WORTH[each.selected.model_id])
        )
        for each in made
    ]
    for some in batched(votes):
        admin.feedback.BatchSubmitFeedback(pb.BatchSubmitFeedbackRequest(requests=some))


def batched(items: list[T]) -> list[list[T]]:
    return [items[i : i + BATCH] for i in range(0, len(items), BATCH)]


def replay(admin: ImrsClient, agent_id: str = "curious", **fields: object) -> pb.ReplayDecisionsResponse:
    request = pb.ReplayDecisionsRequest(agent_id=agent_id, **fields)  # type: ignore[arg-type]  # of the request
    return admin.route.ReplayDecisions(request)


def only(*model_ids: str) -> list[str]:
    """All others, to remove them."""
    return [each for each in WORTH if each not in model_ids]


@pytest.mark.parametrize("model_id", list(WORTH))
def test_the_estimate_is_near_what_the_model_is_really_worth(admin: ImrsClient, model_id: str) -> None:
    found = replay(admin, removed_models=only(model_id))
    assert found.identifiable, found.detail
    assert (found.replayed_count, found.rated_count, found.detail) == (
        HISTORY["curious"],
        HISTORY["curious"],
        "",
    )
    assert [each.method for each in found.estimates] == ["dr", "snips"]
    for each in found.estimates:
        assert each.value == pytest.approx(WORTH[model_id], abs=0.07)
        assert each.lower < each.value < each.upper < each.lower + 0.2
        assert each.effective_sample_size >= 200
        assert each.coverage == 1.0
    # What was logged is a mixture, mostly of the favourite.
    assert found.logged_rating == pytest.approx(0.52, abs=0.04)


def test_a_policy_that_follows_the_ratings_is_worth_the_best_model(admin: ImrsClient) -> None:
    policy = pb.RoutingPolicy(exploration=pb.RoutingPolicy.OFF, priority_weight=0, experience_weight=1)
    found = replay(admin, policy=policy)
    assert found.identifiable
    assert found.estimates[0].value == pytest.approx(WORTH["p/good"], abs=0.07)
    assert {each.replayed_model_id for each in found.examples} == {"p/good"}
    assert len(found.examples) == 20
    blind = replay(admin, policy=pb.RoutingPolicy(exploration=pb.RoutingPolicy.OFF, experience_weight=0))
    assert blind.estimates[0].value == pytest.approx(WORTH["p/loud"], abs=0.07)
    assert blind.changed_share < found.changed_share


def test_without_chance_the_log_cannot_answer_and_says_why(admin: ImrsClient) -> None:
    found = replay(admin, "steady", removed_models=["p/loud"])
    assert not found.identifiable
    assert not found.estimates
    assert "EPSILON" in found.detail
    assert found.changed_share == 1.0
    assert found.HasField("model_estimate")
    assert found.logged_rating == pytest.approx(WORTH["p/loud"], abs=0.15)


def test_a_model_that_the_log_has_never_seen_cannot_be_judged(admin: ImrsClient) -> None:
    found = replay(
        admin,
        added_models=["p/idle"],
        policy=pb.RoutingPolicy(
            exploration=pb.RoutingPolicy.OFF, experience_weight=0, cost_preference=pb.RoutingPolicy.NONE
        ),
    )
    assert found.changed_share == 1.0
    assert {each.replayed_model_id for each in found.examples} == {"p/idle"}
    assert not found.identifiable
    assert found.detail.startswith("the log speaks for 0% of the decisions")


def test_money_is_the_difference_of_prices_at_the_tokens_of_the_calls(admin: ImrsClient) -> None:
    cheaper = replay(admin, "steady", policy=pb.RoutingPolicy(max_cost_tier=pb.Model.LOW))
    assert {each.replayed_model_id for each in cheaper.examples} == {"p/fair"}
    # These were 200 calls of 1,000 and 500 tokens: from 2 and 4 USD per million to 1 and 2.
    assert Decimal(cheaper.cost_difference_usd) == Decimal("-0.4")
    assert cheaper.unpriced_count == 0


def test_another_price_alone_changes_what_calls_cost(admin: ImrsClient) -> None:
    price = pb.ReplayDecisionsRequest.Price(model_id="p/loud", input_price_usd="20", output_price_usd="4")
    pinned = pb.RoutingPolicy(experience_weight=0, cost_preference=pb.RoutingPolicy.NONE)
    found = replay(admin, "steady", prices=[price], policy=pinned)
    assert found.changed_share == 0
    assert Decimal(found.cost_difference_usd) == Decimal("3.6")


def test_where_no_model_is_left_nothing_would_have_been_served(admin: ImrsClient) -> None:
    found = replay(admin, "steady", removed_models=list(WORTH))
    assert (found.unserved_count, found.changed_share) == (200, 1.0)
    assert found.cost_difference_usd == "0"
    assert {each.replayed_model_id for each in found.examples} == {""}


def test_a_range_holds_the_decisions_of_its_time(admin: ImrsClient) -> None:
    listed = admin.route.ListDecisions(pb.ListDecisionsRequest(agent_id="steady", page_size=50))
    newest, last = listed.decisions[0], listed.decisions[-1]
    assert replay(admin, "steady", end_time=newest.create_time).replayed_count < 200
    assert replay(admin, "steady", start_time=last.create_time).replayed_count >= 50
    assert replay(admin, "steady", end_time=last.create_time, start_time=last.create_time).replayed_count == 0


def test_nothing_is_changed_by_asking(admin: ImrsClient, shared_service: Service) -> None:
    tables = ("decisions", "agents", "agent_models", "evidence", "audit_events", "feedback")

    def content() -> list[object]:
        with psycopg.connect(shared_service.app.database.dsn) as connection:
            return [connection.execute(f"select count(*) from {each}").fetchone() for each in tables]

    shared_service.learned()
    before = content()
    for _ in range(2):
        replay(admin, added_models=["p/idle"], removed_models=["p/good"])
    assert content() == before


def test_requests_are_asked_again_as_they_were(admin: ImrsClient, shared_service: Service) -> None:
    """With what they excluded and where their conversations belonged; but for one too long to be kept."""
    agent = pb.Agent(agent_id="choosy", routing=pb.RoutingPolicy(session_affinity=True, similarity_margin=1))
    admin.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    admin.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="choosy", model_ids=list(WORTH)))
    shared_service.settled(admin)
    client = shared_service.agent("choosy")
    chosen = {client.choose(conversation_id=f"c-{i}").selected.model_id for i in range(30)}
    assert chosen == set(WORTH)
    assert client.choose(excluded_models=["p/good", "p/loud"]).selected.model_id == "p/fair"
    client.choose(excluded_models=[f"p/{i}" for i in range(300)])
    found = replay(admin, "choosy")
    assert (found.replayed_count, found.skipped_count, found.changed_share) == (31, 1, 0.0)


def test_the_command_prints_what_was_found_or_why_not(admin: ImrsClient, shared_service: Service) -> None:
    def imrs(*words: str) -> str:
        where = ("--address", shared_service.app.address, "--token", shared_service.token(Role.TENANT_ADMIN))
        done = CliRunner().invoke(main, ["replay", *words, *where])
        assert done.exit_code == expected, done.output
        return done.output

    expected = 0
    low = '{"max_cost_tier": "LOW"}'
    told = imrs("steady", "--policy", low)
    assert "changed     100.0%" in told
    assert "cost        -0.4 USD" in told
    assert "quality     not identifiable: nothing was left to chance" in told
    assert "p/loud -> p/fair" in told
    assert "dr          0." in imrs("curious", "--remove", "p/loud", "--remove", "p/fair")
    whole = json.loads(imrs("steady", "--price", "p/loud=20,4", "--since", "2020-01-01", "--json"))
    assert (whole["replayed_count"], whole["identifiable"]) == ("200", False)
    assert json.loads(imrs("steady", "--until", "2020-01-01", "--json"))["replayed_count"] == "0"
    expected = 2
    assert "a RoutingPolicy is such as" in imrs("steady", "--policy", "cheap")
    assert "must be MODEL=INPUT,OUTPUT" in imrs("steady", "--price", "p/loud=20")
    expected = 1
    assert "p/none" in imrs("steady", "--add", "p/none")


def test_what_is_not_there_is_refused_by_name(admin: ImrsClient, shared_service: Service) -> None:
    refusals = [
        (NotFound, "MODEL_NOT_FOUND", {"added_models": ["p/none"]}),
        (NotFound, "MODEL_NOT_FOUND", {"removed_models": ["p/none"]}),
        (NotFound, "MODEL_NOT_FOUND", {"prices": [pb.ReplayDecisionsRequest.Price(model_id="p/none")]}),
        (NotFound, "AGENT_NOT_FOUND", {"agent_id": "nobody"}),
        (InvalidArgument, "INVALID_REQUEST", {"added_models": ["p/idle"], "removed_models": ["p/idle"]}),
        (InvalidArgument, "INVALID_REQUEST", {"policy": {"half_life": {"seconds": 60}}}),
        (InvalidArgument, "INVALID_REQUEST", {"policy": {"priority_weight": 7}}),
    ]
    for error, reason, fields in refusals:
        with pytest.raises(error) as raised:
            replay(admin, **fields)  # type: ignore[arg-type]  # of the request
        assert raised.value.reason == reason
    elsewhere = shared_service.client(Role.TENANT_ADMIN, tenant_id=new_id())
    with pytest.raises(NotFound) as hidden:
        replay(elsewhere)
    assert hidden.value.reason == "AGENT_NOT_FOUND"
