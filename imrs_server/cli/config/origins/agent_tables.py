"""Tables that say which agent uses which model: overrides, configurations with fallbacks, enabled models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins import fields
from imrs_server.cli.config.origins.draft import Key
from imrs_server.cli.config.origins.fields import Fields
from imrs_server.cli.config.origins.scattered import Rank, Said, said
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imrs_server.cli.config.origins.draft import Draft
    from imrs_server.cli.config.origins.reading import Row

_STAMPS: Final = ("id", "created_at", "updated_at")
# Where nothing was learned, a fallback is chosen after all others.
_FALLBACK_PRIORITY: Final = 0


def overrides(draft: Draft, rows: Iterable[Row]) -> list[Said]:
    """``agent_model_config``: agent_name, model_id, is_active, set_by. All of it is OpenRouter's."""
    found: list[Said] = []
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=(*_STAMPS, "set_by"))
        agent = given.take(fields.text, "agent_name")
        model = given.take(fields.text, "model_id")
        active = given.take(fields.truth, "is_active")
        given.close()
        if agent is None or model is None:
            given.note("row", "needs agent_name and model_id")
        elif active is False:
            given.note(f"agent {agent}", "its override is not active")
        else:
            values = {"model": model, "provider": "openrouter"}
            found.append(said(draft, agent, Rank.OVERRIDE, row.place, values))
    return found


def names(draft: Draft, rows: Iterable[Row]) -> dict[str, str]:
    """``agent_configs``: id -> name, for the tables that only have the id.

    Its llm_provider and llm_model are what an agent uses that has no configuration of its own.
    """
    found = {}
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=_STAMPS)
        number = given.take(fields.name, "id")
        agent = given.take(fields.text, "name", "agent_name") or number
        provider = given.take(fields.text, "llm_provider")
        model = given.take(fields.text, "llm_model")
        given.close()
        if number is None or agent is None:
            given.note("row", "needs an id")
            continue
        found[number] = agent
        if provider and model:
            model_id = draft.model(draft.provider(provider, row.place), model, row.place)
            known = _agent(draft, agent, row)
            known.setdefault("models", {}).setdefault(model_id, {})
    return found


def configurations(draft: Draft, rows: Iterable[Row], known: Mapping[str, str]) -> None:
    """``agent_llm_configs``: several models an agent, with fallbacks, prices of 1k tokens, keys by Fernet."""
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=_STAMPS)
        number = given.take(fields.name, "agent_id")
        provider = given.take(fields.text, "provider")
        model = given.take(fields.text, "model_name")
        if number is None or provider is None or model is None:
            given.note("row", "needs agent_id, provider and model_name")
            continue
        provider_id = draft.provider(provider, row.place)
        agent_name = known.get(number, number)
        agent = _agent(draft, agent_name, row)
        model_id = draft.model(provider_id, model, row.place)
        used = {"enabled": given.take(fields.truth, "enabled") is not False, **_settings(given)}
        fallback_id = _fallback(draft, given, row)
        if fallback_id is not None and fallback_id != model_id:
            used["fallback_model_ids"] = [fallback_id]
            agent["models"].setdefault(fallback_id, {"priority_override": _FALLBACK_PRIORITY})
        encrypted = given.take(fields.text, "api_key_encrypted")
        if encrypted is not None:
            agent_id = draft.agent(agent_name, row.place)
            secret = Secret(encrypted)
            key = Key(
                provider_id=provider_id, agent_id=agent_id, secret=secret, encrypted=True, place=row.place
            )
            draft.keys.append(key)
        given.close()
        _add(draft, agent["models"], model_id, used, row)


def enabled_models(draft: Draft, rows: Iterable[Row], known: Mapping[str, str]) -> None:
    """The SRS's AgentModelConfig: agent_id, model_id, priority_override, is_enabled."""
    for row in rows:
        given = Fields(
            row.values, row.place, draft.notes, ignored=(*_STAMPS, "enabled_by", "enabled_at", "tenant_id")
        )
        number = given.take(fields.name, "agent_id", "agent")
        model = given.take(fields.text, "model_id", "model")
        enabled = given.take(fields.truth, "is_enabled", "enabled")
        priority = given.take(fields.whole, "priority_override")
        given.close()
        provider, slash, external_id = (model or "").partition("/")
        if number is None or not (slash and external_id):
            given.note("row", "needs agent_id and a model_id such as openrouter/gpt-4o")
            continue
        model_id = draft.model(draft.provider(provider, row.place), external_id, row.place)
        used: dict[str, Any] = {"enabled": enabled is not False}
        if priority is not None:
            used["priority_override"] = priority
        _add(draft, _agent(draft, known.get(number, number), row)["models"], model_id, used, row)


def _agent(draft: Draft, name: str, row: Row) -> dict[str, Any]:
    agent_id = draft.agent(name, row.place)
    draft.places.setdefault(("agents", agent_id), row.place)
    found = draft.agents.setdefault(agent_id, {})
    found.setdefault("models", {})
    return found


def _settings(given: Fields) -> dict[str, Any]:
    """What a row says of the calls of its model. A price of 0 is what nobody had set."""
    parameters = {
        "temperature": given.take(fields.number, "temperature"),
        "top_p": given.take(fields.number, "top_p"),
        "max_output_tokens": given.take(fields.whole, "max_tokens"),
    }
    found: dict[str, Any] = {
        "parameters": {name: value for name, value in parameters.items() if value is not None},
        "input_price_usd": given.take(fields.usd_of_thousand, "cost_per_1k_input_tokens"),
        "output_price_usd": given.take(fields.usd_of_thousand, "cost_per_1k_output_tokens"),
        "metadata": given.take(fields.mapping, "metadata_json"),
    }
    prices = ("input_price_usd", "output_price_usd")
    if not any(found[name] for name in prices):
        found |= dict.fromkeys(prices)
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _fallback(draft: Draft, given: Fields, row: Row) -> str | None:
    provider = given.take(fields.text, "fallback_provider")
    model = given.take(fields.text, "fallback_model")
    if model is None or provider is None:
        if model is not None or provider is not None:
            given.note("fallback", "needs fallback_provider and fallback_model")
        return None
    return draft.model(draft.provider(provider, row.place), model, row.place)


def _add(draft: Draft, models: dict[str, Any], model_id: str, used: dict[str, Any], row: Row) -> None:
    """Of two rows for one model the enabled one counts, else the first. A fallback's place is taken."""
    before = models.get(model_id)
    if before in (None, {}) or before == {"priority_override": _FALLBACK_PRIORITY}:
        models[model_id] = used
    elif used["enabled"] and not before.get("enabled", True):
        models[model_id] = used
        draft.notes.add(row.place, f"model {model_id}", "is there twice: the enabled one is taken")
    else:
        draft.notes.add(row.place, f"model {model_id}", "is there twice: the first one is taken")
