"""Applying a file makes things as it says, once, all or nothing; what it did not make it leaves."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from imrs_server.domain.configuration import AppliedAlready
from imrs_server.domain.errors import (
    AddressForbidden,
    AgentNotFound,
    InvalidRequest,
    ModelNotFound,
    ProviderNotFound,
    RoleRequired,
)
from imrs_server.domain.provider import State
from imrs_server.storage import configuration, providers
from tests.integration.configuration.conftest import PLATFORM, TENANT, Files, change, counted, summary
from tests.support.config_files import DOCUMENT_003, EVERYTHING
from tests.support.schema import HERE

SMALL = """
providers: {openai: {}}
models: {openai/a: {}, openai/b: {}}
agents:
  bot:
    display_name: Bot
    labels: {team: care}
    models: {openai/a: {priority_override: 70}}
"""


def test_document_003_is_applied_as_it_stands(files: Files) -> None:
    plan = files.apply(DOCUMENT_003)
    # The provider, four models, six agents with a model each.
    assert counted(plan) == {"CREATE": 1 + 4 + 6 + 6}
    with files.database.transaction() as tx:
        gradient = providers.get(tx, "gradient")
    assert gradient is not None
    assert (gradient.state, gradient.credentials_ok) == (State.ACTIVE, False)
    assert (gradient.api_base, gradient.dialect) == ("https://inference.do-ai.run/v1", "openai")
    agent = files.agents.get(PLATFORM, None, "code-review")
    assert agent.default_model_id == "gradient/llama3.3-70b-instruct"
    assert (agent.parameters.temperature, agent.parameters.max_output_tokens) == (0.3, 4000)
    assert (agent.use_case, agent.tags) == ("code_analysis", ("quality-assurance", "security"))
    assert agent.labels == {"langsmith_project": "agents-code-review"}
    own = files.model("code-review", "gradient/llama3.3-70b-instruct")
    assert (own.enabled, own.context_length) == (True, 128000)
    assert own.input_price_usd == own.output_price_usd == Decimal("0.6")
    model = files.catalog.get(PLATFORM, "gradient/codellama-13b")
    assert (model.context_length, model.capabilities) == (16000, ("code", "text"))


@pytest.mark.parametrize("text", [DOCUMENT_003, EVERYTHING, SMALL], ids=["003", "everything", "small"])
def test_a_second_apply_changes_nothing(files: Files, text: str) -> None:
    files.apply(text)
    revision = files.revision()
    assert summary(files.plan(text)) == {}
    assert set(counted(files.apply(text))) == {"UNCHANGED"}
    assert files.revision() == revision


def test_a_plan_is_what_the_apply_then_does_and_writes_nothing(files: Files) -> None:
    revision = files.revision()
    planned = files.plan(EVERYTHING)
    assert files.revision() == revision
    assert files.plan(EVERYTHING) == planned == files.apply(EVERYTHING)
    assert files.revision() == revision + 1


def test_another_model_takes_the_place_of_the_one_that_the_file_enabled(files: Files) -> None:
    files.apply(DOCUMENT_003)
    files.agent_models.enable(TENANT, None, "cicd", model_ids=["gradient/codellama-13b"])
    old, new = "llama3-8b-instruct", "mistral-nemo-instruct-2407"
    settings = "\n    provider: gradient\n    temperature: 0.5"
    plan = files.apply(DOCUMENT_003.replace(f"model: {old}{settings}", f"model: {new}{settings}"))
    assert summary(plan) == {
        "agents/cicd": "UPDATE",
        "agents/infrastructure": "UPDATE",
        f"agents/cicd/models/gradient/{new}": "CREATE",
        f"agents/infrastructure/models/gradient/{new}": "CREATE",
        f"agents/cicd/models/gradient/{old}": "DELETE",
        f"agents/infrastructure/models/gradient/{old}": "DELETE",
        f"models/gradient/{new}": "UPDATE",
    }
    assert files.agents.get(PLATFORM, None, "cicd").default_model_id == f"gradient/{new}"
    assert files.model("cicd", f"gradient/{old}").enabled is False
    # Enabled by hand, so it is nobody's to take away.
    assert files.model("cicd", "gradient/codellama-13b").enabled is True
    # The largest that is named.
    assert files.catalog.get(PLATFORM, f"gradient/{new}").context_length == 128000


def test_an_environment_is_another_file(files: Files) -> None:
    files.apply(DOCUMENT_003)
    plan = files.apply(DOCUMENT_003, environment="development")
    assert files.agents.get(PLATFORM, None, "orchestrator").default_model_id == "gradient/llama3-8b-instruct"
    assert {"agents/orchestrator", "agents/code-review"} <= set(summary(plan))


def test_what_the_file_made_goes_with_its_name_and_what_it_only_changed_stays(files: Files) -> None:
    files.apply(SMALL)
    files.agents.create(TENANT, None, "other", {"display_name": "Other"})
    both = SMALL + "  other: {display_name: Ours, use_case: x}\n"
    assert summary(files.apply(both)) == {"agents/other": "UPDATE"}
    plan = files.apply("providers: {openai: {}}\nmodels: {openai/a: {}}")
    assert summary(plan) == {
        "models/openai/b": "DELETE",
        "agents/bot": "DELETE",
        "agents/bot/models/openai/a": "DELETE",
    }
    assert files.agents.get(PLATFORM, None, "other").display_name == "Ours"
    assert files.agents.get(PLATFORM, None, "bot").state is State.DELETED
    assert summary(files.apply(SMALL)) == {
        "models/openai/b": "CREATE",
        "agents/bot": "CREATE",
        "agents/bot/models/openai/a": "CREATE",
    }
    bot = files.agents.get(PLATFORM, None, "bot")
    assert (bot.state, bot.delete_time, bot.labels) == (State.ACTIVE, None, {"team": "care"})
    assert files.model("bot", "openai/a").enabled is True


def test_prune_also_takes_away_what_no_file_made_in_the_sections_that_the_file_has(files: Files) -> None:
    files.apply(SMALL)
    files.apply("agents: {theirs: {}}", source="another file")
    files.agents.create(TENANT, None, "byhand", {})
    files.agent_models.enable(TENANT, None, "bot", model_ids=["openai/b"])
    files.catalog.create(PLATFORM, "openai", "c", {})
    agents_only = "agents: {bot: {models: {openai/a: }}}"
    plan = files.plan(agents_only, source="third", prune=True)
    assert {target for target, action in summary(plan).items() if action == "DELETE"} == {
        "agents/byhand",
        "agents/bot/models/openai/b",
    }
    plan = files.apply(SMALL, prune=True)
    assert summary(plan) == {
        "models/openai/c": "DELETE",
        "agents/byhand": "DELETE",
        "agents/bot/models/openai/b": "DELETE",
    }
    assert files.agents.get(PLATFORM, None, "theirs").state is State.ACTIVE


def test_a_field_that_leaves_the_file_is_as_if_nobody_had_set_it(files: Files) -> None:
    files.apply(SMALL)
    plan = files.apply(SMALL.replace("    display_name: Bot\n", "").replace("{priority_override: 70}", ""))
    assert summary(plan) == {"agents/bot": "UPDATE", "agents/bot/models/openai/a": "UPDATE"}
    assert files.agents.get(PLATFORM, None, "bot").display_name == ""
    assert files.model("bot", "openai/a").priority_override is None


def test_what_the_file_never_said_is_left_alone(files: Files) -> None:
    files.apply(SMALL)
    files.agents.update(TENANT, None, "bot", {"use_case": "by hand", "labels": {"team": "care", "own": "x"}})
    assert summary(files.apply(SMALL)) == {}
    assert files.agents.get(PLATFORM, None, "bot").use_case == "by hand"
    assert files.agents.get(PLATFORM, None, "bot").labels == {"team": "care", "own": "x"}


def test_an_edit_of_an_owned_field_stands_until_the_next_apply_and_is_shown(files: Files) -> None:
    files.apply(SMALL)
    files.agents.update(TENANT, None, "bot", {"display_name": "By hand"})
    shown = change(files.plan(SMALL), "agents/bot")
    assert shown.drifted == ("display_name",)
    assert [(each.field, each.before, each.after) for each in shown.diffs] == [
        ("display_name", "By hand", "Bot")
    ]
    assert files.agents.get(PLATFORM, None, "bot").display_name == "By hand"
    files.apply(SMALL)
    assert files.agents.get(PLATFORM, None, "bot").display_name == "Bot"


def test_of_a_watched_file_only_news_are_applied(files: Files) -> None:
    files.apply(SMALL, news_only=True)
    files.agents.update(TENANT, None, "bot", {"display_name": "By hand"})
    revision = files.revision()
    with pytest.raises(AppliedAlready):
        files.apply(SMALL, news_only=True)
    assert files.revision() == revision
    assert files.agents.get(PLATFORM, None, "bot").display_name == "By hand"
    assert files.configuration.drift() == 1
    # As another environment sees it, it is another file; by another name, too.
    assert summary(files.apply(SMALL, environment="development", news_only=True)) == {"agents/bot": "UPDATE"}
    assert summary(files.apply(SMALL, source="another", news_only=True)) == {}
    with pytest.raises(AppliedAlready):
        files.apply(SMALL, source="another", news_only=True)


def test_what_a_plan_took_back_and_what_was_refused_are_news_still(files: Files) -> None:
    files.apply(SMALL)
    other = SMALL.replace("Bot", "Robot")
    files.plan(other)
    refused = other.replace("{openai/a: {p", "{openai/nowhere: {p")
    with pytest.raises(ModelNotFound):
        files.apply(refused, news_only=True)
    assert summary(files.apply(other, news_only=True)) == {"agents/bot": "UPDATE"}


def test_what_was_undone_stays_undone_until_there_are_news(files: Files) -> None:
    files.apply(SMALL)
    other = SMALL.replace("Bot", "Robot")
    files.apply(other)
    files.undo()
    with pytest.raises(AppliedAlready):
        files.apply(other, news_only=True)
    assert summary(files.apply(SMALL.replace("Bot", "Third"), news_only=True)) == {"agents/bot": "UPDATE"}


def test_a_rule_of_the_file_catches_and_goes(files: Files) -> None:
    text = SMALL + "rules:\n  bot:\n  - {provider_id: openai, search: b}\n"
    files.apply(text)
    assert files.model("bot", "openai/b").enabled is True
    assert summary(files.plan(text)) == {}
    plan = files.apply(SMALL)
    assert list(summary(plan).values()) == ["DELETE"]
    assert files.model("bot", "openai/b") is None


def test_a_model_that_others_brought_keeps_its_context(files: Files) -> None:
    files.apply(SMALL)
    files.catalog.update(PLATFORM, "openai/a", {"context_length": 5000})
    text = "provider: openai\nagents: {x: {model: a, context_window: 9000}}"
    assert set(summary(files.apply(text, source="second"))) == {"agents/x", "agents/x/models/openai/a"}
    assert files.catalog.get(PLATFORM, "openai/a").context_length == 5000


def test_a_tenant_admin_applies_what_belongs_to_the_tenant(files: Files) -> None:
    files.apply("providers: {openai: {}}\nmodels: {openai/a: }", source="platform")
    tenant = files.acting(TENANT)
    text = (
        "provider: openai\ndefaults: {parameters: {top_p: 1}}\nagents: {x: {model: a, context_window: 9000}}"
    )
    assert set(summary(tenant.apply(text))) == {"defaults/tenant", "agents/x", "agents/x/models/openai/a"}
    assert summary(tenant.apply(text)) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("providers: {openai: {}}", 1),
        ("agents: {}\nmodels: {openai/a: {}}", 2),
        ("preferences: {a: {model_ids: [openai/a]}}", 1),
        ("global_defaults: {parameters: {top_p: 1}}", 1),
        (DOCUMENT_003, 76),
    ],
)
def test_what_belongs_to_the_platform_needs_its_admin(files: Files, text: str, line: int) -> None:
    revision = files.revision()
    with pytest.raises(RoleRequired) as error:
        files.acting(TENANT).apply(text)
    assert error.value.metadata["line"] == str(line)
    assert files.revision() == revision


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("agents: {x: {default_model_id: p/m}}", ModelNotFound, "p/m does not exist. (line 1, agents.x)"),
        ("agents:\n  x:\n    models: {p/m: }", ModelNotFound, "(line 3, agents.x.models.p/m)"),
        ("agents:\n  x: {model: m, provider: groq}", ProviderNotFound, "(line 2, agents.x.model)"),
        ("models: {p/m: }", ProviderNotFound, "(line 1, models.p/m)"),
        ("rules: {x: [{search: a}]}", AgentNotFound, "(line 1, rules.x.0)"),
        ("providers: {p: {api_base: 'http://10.0.0.1'}}", AddressForbidden, "(line 1, providers.p)"),
        ("providers: {p: {api_base: 'https://x.example/?'}}", InvalidRequest, "providers.p.api_base: line 1"),
        (
            "providers: {openai: }\nmodels:\n  openai/a: {input_price_usd: 1}",
            InvalidRequest,
            "models.openai/a.output_price_usd: line 3: must be set together with the other price",
        ),
    ],
)  # fmt: skip
def test_what_only_the_server_knows_is_told_with_its_place_and_nothing_is_written(
    files: Files, text: str, error: type[Exception], said: str
) -> None:
    revision = files.revision()
    with pytest.raises(error) as raised:
        files.apply(text)
    assert said in str(raised.value)
    assert files.revision() == revision
    assert summary(files.plan("agents: {}", prune=True)) == {}


def test_a_file_for_nobody_needs_a_tenant_only_where_something_belongs_to_one(files: Files) -> None:
    nobody = files.acting(replace(PLATFORM, tenant_id=None))
    assert counted(nobody.apply("providers: {openai: }\nmodels: {openai/a: }")) == {"CREATE": 2}
    with pytest.raises(InvalidRequest, match="tenant_id"):
        nobody.apply("agents: {x: }")


def test_an_endpoint_may_take_the_address_of_one_that_goes(files: Files) -> None:
    text = SMALL + "endpoints: {e1: {model_id: openai/a, base_url: 'http://127.0.0.1:9/v1'}}\n"
    files.apply(text)
    assert summary(files.apply(text.replace("e1", "e2"))) == {
        "endpoints/e1": "DELETE",
        "endpoints/e2": "CREATE",
    }


def test_a_budget_is_known_by_its_window_and_keeps_what_was_spent(files: Files) -> None:
    files.apply(SMALL + "budgets: [{agent_id: bot, window: 24h, limit_usd: 1}]\n")
    with files.database.transaction(HERE) as tx:
        tx.execute("update budgets set spent_usd = 0.5")
    plan = files.apply(SMALL + "budgets: [{agent_id: bot, window: 1d, limit_usd: 2.50}]\n")
    assert summary(plan) == {"budgets/bot/1d": "UPDATE"}
    with files.database.transaction(HERE) as tx:
        (budget,) = configuration.budgets(tx, HERE)
    assert (budget.limit_usd, budget.spent_usd) == (Decimal("2.5"), Decimal("0.5"))
    assert summary(files.apply(SMALL)) == {"budgets/bot/1d": "DELETE"}


def test_what_a_tenant_admin_takes_back_leaves_the_platform_to_the_file(files: Files) -> None:
    provider = "providers: {openai: {}}\nmodels: {openai/m: {}}\n"
    files.apply(f"{provider}agents: {{bot: {{use_case: old}}}}\n")
    tenant = files.acting(TENANT)
    tenant.apply("agents: {bot: {use_case: new}}\n")
    assert summary(tenant.undo()) == {"agents/bot": "UPDATE"}
    gone = summary(files.apply("agents: {bot: {use_case: old}}\n"))
    assert gone == {"models/openai/m": "DELETE", "providers/openai": "DELETE"}
