"""The configuration as a file that an apply would find nothing to do for."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from imrs_server.config_file.contradictions import SHORTHANDS
from imrs_server.domain.agent import Source
from imrs_server.domain.flat import nest
from imrs_server.domain.provider import ProviderType, State, dialect_of, models_endpoint_of
from imrs_server.storage import configuration
from imrs_server.use_cases.configuration.agency import AgentKind, AgentModelKind, fields_of
from imrs_server.use_cases.configuration.catalogue import PreferenceKind, ProviderKind, admins_word
from imrs_server.use_cases.configuration.kind import read_fields
from imrs_server.use_cases.configuration.pool import EndpointKind
from imrs_server.use_cases.configuration.settings import DefaultsKind
from imrs_server.use_cases.configuration.spending import BudgetKind
from imrs_server.use_cases.configuration.wanted import EVERYBODY, GLOBAL, TENANT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from uuid import UUID

    from imrs_server.domain.configuration import Flat
    from imrs_server.domain.provider import Provider
    from imrs_server.storage.database import Tx

Section = dict[str, Any]

_LARGEST_MAX_TOKENS, _SMALLEST_MAX_TOKENS = 128_000, 256
_DISABLED = {"enabled": False}
_OF_THE_MODEL = {"context_length", "input_price_usd", "output_price_usd"}


def sections(tx: Tx, tenant_id: UUID | None, *, platform: bool) -> Section:
    """Everything that a file could say, in its order; what belongs to the platform for its admins."""
    found: Section = {"version": "1.0"}
    settings = DefaultsKind(tenant_id).read(tx, (), all=True)
    if platform:
        found["global_defaults"] = _said(settings[GLOBAL.id].fields, DefaultsKind.blank)
    if TENANT.id in settings:
        found["defaults"] = _said(settings[TENANT.id].fields, DefaultsKind.blank)
    if platform:
        found["providers"] = _providers(tx)
        found["models"] = _models(tx)
        found["endpoints"] = {
            endpoint_id: _said(thing.fields, EndpointKind.blank)
            for endpoint_id, thing in EndpointKind.read_all(tx).items()
        }
        found["preferences"] = {
            agent_class: _said(thing.fields, PreferenceKind.blank)
            for agent_class, thing in PreferenceKind().read(tx, (), all=True).items()
        }
    if tenant_id is not None:
        found |= _agency(tx, tenant_id)
    return {name: each for name, each in found.items() if each}


def _said(fields: Flat, blank: Flat) -> Section:
    """As a file writes them, the fields that somebody has set."""
    return nested({path: value for path, value in fields.items() if value != blank.get(path)})


def nested(fields: Flat) -> Section:
    """Fields by paths as mappings in mappings; money as a number where that is exact."""
    exact = {path: _number(value) if path.endswith("_usd") else value for path, value in fields.items()}
    return nest(exact)


def _number(text: str) -> float | int | str:
    number = float(text)
    if Decimal(repr(number)) != Decimal(text):
        return text
    return int(number) if number.is_integer() else number


def _providers(tx: Tx) -> Section:
    found = (each for each in configuration.providers(tx, (), all=True) if each.state is not State.DELETED)
    return {each.provider_id: _said(_chosen(each), ProviderKind.blank) | _type(each) for each in found}


def _type(provider: Provider) -> Section:
    return {"provider_type": str(provider.provider_type)}


def _chosen(provider: Provider) -> Flat:
    """Without what follows from the rest."""
    fields = read_fields(provider, ProviderKind.names)
    dialect = dialect_of(ProviderType(provider.provider_type), provider.api_base)
    follows = {
        "display_name": provider.provider_id,
        "dialect": dialect,
        "models_endpoint": models_endpoint_of(provider.dialect, provider.api_base),
    }
    return {path: value for path, value in fields.items() if follows.get(path) != value}


def _models(tx: Tx) -> Section:
    """What admins have said of models, and models of which nobody but an admin has spoken."""
    return {each.model_id: nested(admins_word(each)) for each in configuration.models(tx, (), all=True)}


def _agency(tx: Tx, tenant_id: UUID) -> Section:
    agents = {
        agent_id: _said(thing.fields, AgentKind.blank)
        for agent_id, thing in AgentKind(tenant_id).read(tx, (), all=True).items()
        if thing.alive
    }
    rules = _rules(tx, tenant_id, agents.keys())
    models = _agent_models(tx, tenant_id, agents.keys(), rules)
    providers = {
        each.provider_id
        for each in configuration.providers(tx, (), all=True)
        if each.state is not State.DELETED
    }
    for agent_id, agent in agents.items():
        own = models.get(agent_id, {})
        short = {} if agent_id in rules else dict(_shorthand(agent, own, providers))
        agents[agent_id] = short or agent | ({"models": own} if own else {})
    return {"agents": agents, "rules": rules, "budgets": _budgets(tx, tenant_id)}


def _budgets(tx: Tx, tenant_id: UUID) -> list[Section]:
    found = []
    for target_id, thing in BudgetKind(tenant_id).read(tx, (), all=True).items():
        agent_id, _, window = target_id.partition("/")
        whose = {} if agent_id == EVERYBODY else {"agent_id": agent_id}
        found.append(whose | {"window": window} | nested(thing.fields))
    return found


def _rules(tx: Tx, tenant_id: UUID, agent_ids: Collection[str]) -> Section:
    found: Section = defaultdict(list)
    for rule in configuration.rules(tx, tenant_id, agent_ids):
        found[rule.agent_id].append(nested(fields_of(rule)))
    return dict(found)


def _agent_models(tx: Tx, tenant_id: UUID, agent_ids: Collection[str], rules: Section) -> Section:
    found: Section = defaultdict(dict)
    for model in configuration.agent_models(tx, tenant_id, agent_ids, (), all=True):
        said = _said(read_fields(model, AgentModelKind.names), AgentModelKind.blank)
        if said == _DISABLED and model.agent_id not in rules:
            continue  # no more than nothing, where no rule could enable it
        # What a rule brought, and nobody has touched, the rule says.
        if said or model.source is Source.EXPLICIT:
            found[model.agent_id][model.model_id] = said
    return dict(found)


def _shorthand(agent: Section, models: Section, providers: Collection[str]) -> Iterator[tuple[str, Any]]:
    """An agent as document 003 has them, where it has one model and no more is said of that."""
    model_id = agent.get("default_model_id", "")
    provider_id, _, external_id = model_id.partition("/")
    if list(models) != [model_id] or provider_id not in providers:
        return
    own: Mapping[str, Any] = models[model_id]
    price = own.get("input_price_usd")
    if own.keys() - _OF_THE_MODEL or price != own.get("output_price_usd"):
        return
    if price == 0 or own.get("context_length") == 0:
        return
    yield "model", external_id
    yield "provider", provider_id
    parameters = dict(agent.get("parameters", {}))
    for short, name in SHORTHANDS.items():
        value = parameters.get(name)
        if value is not None and (
            short != "max_tokens" or _SMALLEST_MAX_TOKENS <= value <= _LARGEST_MAX_TOKENS
        ):
            yield short, parameters.pop(name)
    if price is not None:
        yield "cost_per_1m_tokens", price
    if "context_length" in own:
        yield "context_window", own["context_length"]
    labels = dict(agent.get("labels", {}))
    project = labels.pop("langsmith_project", None)
    rest = agent | {"parameters": parameters, "labels": labels}
    for name, value in rest.items():
        if name != "default_model_id" and value not in ({}, None):
            yield name, value
    if project is not None:
        yield "langsmith_project", project
