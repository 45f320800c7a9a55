"""What agents may use, through the use case, on the real database."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from imrs_client.ranked import RemovedBy
from imrs_server.domain.agent import Source
from imrs_server.domain.errors import (
    AgentMismatch,
    AgentNotFound,
    InvalidRequest,
    ModelNotFound,
    RoleRequired,
    RuleNotFound,
)
from imrs_server.domain.listing import PageRequest
from imrs_server.domain.model import CostTier, ModelFilter
from imrs_server.domain.parameters import Parameters
from imrs_server.storage import changes, standing
from tests.support import waiting
from tests.support.principals import ADMIN, PLATFORM, STRANGER, USER, agent
from tests.support.schema import HERE

if TYPE_CHECKING:
    from imrs_server.storage.database import Database, Tx
    from imrs_server.use_cases.agent_models import AgentModels
    from imrs_server.use_cases.agents import Agents

FREE = ModelFilter(cost_tier=CostTier.FREE)
CODE = ModelFilter(capabilities=("code",))


@pytest.fixture(autouse=True)
def bot(agents: Agents) -> None:
    agents.create(ADMIN, None, "bot", {})


def enabled(models: AgentModels, agent_id: str = "bot") -> dict[str, Source]:
    page, total = models.list(ADMIN, None, agent_id, PageRequest())
    assert total == len(page.items)
    return {each.model_id: each.source for each in page.items}


def test_names_and_filter_are_a_union_and_deleted_models_never_pass(models: AgentModels) -> None:
    answer = models.enable(ADMIN, None, "bot", model_ids=["p/low", "p/free-b"], filter=FREE).value
    assert (answer.count, answer.model_ids) == (3, ("p/free-a", "p/free-b", "p/low"))
    assert enabled(models) == dict.fromkeys(("p/free-a", "p/free-b", "p/low"), Source.EXPLICIT)
    assert models.enable(ADMIN, None, "bot", filter=ModelFilter()).value.count == 4


@pytest.mark.parametrize("unknown", ["p/none", "p/free-gone"])
def test_one_unknown_id_refuses_the_whole_call(models: AgentModels, unknown: str) -> None:
    with pytest.raises(ModelNotFound, match=unknown):
        models.enable(ADMIN, None, "bot", model_ids=["p/low", unknown], filter=FREE)
    assert enabled(models) == {}


def test_enabling_again_counts_the_same_and_writes_nothing(models: AgentModels, db: Database) -> None:
    first = models.enable(ADMIN, None, "bot", model_ids=["p/low"], filter=FREE, standing=True)
    again = models.enable(ADMIN, None, "bot", model_ids=["p/low"], filter=FREE, standing=True)
    assert again == first
    with db.system() as tx:
        assert changes.current(tx).rev == first.revision
        told = tx.execute("select * from audit_events where method = 'EnableAgentModels'").fetchall()
    assert len(told) == 1
    assert told[0]["actor"] == "ann"
    assert told[0]["after"]["model_ids"] == ["p/free-a", "p/free-b", "p/low"]
    assert told[0]["after"]["rule"]["filter"]["cost_tier"] == "FREE"


def test_validate_only_answers_as_if_and_writes_nothing(models: AgentModels, db: Database) -> None:
    with db.system() as tx:
        before = changes.current(tx).rev
    answer = models.enable(ADMIN, None, "bot", filter=FREE, standing=True, validate_only=True)
    assert (answer.value.model_ids, answer.revision) == (("p/free-a", "p/free-b"), before)
    assert answer.value.rule is not None
    assert (answer.value.rule.filter, answer.value.rule.rule_id) == (FREE, None)
    assert enabled(models) == {}
    assert models.list_rules(ADMIN, None, "bot", PageRequest()).total_size == 0


def test_enabling_needs_to_know_what(models: AgentModels) -> None:
    with pytest.raises(InvalidRequest, match="model_ids"):
        models.enable(ADMIN, None, "bot")
    with pytest.raises(InvalidRequest, match="standing: needs a filter"):
        models.enable(ADMIN, None, "bot", model_ids=["p/low"], standing=True)
    with pytest.raises(InvalidRequest, match="model_ids"):
        models.disable(ADMIN, None, "bot")


def test_a_disabled_model_comes_back_with_its_settings_and_the_new_admin(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    models.update(ADMIN, None, "bot", "p/low", {"priority_override": 90})
    assert models.disable(ADMIN, None, "bot", model_ids=["p/low", "p/premium", "p/free-gone"]).value == 1
    assert models.disable(ADMIN, None, "bot", filter=ModelFilter()).value == 0
    assert enabled(models) == {}
    models.enable(PLATFORM, HERE, "bot", model_ids=["p/low"])
    (found,) = models.list(ADMIN, None, "bot", PageRequest())[0].items
    assert (found.priority_override, found.effective_priority, found.enabled_by) == (90, 90, "root")
    with pytest.raises(ModelNotFound):
        models.disable(ADMIN, None, "bot", model_ids=["p/none"])


def test_all_disables_every_model_and_ends_every_rule(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", model_ids=["p/premium"], filter=FREE, standing=True)
    assert models.disable(ADMIN, None, "bot", all=True).value == 3
    assert models.list_rules(ADMIN, None, "bot", PageRequest()).total_size == 0
    assert enabled(models) == {}


def test_a_list_shows_priorities_and_on_demand_what_route_makes_of_it(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", filter=CODE)
    models.update(ADMIN, None, "bot", "p/premium", {"priority_override": 1, "enabled": False})
    page, total = models.list(ADMIN, None, "bot", PageRequest(order_by="effective_priority desc"))
    assert [(each.model_id, each.effective_priority) for each in page.items] == [
        ("p/low", 60),
        ("p/free-b", 50),
    ]
    assert (page.items[0].display_name, page.items[0].cost_tier, total) == ("Low", CostTier.LOW, 2)
    page, total = models.list(
        ADMIN, None, "bot", PageRequest(size=2, order_by="enabled_time"), effective=True
    )
    rest, _ = models.list(
        ADMIN, None, "bot", PageRequest(size=2, order_by="enabled_time", after=page.after), effective=True
    )
    shown = {each.model_id: each.effect for each in [*page.items, *rest.items]}
    assert {model_id: effect and effect.removed_by for model_id, effect in shown.items()} == {
        "p/free-b": None,
        "p/low": None,
        "p/premium": RemovedBy.DISABLED,
    }
    assert (page.total_size, total) == (3, 2)


def test_effects_are_those_of_the_newest_settings_and_say_where_values_come_from(
    models: AgentModels, agents: Agents
) -> None:
    models.enable(ADMIN, None, "bot", model_ids=["p/low", "p/free-a"])
    models.update(
        ADMIN,
        None,
        "bot",
        "p/low",
        {
            "allowed_roles": ("editor",),
            "parameters": Parameters(stop=(), extra={"k": 1}),
            "context_length": 9,
        },
    )
    agents.update(ADMIN, None, "bot", {"parameters": Parameters(temperature=0.1, stop=("x",))})
    page, _ = models.list(ADMIN, None, "bot", PageRequest(), effective=True)
    free, low = (each.effect for each in page.items)
    assert free is not None
    assert low is not None
    assert (free.eligible, free.value_sources["parameters.stop"]) == (True, "AGENT")
    assert (low.eligible, low.removed_by, low.detail) == (False, RemovedBy.ROLE, "only for editor")
    of_policy = {name for name in low.value_sources if name.startswith("routing.")}
    assert {low.value_sources[name] for name in of_policy} == {"BUILT_IN"}
    assert {name: level for name, level in low.value_sources.items() if name not in of_policy} == {
        "parameters.temperature": "AGENT",
        "parameters.stop": "AGENT_MODEL",
        "parameters.extra.k": "AGENT_MODEL",
        "effective_priority": "MODEL",
        "context_length": "AGENT_MODEL",
        "input_price_usd": "MODEL",
        "output_price_usd": "MODEL",
        "fallback_model_ids": "BUILT_IN",
    }


def test_settings_change_by_name_and_survive_as_they_were_given(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", filter=FREE, standing=True)
    wanted = {
        "priority_override": 3,
        "parameters": Parameters(temperature=0.5, stop=("x",)),
        "context_length": 4096,
        "input_price_usd": Decimal("0.15"),
        "output_price_usd": Decimal(0),
        "fallback_model_ids": ("p/low",),
        "allowed_roles": ("editor",),
        "metadata": {"k": [1, None]},
    }
    after = models.update(ADMIN, None, "bot", "p/free-a", wanted).value
    assert {name: getattr(after, name) for name in wanted} == wanted
    assert (after.effective_priority, after.source) == (3, Source.RULE)
    cleared = models.update(
        ADMIN, None, "bot", "p/free-a", {"priority_override": None, "fallback_model_ids": None}
    ).value
    assert (cleared.priority_override, cleared.effective_priority, cleared.fallback_model_ids) == (
        None,
        40,
        None,
    )
    with pytest.raises(InvalidRequest, match="enabled_by: not one of"):
        models.update(ADMIN, None, "bot", "p/free-a", {"enabled_by": "eve"})
    with pytest.raises(ModelNotFound, match="p/none"):
        models.update(ADMIN, None, "bot", "p/free-a", {"fallback_model_ids": ("p/none",)})
    with pytest.raises(ModelNotFound, match="p/low"):
        models.update(ADMIN, None, "bot", "p/low", {"priority_override": 1})


def test_an_update_that_enables_is_an_admins_own_word(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", filter=FREE, standing=True)
    models.disable(ADMIN, None, "bot", model_ids=["p/free-a"])
    after = models.update(PLATFORM, HERE, "bot", "p/free-a", {"enabled": True}).value
    assert (after.source, after.enabled_by, after.rule_id) == (Source.EXPLICIT, "root", None)


def test_a_rule_owns_what_its_filter_caught_and_not_what_was_named(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", model_ids=["p/free-a"])
    answer = models.enable(ADMIN, None, "bot", model_ids=["p/low"], filter=CODE, standing=True).value
    assert answer.rule is not None
    assert enabled(models) == {
        "p/free-a": Source.EXPLICIT,
        "p/free-b": Source.RULE,
        "p/low": Source.EXPLICIT,
        "p/premium": Source.RULE,
    }
    models.enable(ADMIN, None, "bot", model_ids=["p/premium"])
    assert enabled(models)["p/premium"] is Source.EXPLICIT


def test_a_deleted_rule_takes_back_only_what_nothing_else_gives(models: AgentModels) -> None:
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    by_code = models.enable(ADMIN, None, "bot", filter=CODE, standing=True).value.rule
    by_price = models.enable(ADMIN, None, "bot", filter=FREE, standing=True).value.rule
    assert by_code is not None
    assert by_price is not None
    assert by_code.rule_id is not None
    assert by_price.rule_id is not None
    models.delete_rule(ADMIN, None, "bot", by_code.rule_id)
    assert enabled(models) == {
        "p/free-a": Source.RULE,
        "p/free-b": Source.RULE,
        "p/low": Source.EXPLICIT,
    }
    models.disable(ADMIN, None, "bot", model_ids=["p/free-a"])
    models.delete_rule(ADMIN, None, "bot", by_price.rule_id)
    assert enabled(models) == {"p/low": Source.EXPLICIT}
    with pytest.raises(RuleNotFound):
        models.delete_rule(ADMIN, None, "bot", by_price.rule_id)
    page, _ = models.list(ADMIN, None, "bot", PageRequest(), effective=True)
    assert {each.model_id for each in page.items} == {"p/free-a", "p/low"}


def test_rules_are_listed_in_the_order_of_their_making(models: AgentModels) -> None:
    for each in (FREE, CODE, ModelFilter(search="low")):
        models.enable(ADMIN, None, "bot", filter=each, standing=True)
    first = models.list_rules(ADMIN, None, "bot", PageRequest(size=2))
    rest = models.list_rules(ADMIN, None, "bot", PageRequest(size=2, after=first.after))
    assert [each.filter.search for each in [*first.items, *rest.items]] == ["", "", "low"]
    assert (first.total_size, rest.after) == (3, None)


def test_an_agent_reads_its_own_models_and_nobody_elses(models: AgentModels, agents: Agents) -> None:
    agents.create(ADMIN, None, "other", {})
    models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    page, _ = models.list(agent("bot"), None, "", PageRequest())
    assert [each.model_id for each in page.items] == ["p/low"]
    with pytest.raises(AgentMismatch):
        models.list(agent("bot"), None, "other", PageRequest())
    with pytest.raises(RoleRequired):
        models.enable(agent("bot"), None, "bot", model_ids=["p/premium"])
    with pytest.raises(RoleRequired):
        models.list(USER, None, "bot", PageRequest())


def test_deleted_and_foreign_agents_have_no_models(models: AgentModels, agents: Agents) -> None:
    with pytest.raises(AgentNotFound):
        models.enable(STRANGER, None, "bot", model_ids=["p/low"])
    agents.delete(ADMIN, None, "bot")
    with pytest.raises(AgentNotFound):
        models.enable(ADMIN, None, "bot", model_ids=["p/low"])
    with pytest.raises(AgentNotFound):
        models.list(ADMIN, None, "bot", PageRequest())
    with pytest.raises(AgentNotFound):
        models.list_rules(ADMIN, None, "bot", PageRequest())


def test_an_agent_that_comes_back_gets_what_its_rules_missed(
    models: AgentModels, agents: Agents, db: Database
) -> None:
    models.enable(ADMIN, None, "bot", filter=FREE, standing=True)
    models.disable(ADMIN, None, "bot", model_ids=["p/free-a"])
    agents.delete(ADMIN, None, "bot")
    with db.system() as tx:
        tx.execute("update models set delete_time = null where model_id = 'p/free-gone'")
    agents.undelete(ADMIN, None, "bot")
    assert enabled(models) == {"p/free-b": Source.RULE, "p/free-gone": Source.RULE}


def test_a_rule_deleted_while_a_sync_applies_it_takes_all_back(models: AgentModels, db: Database) -> None:
    rule = models.enable(ADMIN, None, "bot", filter=FREE, standing=True).value.rule
    assert rule is not None
    assert rule.rule_id is not None
    with ThreadPoolExecutor() as pool:
        with db.system() as sync:
            sync.execute("update models set delete_time = null where model_id = 'p/free-gone'")
            (wanted,) = standing.filters(sync)
            standing.enable(sync, wanted, ["p/free-gone"])
            deleting = pool.submit(models.delete_rule, ADMIN, None, "bot", rule.rule_id)
            waiting.eventually(lambda: deleting.done() or _somebody_waits(sync))
            assert not deleting.done()
        deleting.result()
    assert enabled(models) == {}


def _somebody_waits(tx: Tx) -> bool:
    """For what this transaction has locked."""
    blocked = "select from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))"
    return tx.execute(blocked).fetchone() is not None
