"""Routing on the real database: what Route answers after what was written (SRS 3.6.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from psycopg.types.json import Jsonb
from structlog.testing import capture_logs

from imrs_client.query import Query
from imrs_client.ranked import Reason, RemovedBy
from imrs_client.tasks import Attachment, Confidence, Detection, Rules, Source
from imrs_server.domain.decision import NO_MODEL, Decision, RouteQuery
from imrs_server.domain.errors import (
    AgentMismatch,
    AgentNotFound,
    DatabaseUnavailable,
    InvalidRequest,
    NoEligibleModel,
    RevisionNotReached,
    TenantMismatch,
)
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.principal import Principal, Role
from imrs_server.index.refresher import Refresher
from imrs_server.index.warm import Index
from imrs_server.use_cases.route import Router
from tests.support import state
from tests.support.principals import ADMIN, PLATFORM, STRANGER, agent
from tests.support.schema import ELSEWHERE, HERE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World

A = agent("a")


def asked(**query: Any) -> RouteQuery:
    return RouteQuery(task_type="code", query=Query(**query))


def name(decision: Decision) -> str:
    return decision.selected.external_id


@pytest.fixture
def route(world: World, index: Index, router: Router) -> Any:
    """Route for the agent as soon as a revision is in use."""

    def answer(revision: int = 0, **query: Any) -> Decision:
        assert index.wait_for(revision, 20)
        return router.route(A, asked(**query))

    return answer


def test_fr_06_1_only_enabled_models_answer(world: World, route: Any) -> None:
    assert name(route()) == "high"
    decision = route(world.update_agent_model("high", enabled=False))
    assert (name(decision), decision.candidates_total, decision.candidates_eligible) == ("mid", 3, 2)


def test_fr_06_2_a_model_must_have_all_required_capabilities(route: Any) -> None:
    assert route(capabilities=("vision", "code")).candidates_eligible == 1
    with pytest.raises(NoEligibleModel) as caught:
        route(capabilities=("code", "teleport"))
    assert caught.value.metadata == {"agent_id": "a", "CAPABILITY": "3"}


def test_fr_06_3_the_capsule_limits_the_models(world: World, route: Any) -> None:
    listed = Jsonb({"body": {"allowed_models": ["p/l*", "mid"]}})
    assert name(route(world.update_agent(capsule=listed))) == "mid"
    by_role = Jsonb({"body": {"allowed_models": {"admin": ["*"], "staff": ["p/low"]}}})
    revision = world.update_agent(capsule=by_role)
    assert name(route(revision, roles=frozenset({"staff"}))) == "low"
    assert name(route(revision, roles=frozenset({"admin"}))) == "high"
    with pytest.raises(NoEligibleModel) as caught:
        route(revision)
    assert caught.value.metadata["CAPSULE"] == "3"


def test_fr_06_4_ratings_of_the_task_move_its_answers(world: World, router: Router, route: Any) -> None:
    for each in ("mid", "high"):
        world.rate(each, 0.1)
    decision = route(world.rate("low", 1.0))
    assert (name(decision), decision.reason) == ("low", Reason.SCORE)
    assert name(router.route(A, RouteQuery(task_type="law"))) == "low"
    explained = router.explain(A, asked())
    assert [each.candidate.level for each in explained.candidates] == ["AGENT_TASK"] * 3
    assert explained.candidates[0].candidate.rating_mean == 1.0


def test_fr_06_5_weights_are_configurable_and_the_srs_mode_is_exact(
    world: World, router: Router, index: Index
) -> None:
    world.rate("low", 0.5)
    revision = world.update_agent(
        routing=Jsonb({"scoring": "SRS", "priority_weight": 0.5, "experience_weight": 0.5})
    )
    assert index.wait_for(revision, 20)
    reports = router.explain(A, asked()).candidates
    scores = {each.candidate.external_id: each.candidate.score for each in reports}
    assert scores == pytest.approx({"high": 0.6, "mid": 0.5, "low": 0.5 * 0.4 + 0.5 * 0.5}, abs=1e-9)


def test_fr_06_6_without_experience_the_priority_decides(world: World, route: Any) -> None:
    assert name(route()) == "high"
    assert name(route(world.update_agent_model("low", priority_override=99))) == "low"


def test_reasons_follow_configuration(world: World, router: Router, index: Index, route: Any) -> None:
    revision = world.update_agent(agent_class="writer")
    assert route(revision).reason is Reason.SCORE
    decision = route(world.prefer("writer", "mid", "low"))
    assert (name(decision), decision.reason) == ("mid", Reason.PREFERENCE)
    assert [each.external_id for each in decision.fallbacks] == ["low", "high"]
    decision = route(world.update_agent(override=Jsonb({"model_id": "p/low"})))
    assert (name(decision), decision.reason) == ("low", Reason.OVERRIDE)
    revision = world.update_agent(override=None, agent_class="")
    assert index.wait_for(revision, 20)
    kept = router.route(A, replace(asked(previous_model_id="p/low"), agent_class="writer"))
    assert kept.reason is Reason.AFFINITY


def test_a_provider_that_is_disabled_takes_its_models_out_and_brings_them_back(
    world: World, route: Any
) -> None:
    revision = world.update_provider(state="DISABLED")
    with pytest.raises(NoEligibleModel) as caught:
        route(revision)
    assert caught.value.metadata == {"agent_id": "a", "PROVIDER": "3"}
    assert name(route(world.update_provider(state="ACTIVE"))) == "high"


def test_a_disabled_agent_gets_no_answer_and_is_told_why(world: World, router: Router, route: Any) -> None:
    revision = world.update_agent(state="DISABLED")
    with pytest.raises(NoEligibleModel) as caught:
        route(revision)
    assert caught.value.metadata["DISABLED"] == "3"


def test_unknown_deleted_and_foreign_agents_are_told_apart_by_nobody(
    world: World, index: Index, router: Router
) -> None:
    assert index.wait_for(world.update_agent("b", state="DELETED", delete_time="now()"), 20)
    told = set()
    for who, tenant_id, agent_id in ((ADMIN, None, "none"), (ADMIN, None, "b"), (STRANGER, None, "b")):
        with pytest.raises(AgentNotFound) as caught:
            router.route(who, RouteQuery(tenant_id=tenant_id, agent_id=agent_id))
        told.add(caught.value.message.replace(agent_id, "?"))
    assert told == {"Agent ? does not exist."}


def test_who_may_ask_for_whom(world: World, index: Index, router: Router) -> None:
    assert router.route(A, asked()).agent_id == "a"
    with pytest.raises(AgentMismatch):
        router.route(A, replace(asked(), agent_id="b"))
    with pytest.raises(TenantMismatch):
        router.route(ADMIN, replace(asked(), agent_id="a", tenant_id=ELSEWHERE))
    with pytest.raises(InvalidRequest):
        router.route(ADMIN, asked())
    with pytest.raises(InvalidRequest):
        router.route(PLATFORM, replace(asked(), agent_id="a"))
    foreign = router.route(PLATFORM, replace(asked(), agent_id="a", tenant_id=ELSEWHERE))
    assert foreign.tenant_id == ELSEWHERE


def test_another_tenants_ratings_change_nothing_here(world: World, index: Index, router: Router) -> None:
    for each in ("mid", "high"):
        world.rate(each, 0.0)
    assert index.wait_for(world.rate("low", 1.0), 20)
    assert name(router.route(A, asked())) == "low"
    elsewhere = replace(asked(), agent_id="a")
    assert name(router.route(STRANGER, elsewhere)) == "high"


def test_a_revision_that_is_not_in_use_yet_is_not_waited_for(
    world: World, index: Index, router: Router
) -> None:
    with pytest.raises(RevisionNotReached) as caught:
        router.route(A, replace(asked(), min_revision=index.revision + 1))
    assert caught.value.retry_after_seconds
    revision = world.update_model("low", priority=1)
    assert index.wait_for(revision, 20)
    assert router.route(A, replace(asked(), min_revision=revision)).index_revision >= revision


def test_an_index_that_was_never_read_is_the_databases_absence() -> None:
    with pytest.raises(DatabaseUnavailable):
        Router(Index(), lambda _: None).route(A, asked())


def test_what_detection_finds_is_asked_of_the_model(router: Router) -> None:
    decision = router.route(A, RouteQuery(attachments=(Attachment("photo.png"),)))
    assert decision.task == Detection(
        task_type="image",
        confidence=Confidence.HIGH,
        source=Source.MIME,
        required_capabilities=("vision",),
    )
    assert decision.candidates_eligible == 1
    nothing = router.route(A, RouteQuery()).task
    assert (nothing.task_type, nothing.confidence, nothing.source) == (
        "general",
        Confidence.LOW,
        Source.NONE,
    )
    assert router.detect(ADMIN, RouteQuery(message="summarize")).task_type == "summarization"


def test_rules_of_the_tenant_detect(world: World, index: Index, router: Router) -> None:
    rules = Jsonb({"tools": {"deploy": "ops"}})
    assert index.wait_for(world.set_defaults(HERE, task_rules=rules), 20)
    assert router.detect(ADMIN, RouteQuery(tools_used=("deploy",))).task_type == "ops"
    assert router.detect(STRANGER, RouteQuery(tools_used=("deploy",))).task_type == "general"


def test_parameters_of_the_request_go_over_all_others(world: World, index: Index, router: Router) -> None:
    parameters = Jsonb({"temperature": 0.1, "extra": {"seed": 1, "user": "x"}})
    assert index.wait_for(world.update_agent(parameters=parameters), 20)
    own = Parameters(temperature=0.9, extra={"seed": None})
    given = router.route(A, replace(asked(), parameters=own)).selected.parameters
    assert given == Parameters(temperature=0.9, extra={"user": "x"})
    assert router.route(A, asked()).selected.parameters.temperature == 0.1


def test_an_explanation_reports_on_every_candidate_and_is_not_logged(index: Index) -> None:
    logged: list[Decision] = []
    router = Router(index, logged.append)
    explained = router.explain(A, asked(capabilities=("code",)))
    told = {each.candidate.external_id: (each.removed_by, each.detail) for each in explained.candidates}
    assert told == {
        "high": (None, ""),
        "mid": (None, ""),
        "low": (RemovedBy.CAPABILITY, "lacks code"),
    }
    assert logged == []
    answered = router.route(A, asked(capabilities=("code",)))
    assert logged == [answered]
    assert (name(answered), answered.reason) == (name(explained), explained.reason)


def test_an_explanation_tells_why_nothing_is_left(index: Index, router: Router) -> None:
    request = asked(capabilities=("teleport",), excluded_models=("p/high",))
    with pytest.raises(NoEligibleModel) as caught:
        router.route(A, request)
    explained = router.explain(A, request)
    assert explained.selected is NO_MODEL
    assert (explained.candidates_total, explained.candidates_eligible, explained.fallbacks) == (3, 0, ())
    assert (explained.agent_id, explained.task.task_type) == ("a", "code")
    assert index.current is not None
    assert explained.index_revision == index.current.revision
    told = {each.candidate.external_id: (each.removed_by, each.detail) for each in explained.candidates}
    assert told == dict.fromkeys(("high", "mid", "low"), (RemovedBy.CAPABILITY, "lacks teleport"))
    assert caught.value.metadata["CAPABILITY"] == "3"


@pytest.fixture
def broken(world: World) -> Iterator[Index]:
    """An index whose scorer always fails."""

    def failing(*_: object) -> Any:
        raise ZeroDivisionError

    found = Index(poll_seconds=60)
    refresher = Refresher(world.database.dsn, found, scorer=failing)
    refresher.start()
    assert found.wait_for(1, 20)
    yield found
    refresher.stop()


def test_where_ranking_fails_the_default_model_answers(world: World, broken: Index) -> None:
    """SRS 7.4: model router failure falls back to the default model."""
    router = Router(broken, lambda _: None)
    with capture_logs() as logs:
        decision = router.route(A, asked())
    assert (name(decision), decision.reason) == ("high", Reason.DEFAULT)
    # The thread that reads the index may just be telling that it did.
    failed = next(each for each in logs if each["event"] == "ranking.failed")
    assert failed["error_id"]
    assert broken.wait_for(world.set_defaults(default_model_id="p/low"), 20)
    assert name(router.route(A, asked())) == "low"
    assert broken.wait_for(world.update_agent(default_model_id="p/mid"), 20)
    assert name(router.route(A, asked())) == "mid"
    assert name(router.route(A, asked(excluded_models=("p/mid",)))) == "high"


class Unreadable(dict[str, tuple[str, ...]]):
    def items(self) -> Any:
        raise RuntimeError("unreadable")


def test_where_detection_fails_the_default_model_answers_a_general_task() -> None:
    model = state.model
    known = state.state(model("a", priority=90), model("b", priority=10))
    pinned = replace(known.agents[next(iter(known.agents))].agent, default_model_id="p/b")
    known = state.state(model("a", priority=90), model("b", priority=10), agent=pinned)
    known.made.rules[HERE] = Rules(words=Unreadable())
    index = Index()
    index.confirm(known)
    with capture_logs() as logs:
        decision = Router(index, lambda _: None).route(A, RouteQuery(message="hello"))
    assert (decision.task, name(decision), decision.reason) == (Detection(), "b", Reason.DEFAULT)
    assert [each["event"] for each in logs] == ["detection.failed"]


def test_equal_questions_get_equal_answers(router: Router) -> None:
    """FR-06 with exploration not built: nothing is left to chance."""
    first, *others = (router.route(A, asked()) for _ in range(50))
    for each in others:
        assert each.decision_id > first.decision_id
        same = each._replace(decision_id=first.decision_id)
        assert same == first


def test_users_without_an_agent_role_name_no_agent(router: Router) -> None:
    both = Principal(
        subject="x", tenant_id=HERE, roles=frozenset({Role.AGENT, Role.TENANT_ADMIN}), agent_id="b"
    )
    assert router.route(both, replace(asked(), agent_id="a")).agent_id == "a"
