"""What is exported can be applied: there it finds nothing to do, and elsewhere it makes the same."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from imrs_server.config_file import file, tree
from imrs_server.config_file.render import render
from imrs_server.domain.budget import Wanted
from imrs_server.domain.errors import ModelNotFound
from imrs_server.domain.listing import PageRequest
from imrs_server.use_cases.budgets import Budgets
from tests.integration.configuration.conftest import PLATFORM, TENANT, Files, summary
from tests.support.config_files import DOCUMENT_003, EVERYTHING

WORDS = [
    "a",
    "no",
    "1e3",
    "12:30",
    "<<",
    "~",
    "",
    " x",
    "ä\u2028",
    "a: b",
    "# c",
    "- d",
    "0o7",
    "null",
    "line\nbreak",
]


def exported(files: Files) -> str:
    return files.configuration.export(files.who, None)


@pytest.mark.parametrize("text", [DOCUMENT_003, EVERYTHING], ids=["003", "everything"])
def test_export_then_apply_changes_nothing(files: Files, text: str) -> None:
    files.apply(text)
    revision = files.revision()
    found = exported(files)
    assert summary(files.apply(found)) == {}
    assert summary(files.apply(found, source="another", prune=True)) == {}
    assert files.revision() == revision
    assert exported(files) == found


def test_document_003_is_exported_as_it_was_written(files: Files) -> None:
    files.apply(DOCUMENT_003)
    written = tree.parse(DOCUMENT_003).entries["agents"].plain()
    assert tree.parse(exported(files)).entries["agents"].plain() == written


def test_a_tenant_admin_exports_what_belongs_to_the_tenant(files: Files) -> None:
    files.apply(EVERYTHING)
    tenant = files.acting(TENANT)
    found = exported(tenant)
    assert set(tree.parse(found).entries) == {"version", "defaults", "agents", "rules", "budgets"}
    assert summary(tenant.apply(found, prune=True)) == {}


def test_texts_come_back_whatever_they_look_like() -> None:
    values = {"texts": WORDS, **{word: word for word in WORDS}, "numbers": [1, 0.1, 1e-9, -3, True, None]}
    assert tree.parse(render(values)).plain() == values


def test_generated_configurations_come_back(files: Files) -> None:
    """Each is applied over the one before with ``prune``, so that much is deleted and comes back."""
    chance = Random(11)
    for _ in range(40):
        text = render(configuration(chance))
        files.apply(text, prune=True)
        assert summary(files.plan(text, prune=True)) == {}
        found = exported(files)
        assert files.apply(found, prune=True).changing == ()
        assert exported(files) == found


def test_undo_brings_back_what_was_there_before(files: Files) -> None:
    """But for settings of models that only a rule had brought: they go with the rule.

    What was enabled is disabled again, which shows where rules might else enable it.
    """
    chance = Random(23)
    for _ in range(15):
        wanted, before = configuration(chance), without_disabled(exported(files))
        for agent_id in wanted["rules"]:
            wanted["agents"][agent_id].pop("models", None)
        text = render(wanted)
        files.apply(text, prune=True)
        files.undo()
        assert without_disabled(exported(files)) == before
        files.apply(text, prune=True)


def test_a_tier_that_follows_the_prices_again_comes_back_as_that(files: Files) -> None:
    priced = "{input_price_usd: 0.1, output_price_usd: 2.5%s}"
    text = f"providers: {{openai: }}\nmodels: {{openai/m: {priced}}}\n"
    files.apply(text % ", cost_tier: PREMIUM")
    files.apply(text % "")
    before = exported(files)
    files.apply(text.replace(priced, "{}"))
    files.undo()
    assert exported(files) == before


def without_disabled(text: str) -> Any:
    """A file, without models of which it only says that they are disabled."""
    found = tree.parse(text).plain()
    for fields in found.get("agents", {}).values():
        models = {key: each for key, each in fields.pop("models", {}).items() if each != {"enabled": False}}
        fields.update({"models": models} if models else {})
    return found


def test_generated_changes_over_the_api_come_back(files: Files) -> None:
    files.apply(EVERYTHING)
    chance = Random(5)
    for _ in range(20):
        files.agents.update(
            PLATFORM, None, "coder", {"labels": {chance.choice(WORDS[:4]): "x"}, "use_case": "y"}
        )
        files.agent_models.enable(TENANT, None, "coder", model_ids=["openai/large"])
        files.agent_models.update(TENANT, None, "coder", "openai/large", {"enabled": chance.random() < 0.5})
        files.catalog.update(PLATFORM, "openai/small", {"priority": chance.randint(0, 100)})
        found = exported(files)
        assert summary(files.apply(found, prune=True)) == {}


def test_a_budget_that_limits_nothing_is_not_exported_and_stays(files: Files) -> None:
    budgets = Budgets(files.database)
    for hours, limit in ((1, None), (2, 5)):
        budgets.put(TENANT, None, Wanted(window=timedelta(hours=hours), limit_tokens=limit))
    found = exported(files)
    assert tree.parse(found).plain()["budgets"] == [{"window": "2h", "limit_tokens": 5}]
    assert summary(files.apply(found, prune=True)) == {}
    assert len(budgets.list(TENANT, None, PageRequest(size=10)).items) == 2


def test_an_export_needs_what_it_names_to_be_there(files: Files) -> None:
    files.apply(EVERYTHING)
    found = tree.parse(exported(files)).plain()
    del found["models"]["openai/large"]
    with pytest.raises(ModelNotFound):
        files.apply(render(found))
    assert file.read(render(found)).config.models.keys() == {"openai/small", "local/tiny"}


def configuration(chance: Random) -> dict[str, Any]:
    """A random file; about half of everything that could be said is."""
    model_ids = [f"{p}/{m}" for p in ("openai", "p2") for m in ("m1", "m 2:free", "m3")]
    models = some(chance, model_ids) or model_ids[:1]
    providers = {each.partition("/")[0] for each in models}
    agents = {each: agent(chance, models) for each in some(chance, ["a", "b", "no", "1e3"])}
    rules = {
        each: [rule(chance) for _ in range(chance.randint(1, 2))]
        for each in some(chance, [each for each, fields in agents.items() if "model" not in fields])
    }
    return {
        "global_defaults": {"parameters": parameters(chance)},
        "defaults": {
            "routing": routing(chance) | maybe(chance, half_life=chance.choice(["30d", "36h", "1.5s", 0])),
            "task_rules": {"tools": dict.fromkeys(some(chance, ["a", "no"]), "x")},
        },
        "providers": {each: provider(chance) for each in sorted(providers)},
        "models": {each: model(chance) for each in models},
        "preferences": {
            each: {"model_ids": some(chance, models) or models[:1]} for each in some(chance, ["*", "no"])
        },
        "endpoints": {
            each: {"model_id": models[0], "base_url": f"http://127.0.0.1:{port}/v1"}
            | maybe(chance, weight=3, ttl="5m")
            for port, each in some(chance, [(1, "e1"), (2, "e2")])
        },
        "agents": agents,
        "rules": rules,
        "budgets": [
            each | {"limit_usd": chance.choice([0, 0.1])} | maybe(chance, limit_tokens=10)
            for each in some(
                chance,
                [{"window": "1d"}, {"window": "36h"}, *({"agent_id": a, "window": 60} for a in agents)],
            )
        ],
    }


def some(chance: Random, values: list[Any]) -> list[Any]:
    return [each for each in values if chance.random() < 0.5]


def maybe(chance: Random, **fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if chance.random() < 0.5}


def parameters(chance: Random) -> dict[str, Any]:
    return maybe(
        chance,
        temperature=chance.choice([0, 0.5, 2]),
        top_p=chance.choice([0, 1]),
        max_output_tokens=chance.choice([1, 300, 10**6]),
        stop=some(chance, ["END", "1e3"]),
        extra=maybe(chance, seed=1, none=None, deep={"a": [1, {"b": None}]}),
    )


def routing(chance: Random) -> dict[str, Any]:
    return maybe(
        chance,
        priority_weight=0.5,
        scoring="SRS",
        session_affinity=False,
        signal_ratings={"COPY": 0.25},
        shadow={"scoring": "SRS"},
        max_latency_ms=5,
    )


def provider(chance: Random) -> dict[str, Any]:
    return {"api_base": "http://127.0.0.1:9/v1"} | maybe(
        chance,
        display_name="P",
        provider_type=chance.choice(["OLLAMA", "CUSTOM"]),
        models_endpoint="/list",
        options={"a": 1},
        rate_limit_rpm=60,
        sync_interval=chance.choice(["12h", "90s", 86400]),
        data_policy=maybe(chance, regions=["eu"], trains_on_data=False),
        state="DISABLED",
    )


def model(chance: Random) -> dict[str, Any]:
    prices = {"input_price_usd": chance.choice([0, 0.1, "0.123456789"]), "output_price_usd": 2.5}
    return (prices if chance.random() < 0.5 else {}) | maybe(
        chance,
        display_name="M",
        capabilities=some(chance, ["text", "vision", "code"]),
        priority=chance.choice([0, 50, 100]),
        context_length=1000,
        cost_tier=chance.choice(["FREE", "PREMIUM"]),
        parameters=parameters(chance),
        available=False,
        retire_time="2031-01-01",
        metadata={"no": 1.5},
    )


def agent(chance: Random, models: list[str]) -> dict[str, Any]:
    common = maybe(
        chance,
        display_name="A",
        agent_class="no",
        use_case="line\nbreak",
        tags=some(chance, ["t", "1e3"]),
        labels=dict.fromkeys(some(chance, ["a.b", "no"]), "x"),
        metadata={"a": None},
        capsule={"body": {"allowed_models": ["*"]}},
        routing=routing(chance),
        fallback_model_ids=some(chance, models),
        state="DISABLED",
    )
    if chance.random() < 0.4:
        provider_id, _, name = chance.choice(models).partition("/")
        short = maybe(chance, temperature=1, max_tokens=256, cost_per_1m_tokens=0.3, context_window=500)
        return (
            common | {"model": name, "provider": provider_id} | short | maybe(chance, langsmith_project="l")
        )
    own = {each: agent_model(chance, models) for each in some(chance, models)}
    return common | maybe(chance, parameters=parameters(chance), default_model_id=models[0], models=own)


def agent_model(chance: Random, models: list[str]) -> dict[str, Any]:
    return maybe(
        chance,
        enabled=chance.random() < 0.5,
        priority_override=chance.choice([0, 100]),
        parameters=parameters(chance),
        context_length=chance.choice([0, 10]),
        input_price_usd=chance.choice([0, 0.5]),
        output_price_usd=0.5,
        fallback_model_ids=some(chance, models),
        allowed_roles=["lead"],
        metadata={"x": "y"},
    )


def rule(chance: Random) -> dict[str, Any]:
    return {"search": chance.choice(["m", "zzz"])} | maybe(
        chance, provider_id="p2", capabilities=["text"], max_input_price_usd=0.5, priority_override=3
    )
