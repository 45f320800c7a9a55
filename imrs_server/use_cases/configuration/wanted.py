"""What a file wants: each thing by itself, with its fields by paths."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING

from imrs_server.config_file.contradictions import SHORTHANDS
from imrs_server.config_file.presets import PRESETS
from imrs_server.domain import catalogue_rules
from imrs_server.domain.configuration import Target, Wanted
from imrs_server.domain.flat import flatten

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.config_file.file import Document
    from imrs_server.config_file.schema import Agent, Rule
    from imrs_server.domain.configuration import Flat

# In the order in which things are made; they are taken away in the opposite order.
ORDER = (
    "providers", "models", "endpoints", "preferences", "defaults", "agents", "rules", "agent_models",
    "budgets",
)  # fmt: skip
PLATFORM = frozenset({"providers", "models", "endpoints", "preferences"})
EVERYBODY = "*"
GLOBAL = Target("defaults", "global")
TENANT = Target("defaults", "tenant")
# Fields of a document 003 agent that are not the agent's own.
_OF_THE_MODEL = frozenset({"model", "provider", "cost_per_1m_tokens", "context_window", "models"})


def wanted(document: Document) -> dict[Target, Wanted]:
    """Every thing that the file names, in order."""
    found = dict(_explicit(document))
    for target, implied in _implied(document):
        found.setdefault(target, implied)
    return dict(sorted(found.items(), key=lambda item: (ORDER.index(item[0].section), item[0].id)))


def _explicit(document: Document) -> Iterator[tuple[Target, Wanted]]:
    config = document.config
    for provider_id, provider in config.providers.items():
        fields = PRESETS.get(provider_id, {}) | provider.said()
        yield _placed(document, Target("providers", provider_id), flatten(fields), "providers", provider_id)
    for model_id, model in config.models.items():
        target = Target("models", model_id)
        yield _placed(
            document, target, flatten(model.said()), "models", model_id, initial=_guessed(model_id, None)
        )
    for endpoint_id, endpoint in config.endpoints.items():
        target = Target("endpoints", endpoint_id)
        yield _placed(document, target, flatten(endpoint.said()), "endpoints", endpoint_id)
    for agent_class, preference in config.preferences.items():
        target = Target("preferences", agent_class)
        yield _placed(document, target, flatten(preference.said()), "preferences", agent_class)
    for target, section in ((GLOBAL, "global_defaults"), (TENANT, "defaults")):
        defaults = getattr(config, section)
        if defaults is not None:
            yield _placed(document, target, flatten(defaults.said()), section)
    for agent_id, agent in config.agents.items():
        target = Target("agents", agent_id)
        yield _placed(document, target, _agent(document, agent), "agents", agent_id)
        yield from _agent_models(document, agent_id, agent)
    for agent_id, rules in config.rules.items():
        for i, rule in enumerate(rules):
            fields = rule_fields(rule)
            yield _placed(document, rule_target(agent_id, fields), fields, "rules", agent_id, i)

    for i, budget in enumerate(config.budgets):
        fields = flatten(budget.said())
        target = budget_target(fields.pop("agent_id", ""), fields.pop("window"))
        yield _placed(document, target, fields, "budgets", i)


def _placed(
    document: Document, target: Target, fields: Flat, *path: str | int, initial: Flat | None = None
) -> tuple[Target, Wanted]:
    line = document.mark(*path).line
    return target, Wanted(fields=fields, initial=initial or {}, path=path, line=line)


def _agent(document: Document, agent: Agent) -> Flat:
    said = agent.said()
    own = {name: value for name, value in said.items() if name not in _OF_THE_MODEL}
    for short, name in SHORTHANDS.items():
        if short in own:
            own.setdefault("parameters", {})[name] = own.pop(short)
    if "langsmith_project" in own:
        own.setdefault("labels", {})["langsmith_project"] = own.pop("langsmith_project")
    if agent.model is not None:
        own["default_model_id"] = named_model(document, agent)
    return flatten(own)


def _agent_models(document: Document, agent_id: str, agent: Agent) -> Iterator[tuple[Target, Wanted]]:
    for model_id, model in agent.models.items():
        fields = flatten({"enabled": True} | model.said())
        target = Target("agent_models", f"{agent_id}/{model_id}")
        yield _placed(document, target, fields, "agents", agent_id, "models", model_id)
    if agent.model is not None:
        price = agent.said().get("cost_per_1m_tokens")
        fields = {
            "enabled": True,
            "context_length": agent.context_window,
            "input_price_usd": price,
            "output_price_usd": price,
        }
        target = Target("agent_models", f"{agent_id}/{named_model(document, agent)}")
        yield _placed(document, target, flatten(fields), "agents", agent_id, "model")


def named_model(document: Document, agent: Agent) -> str:
    """The model_id of an agent's one model."""
    return f"{agent.provider or document.config.provider}/{agent.model}"


def _implied(document: Document) -> Iterator[tuple[Target, Wanted]]:
    """Providers and models that the agents name by document 003's `model`; the largest context counts."""
    contexts: dict[str, list[int]] = defaultdict(list)
    places: dict[str, tuple[str | int, ...]] = {}
    for agent_id, agent in document.config.agents.items():
        if agent.model is not None:
            model_id = named_model(document, agent)
            contexts[model_id] += [agent.context_window] if agent.context_window else []
            places.setdefault(model_id, ("agents", agent_id, "model"))
    for model_id, path in places.items():
        context = max(contexts[model_id], default=None)
        fields = flatten({"context_length": context})
        line = document.mark(*path).line
        yield (
            Target("models", model_id),
            Wanted(fields=fields, initial=_guessed(model_id, context), implied=True, path=path, line=line),
        )
        provider_id = model_id.partition("/")[0]
        preset = flatten(PRESETS.get(provider_id, {}))
        yield Target("providers", provider_id), Wanted(initial=preset, implied=True, path=path, line=line)


def _guessed(model_id: str, context: int | None) -> Flat:
    """What a name tells of a model, until a sync knows better."""
    external_id = model_id.partition("/")[2]
    kind = catalogue_rules.model_type(external_id)
    capabilities = catalogue_rules.capabilities(external_id, kind, context_length=context)
    return {"model_type": str(kind), "capabilities": list(capabilities)}


def rule_fields(rule: Rule) -> Flat:
    return flatten({name: value for name, value in rule.said().items() if value not in (None, [])})


def rule_target(agent_id: str, fields: Flat) -> Target:
    """A rule is what it catches: another filter is another rule."""
    text = json.dumps(fields, sort_keys=True)
    return Target("rules", f"{agent_id}/{hashlib.sha256(text.encode()).hexdigest()[:12]}")


def budget_target(agent_id: str, window: str) -> Target:
    """A budget is whose it is, and of which window."""
    return Target("budgets", f"{agent_id or EVERYBODY}/{window}")


def references(target: Target, wanted: Wanted) -> list[str]:
    """The models that a thing names."""
    found = [wanted.fields.get("default_model_id"), *wanted.fields.get("fallback_model_ids", ())]
    if target.section == "endpoints":
        found.append(wanted.fields["model_id"])
    if target.section == "preferences":
        found += wanted.fields["model_ids"]
    if target.section == "agent_models":
        found.append(target.id.partition("/")[2])
    return [each for each in found if each]
