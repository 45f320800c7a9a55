"""Update masks: whole fields, and parts of messages, maps and JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from imrs_client import v1 as pb
from imrs_client.tasks import Rules
from imrs_server.domain.agent import Agent
from imrs_server.domain.amendment import amended
from imrs_server.domain.defaults import Defaults, Scope
from imrs_server.domain.errors import InvalidRequest
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.provider import DataPolicy
from imrs_server.domain.routing import Exploration, RoutingPolicy, Scoring
from imrs_server.transport.convert import agents, defaults, providers

if TYPE_CHECKING:
    from collections.abc import Callable

BOT = Agent(
    agent_id="bot",
    tenant_id=UUID(int=1),
    tags=("a",),
    labels={"team": "search", "cost.centre": "7"},
    metadata={"owner": {"name": "Ada", "room": 4}, "kind": "x"},
    parameters=Parameters(temperature=0.5, stop=("END",), extra={"seed": 1}),
    routing=RoutingPolicy(scoring=Scoring.SRS, feedback_weights={"COPY": 2.0}),
)


def updated(message: pb.Agent, *paths: str, before: Agent = BOT) -> Agent:
    return replace(before, **amended(before, agents.fields(message, paths)))


def fault(paths: list[str], convert: Callable[..., Any] = agents.fields, message: Any = None) -> str:
    with pytest.raises(InvalidRequest) as refused:
        convert(message or pb.Agent(), paths)
    assert {each.field for each in refused.value.violations} == {"update_mask"}
    return "\n".join(each.description for each in refused.value.violations)


def test_a_part_of_a_message_changes_and_the_rest_stays() -> None:
    warm = pb.Agent(parameters=pb.Parameters(temperature=0.9, top_p=0.1))
    assert updated(warm, "parameters.temperature").parameters == replace(BOT.parameters, temperature=0.9)


def test_what_the_message_leaves_unset_is_cleared() -> None:
    paths = ("parameters.temperature", "parameters.stop", "routing.scoring")
    after = updated(pb.Agent(), *paths)
    assert after.parameters == Parameters(extra={"seed": 1})
    assert after.routing == replace(BOT.routing, scoring=None)


def test_entries_of_maps_are_set_and_taken_away_by_their_keys() -> None:
    given = pb.Agent(labels={"floor": "2", "team": "ads"})
    assert updated(given, "labels.team").labels == BOT.labels | {"team": "ads"}
    assert updated(given, "labels.floor", "labels.`cost.centre`").labels == {"team": "search", "floor": "2"}
    weighed = pb.Agent(routing=pb.RoutingPolicy(feedback_weights={"SCORE": 3}))
    assert updated(weighed, "routing.feedback_weights.SCORE").routing.feedback_weights == {
        "COPY": 2.0, "SCORE": 3.0,
    }  # fmt: skip


def test_a_backtick_in_a_key_is_doubled() -> None:
    odd = replace(BOT, labels={"a`.b": "1", "c": "2"})
    assert updated(pb.Agent(), "labels.`a``.b`", before=odd).labels == {"c": "2"}


def test_json_changes_at_any_depth() -> None:
    given = pb.Agent()
    given.metadata.update({"owner": {"name": "Bo"}, "kind": {"a": 1}})
    assert updated(given, "metadata.owner.name").metadata == {
        "owner": {"name": "Bo", "room": 4}, "kind": "x",
    }  # fmt: skip
    assert updated(given, "metadata.kind.a", "metadata.owner.room").metadata == {
        "owner": {"name": "Ada"}, "kind": {"a": 1},
    }  # fmt: skip
    assert updated(pb.Agent(), "metadata.kind.a", "metadata.none.b").metadata == BOT.metadata
    given.capsule.update({"body": {"allowed_models": ["p/*"]}})
    assert updated(given, "capsule.body.allowed_models").capsule == {"body": {"allowed_models": ["p/*"]}}


def test_clearing_a_part_of_something_unset_does_not_set_it() -> None:
    after = updated(pb.Agent(), "routing.shadow.scoring", "capsule.body")
    assert (after.routing, after.capsule) == (BOT.routing, None)
    provider = providers.new(pb.Provider(provider_id="p", api_base="https://p.test"))
    fields = providers.changes(pb.Provider(), ["data_policy.regions"])
    assert amended(provider, fields) == {"data_policy": None}
    given = pb.Provider(data_policy=pb.DataPolicy(regions=["eu"], trains_on_data=True))
    fields = providers.changes(given, ["data_policy.regions"])
    assert amended(provider, fields) == {"data_policy": DataPolicy(regions=("eu",))}


def test_messages_in_messages() -> None:
    given = pb.Agent(
        routing=pb.RoutingPolicy(
            shadow=pb.RoutingPolicy(exploration=pb.RoutingPolicy.OFF, scoring=pb.RoutingPolicy.SRS)
        )
    )
    after = updated(given, "routing.shadow.exploration")
    assert after.routing == replace(BOT.routing, shadow=RoutingPolicy(exploration=Exploration.OFF))


def test_lists_in_maps() -> None:
    before = Defaults(scope=Scope.TENANT, task_rules=Rules(words={"law": ("court",), "code": ("bug",)}))
    rules = pb.TaskRules(words={"law": pb.StringList(values=["judge"])})
    fields = defaults.fields(pb.Defaults(task_rules=rules), ["task_rules.words.law"])
    assert amended(before, fields)["task_rules"].words == {"law": ("judge",), "code": ("bug",)}


def test_the_whole_covers_its_parts() -> None:
    given = pb.Agent(parameters=pb.Parameters(temperature=0.9))
    for paths in (["parameters", "parameters.top_p"], ["parameters.temperature", "parameters"]):
        assert agents.fields(given, paths) == {"parameters": Parameters(temperature=0.9)}
    nested = updated(pb.Agent(), "metadata.owner.name", "metadata.owner")
    assert nested.metadata == {"kind": "x"}


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nonsense", "nonsense: not one of agent_class, capsule,"),
        ("override.model_id", "override.model_id: not one of agent_class"),
        (
            "parameters.temprature",
            "not one of parameters.{extra, max_output_tokens, stop, temperature, top_p}",
        ),
        ("routing.shadow.no", "not one of routing.shadow.{cost_preference, "),
        ("tags.0", "tags.0: goes too deep; name tags, it changes as a whole"),
        ("display_name.en", "name display_name, it changes as a whole"),
        ("parameters.stop.values", "name parameters.stop, it changes as a whole"),
        ("routing.half_life.seconds", "name routing.half_life, it changes as a whole"),
        ("labels.a.b", "name labels, an entry of it changes as a whole"),
        ("labels.", "labels.: not a path such as labels.team"),
        ("labels.`a", "stands in backticks"),
        ("labels..a", "not a path"),
        ("parameters.*", "not one of parameters.{"),
        ("*", "* names everything, and stands alone"),
    ],
)
def test_a_wrong_path_is_told_the_right_ones(path: str, says: str) -> None:
    assert says in fault(["display_name", path])


def test_every_wrong_path_is_told() -> None:
    told = fault(["a", "parameters.b", "tags", "a"])
    assert [line.partition(":")[0] for line in told.splitlines()] == ["a", "parameters.b"]


def test_the_rules_hold_for_what_comes_out() -> None:
    """Each part is within its bounds, the whole is not."""
    full = replace(BOT, labels={str(i): "" for i in range(100)})
    with pytest.raises(InvalidRequest, match=r"agent\.labels: must have at most 100 entries"):
        updated(pb.Agent(labels={"one more": ""}), "labels.one more", before=full)
    assert updated(pb.Agent(labels={"99": "x"}), "labels.99", before=full).labels["99"] == "x"
