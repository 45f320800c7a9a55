"""What no single value of a file shows: fields that contradict each other, and sections that do."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from imrs_server.config_file.presets import PRESETS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.config_file.schema import Agent, ConfigFile

Found: TypeAlias = "Iterator[tuple[tuple[str | int, ...], str]]"

_OF_A_MODEL = ("provider", "cost_per_1m_tokens", "context_window")
_NOT_BESIDE_MODEL = ("models", "default_model_id")
# Shorthand -> the field of `parameters` that it stands for.
SHORTHANDS = {"temperature": "temperature", "max_tokens": "max_output_tokens"}


def contradictions(config: ConfigFile) -> Found:
    """Paths, and what would be right there."""
    yield from _providers(config)
    yield from _budgets(config)
    for agent_id, agent in config.agents.items():
        for path, said in _agent(agent):
            yield ("agents", agent_id, *path), said
    for agent_id in config.rules:
        if agent_id in config.agents and config.agents[agent_id].model is not None:
            yield ("rules", agent_id), f"must not be set: agents.{agent_id}.model is the only one it uses"
    for name, policy in config.policies.items():
        if policy.shadow is not None and policy.shadow.shadow is not None:
            yield ("policies", name, "shadow", "shadow"), "must not be set: a shadow has none itself"
    for scope in ("global_defaults", "defaults"):
        defaults = getattr(config, scope)
        if defaults and defaults.routing.shadow and defaults.routing.shadow.shadow is not None:
            yield (scope, "routing", "shadow", "shadow"), "must not be set: a shadow has none itself"
    for agent_class, preference in config.preferences.items():
        if len(set(preference.model_ids)) < len(preference.model_ids):
            yield ("preferences", agent_class, "model_ids"), "must be different models, best first"


def _providers(config: ConfigFile) -> Found:
    for provider_id, provider in config.providers.items():
        if provider.api_base is None and provider_id not in PRESETS:
            known = ", ".join(PRESETS)
            yield ("providers", provider_id), f"api_base must be set; only of {known} it is known"


def _budgets(config: ConfigFile) -> Found:
    known = set()
    for i, budget in enumerate(config.budgets):
        if budget.limit_usd is None and budget.limit_tokens is None:
            yield ("budgets", i), "limit_usd, limit_tokens or both must be set"
        same = (budget.agent_id, budget.window)
        if same in known:
            whose = f"agent {budget.agent_id}" if budget.agent_id else "the tenant"
            yield ("budgets", i), f"{whose} has a budget of this window already"
        known.add(same)


def _agent(agent: Agent) -> Found:
    said = agent.model_fields_set
    if agent.model is not None:
        for name in _NOT_BESIDE_MODEL:
            if name in said:
                yield (name,), "must not be set beside `model`, which is the only one the agent uses"
    else:
        for name in _OF_A_MODEL:
            if name in said:
                yield (name,), "must not be set without `model`; give each of `models` its own"
    for short, name in SHORTHANDS.items():
        if short in said and name in agent.parameters.model_fields_set:
            yield (short,), f"must not be set beside parameters.{name}, which is the same"
    if agent.langsmith_project is not None and "langsmith_project" in agent.labels:
        yield ("langsmith_project",), "must not be set beside labels.langsmith_project, which is the same"
    if agent.routing.half_life is not None:
        yield ("routing", "half_life"), "belongs to the tenant's policy: set defaults.routing.half_life"
    if agent.routing.shadow is not None and agent.routing.shadow.shadow is not None:
        yield ("routing", "shadow", "shadow"), "must not be set: a shadow has none itself"
