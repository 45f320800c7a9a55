"""What the index makes of what it read."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from imrs_client.tasks import SRS_RULES, Rules
from imrs_server.domain.agent import Agent
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.evidence import MAX_TASK_TYPES, OTHER_TASKS
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import Preference
from imrs_server.domain.routing import RoutingPolicy, Scoring
from imrs_server.index import tables
from imrs_server.storage.index import Key
from tests.support.evidence import Sums, rated
from tests.support.schema import ELSEWHERE, HERE
from tests.support.state import model, state

if TYPE_CHECKING:
    from imrs_server.index.state import State
    from imrs_server.index.table import Table
    from imrs_server.index.tables import AgentTables

RATED = {"code": {"p/low": rated(30, 30)}}
LOW_AND_HIGH = (model("low", priority=40), model("high", priority=60))


def of(found: State, agent_id: str = "a") -> AgentTables:
    made = found.agent(HERE, agent_id)
    assert made is not None
    return made


def order(found: Table) -> list[str]:
    return [each.external_id for each in found.ranked.candidates]


def defaults(tenant: bool = False, **changes: Any) -> Defaults:
    if tenant:
        return Defaults(scope=Scope.TENANT, tenant_id=HERE, **changes)
    return Defaults(scope=Scope.GLOBAL, **changes)


def test_an_agent_of_another_tenant_is_not_there() -> None:
    found = state(model("m"))
    assert found.agent(ELSEWHERE, "a") is None
    assert found.agent(HERE, "b") is None


def test_ratings_move_the_task_they_are_of_and_less_the_others() -> None:
    found = of(state(*LOW_AND_HIGH, evidence={Key(HERE, "a"): RATED, Key(HERE, ""): RATED}))
    assert order(found.table("code")) == ["low", "high"]
    assert order(found.table("law")) == ["high", "low"]


def test_all_tasks_without_evidence_have_one_table() -> None:
    found = of(state(*LOW_AND_HIGH, evidence={Key(HERE, ""): RATED}))
    assert found.table("invented-1") is found.table("invented-2")
    assert found.table("code") is found.table("code")
    assert found.table("code") is not found.table("invented-1")


def test_old_evidence_counts_less_by_the_tenants_half_life() -> None:
    old = rated(40, 40, last_time=0)
    new = rated(1, 1, last_time=100 * 86_400)
    cells = {Key(HERE, ""): {"code": {"p/low": old}, "law": {"p/high": new}}}

    def term(*levels: Defaults) -> float:
        known = {each.tenant_id: each for each in levels}
        found = of(state(*LOW_AND_HIGH, evidence=cells, defaults=known)).table("code").ranked
        return found.candidates[found.position["p/low"]].experience_term

    never, slowly, soon = (
        term(defaults(True, routing=RoutingPolicy(half_life=timedelta(days=days)))) for days in (0, 90, 1)
    )
    assert never > slowly > term() > soon


def test_task_types_beyond_what_a_tenant_may_have_share_what_was_learned_of_the_others() -> None:
    tasks: dict[str, dict[str, Sums]] = {f"task-{i}": {} for i in range(MAX_TASK_TYPES)}
    tasks[OTHER_TASKS] = RATED["code"]
    found = of(state(*LOW_AND_HIGH, evidence={Key(HERE, ""): tasks}))
    assert order(found.table("one-too-many")) == ["low", "high"]
    assert order(found.table("task-1")) == ["high", "low"]


def test_a_shadow_policy_has_a_table_of_its_own() -> None:
    policy = RoutingPolicy(scoring=Scoring.SRS, shadow=RoutingPolicy(scoring=Scoring.POOLED))
    levels = {HERE: defaults(True, routing=policy)}
    found = of(state(*LOW_AND_HIGH, defaults=levels, evidence={Key(HERE, ""): RATED})).table("code")
    assert order(found) == ["high", "low"]
    assert found.shadow is not None
    assert [each.external_id for each in found.shadow.candidates] == ["low", "high"]
    assert of(state(*LOW_AND_HIGH)).table("code").shadow is None


def test_more_tables_than_fit_start_afresh() -> None:
    tasks = {f"task-{i}": RATED["code"] for i in range(tables.MAX_TABLES + 5)}
    found = of(state(*LOW_AND_HIGH, evidence={Key(HERE, ""): tasks}))
    for task in tasks:
        assert order(found.table(task)) == ["low", "high"]
    assert found.size <= tables.MAX_TABLES * 2


def test_where_ranking_fails_the_table_is_a_degraded_one_and_the_log_has_its_id() -> None:
    calls = []

    def failing(*_: object) -> Any:
        calls.append(1)
        raise ZeroDivisionError("secret")

    found = of(state(*LOW_AND_HIGH, scorer=failing, defaults={None: defaults(default_model_id="p/low")}))
    with capture_logs() as logs:
        made = found.table("code")
        assert found.table("code") is made
    assert (order(made), made.ranked.degraded) == (["high", "low"], True)
    assert made.ranked.default_model_id == "p/low"
    assert len(calls) == 1
    (entry,) = logs
    assert entry["event"] == "ranking.failed"
    assert entry["error_id"]


def test_policies_merge_from_the_global_to_the_agents() -> None:
    levels = {
        None: defaults(routing=RoutingPolicy(scoring=Scoring.SRS, similarity_margin=0.5)),
        HERE: defaults(tenant=True, routing=RoutingPolicy(similarity_margin=0.25, require_credentials=True)),
    }
    agent = Agent(agent_id="a", tenant_id=HERE, routing=RoutingPolicy(similarity_margin=0.125))
    evidence = {Key(HERE, ""): RATED}
    found = of(state(*LOW_AND_HIGH, agent=agent, defaults=levels, evidence=evidence)).table("code").ranked
    assert (found.policy.similarity_margin, found.policy.require_credentials) == (0.125, True)
    assert [each.level for each in found.candidates] == ["PRIOR", "PRIOR"]


def test_the_default_model_is_the_nearest_that_is_named() -> None:
    everybody, tenant = defaults(default_model_id="p/g"), defaults(tenant=True, default_model_id="p/t")
    own = Agent(agent_id="a", tenant_id=HERE, default_model_id="p/a")

    def default(**changes: Any) -> str:
        return of(state(model("m"), **changes)).table("").ranked.default_model_id

    assert default(defaults={None: everybody, HERE: tenant}, agent=own) == "p/a"
    assert default(defaults={None: everybody, HERE: tenant}) == "p/t"
    assert default(defaults={None: everybody, HERE: defaults(tenant=True)}) == "p/g"
    assert default() == ""


def test_preferences_are_those_of_the_class_and_the_star_is_for_classes_without() -> None:
    preferences = {
        "coder": Preference(agent_class="coder", model_ids=("p/low",)),
        "*": Preference(agent_class="*", model_ids=("p/high",)),
    }

    def preferred(agent_class: str, asked: str = "") -> tuple[str, ...]:
        agent = Agent(agent_id="a", tenant_id=HERE, agent_class=agent_class)
        found = of(state(*LOW_AND_HIGH, agent=agent, preferences=preferences))
        return found.table("", asked).ranked.preferred_model_ids

    assert preferred("coder") == ("p/low",)
    assert preferred("coder", "writer") == ("p/low",)
    assert preferred("", "coder") == ("p/low",)
    assert preferred("writer") == preferred("", "writer") == ("p/high",)
    assert preferred("") == ()


def test_parameters_merge_field_by_field_through_all_levels() -> None:
    agent = Agent(
        agent_id="a",
        tenant_id=HERE,
        agent_class="c",
        parameters=Parameters(extra={"agent": 5, "x": 5}, stop=("5",)),
    )
    found = state(
        model("m", parameters=Parameters(temperature=0.3, top_p=0.3, extra={"model": 3})),
        agent=agent,
        own={"m": {"parameters": Parameters(extra={"own": 6, "agent": None})}},
        preferences={"c": Preference(agent_class="c", parameters=Parameters(top_p=0.4, extra={"x": 4}))},
        defaults={
            None: defaults(parameters=Parameters(temperature=0.1, max_output_tokens=1, stop=("1",))),
            HERE: defaults(tenant=True, parameters=Parameters(max_output_tokens=2, temperature=0.2)),
        },
    )
    answer = of(found).table("").model(0)
    assert answer.parameters == Parameters(
        temperature=0.3,
        top_p=0.4,
        max_output_tokens=2,
        stop=("5",),
        extra={"model": 3, "x": 5, "own": 6},
    )


def test_an_answer_has_all_that_a_call_needs_and_is_made_once() -> None:
    found = of(state(model("m", capabilities=("text",), context_length=10))).table("")
    answer = found.model(0)
    assert found.model(0) is answer
    assert (answer.model_id, answer.external_id, answer.provider_id) == ("p/m", "m", "p")
    assert (answer.api_base, answer.api_key_vault_path) == ("https://llm.example/v1", "secret/llm/p")
    assert (answer.credentials_ok, answer.context_length) == (True, 10)
    assert answer.score == pytest.approx(0.5)


def test_rules_of_the_tenant_go_over_the_global_ones_and_those_over_the_built_in() -> None:
    levels = {
        None: defaults(task_rules=Rules(tools={"deploy": "ops", "code_execute": "global"})),
        HERE: defaults(tenant=True, task_rules=Rules(tools={"deploy": "release"})),
    }
    found = state(model("m"), defaults=levels)
    assert found.rules(HERE).tools["deploy"] == "release"
    assert found.rules(HERE).tools["code_execute"] == "global"
    assert found.rules(ELSEWHERE).tools["deploy"] == "ops"
    assert found.rules(HERE).words == SRS_RULES.words
