"""Tables of providers and models, and global defaults: what the SRS's system has before this one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins import fields
from imrs_server.cli.config.origins.fields import Fields

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.cli.config.origins.draft import Draft
    from imrs_server.cli.config.origins.reading import Row

_STAMPS: Final = ("created_at", "updated_at", "created_by", "last_synced", "synced_at", "is_default")
_TYPES: Final = {"openrouter": "OPENROUTER", "openai": "OPENAI", "anthropic": "ANTHROPIC", "azure": "AZURE",
                 "ollama": "OLLAMA", "custom": "CUSTOM"}  # fmt: skip
_MODEL_TYPES: Final = {"chat": "CHAT", "embedding": "EMBEDDING", "image": "IMAGE", "audio": "AUDIO",
                       "rerank": "RERANK", "llm": "CHAT", "embeddings": "EMBEDDING"}  # fmt: skip
_TIERS: Final = {"free": "FREE", "low": "LOW", "standard": "STANDARD", "premium": "PREMIUM"}


def providers(draft: Draft, rows: Iterable[Row]) -> None:
    """LLMProvider: id, display_name, provider_type, api_base, models_endpoint, rate_limit_rpm, is_active."""
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=(*_STAMPS, "api_key_vault_path"))
        name = given.take(fields.text, "id", "provider_id", "name")
        if name is None:
            given.note("row", "needs an id")
            continue
        address = given.take(_address, "api_base")
        found: dict[str, Any] = {
            "display_name": given.take(fields.text, "display_name"),
            "provider_type": given.take(_one_of(_TYPES), "provider_type"),
            "api_base": address,
            "models_endpoint": given.take(fields.text, "models_endpoint"),
            "rate_limit_rpm": given.take(fields.whole, "rate_limit_rpm"),
            "state": "DISABLED" if given.take(fields.truth, "is_active") is False else None,
        }
        given.close()
        # Before it is named by others: its address is known.
        provider_id = _known(draft, name, address, row)
        draft.providers[provider_id] |= {key: value for key, value in found.items() if value is not None}


def models(draft: Draft, rows: Iterable[Row]) -> None:
    """LLMModelConfig and LLMModelCatalog: a model a row, by whichever of their names of columns."""
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=(*_STAMPS, "provenance"))
        identity = _identity(draft, given, row)
        if identity is None:
            given.note("row", "needs a provider and a name of the model")
            continue
        vision = given.take(fields.truth, "vision", "supports_vision")
        capabilities = given.take(fields.words, "capabilities") or []
        found = {
            "display_name": given.take(fields.text, "display_name"),
            "model_type": given.take(_one_of(_MODEL_TYPES), "model_type", "type"),
            "capabilities": list(dict.fromkeys([*capabilities, *(["text", "vision"] if vision else [])]))
            or None,
            "domains": given.take(fields.words, "domains"),
            "priority": given.take(fields.whole, "priority"),
            "cost_tier": given.take(_one_of(_TIERS), "cost_tier"),
            "context_length": given.take(fields.whole, "ctx_length", "context_length", "context_window"),
            "max_output_tokens": given.take(fields.whole, "max_output_tokens"),
            **_prices(given),
            "available": given.take(fields.truth, "is_available", "is_active", "enabled"),
            "parameters": _parameters(given),
            "metadata": given.take(fields.mapping, "metadata"),
        }
        given.close()
        said = {key: value for key, value in found.items() if value is not None and value not in ({}, [])}
        draft.models[identity] |= said


def defaults(draft: Draft, rows: Iterable[Row]) -> None:
    """GlobalDefault: fields of one row, `defaults` with a mapping, or rows of key and value."""
    for row in rows:
        given = Fields(row.values, row.place, draft.notes, ignored=(*_STAMPS, "id"))
        if given.has("value") and given.has("key"):
            _default(draft, {str(row.values["key"]): row.values["value"]}, row)
            continue
        held = given.take(fields.mapping, "defaults", "value", "config")
        if held is None:
            _default(draft, row.values, row)
            continue
        given.take(fields.name, "key")
        given.close()
        _default(draft, held, row)


def _default(draft: Draft, values: dict[str, Any], row: Row) -> None:
    given = Fields(values, row.place, draft.notes, ignored=(*_STAMPS, "id", "key", "name"))
    provider = given.take(fields.text, "default_provider", "chat_model_provider", "provider")
    model = given.take(fields.text, "default_model", "chat_model_name", "default_model_id", "model")
    if model is not None:
        prefix, slash, external_id = model.partition("/")
        if provider is not None:
            prefix, slash, external_id = provider, "/", model.removeprefix(f"{provider}/")
        if slash and external_id:
            model_id = draft.model(draft.provider(prefix, row.place), external_id, row.place)
            draft.global_defaults["default_model_id"] = model_id
        else:
            given.note(f"default model {model}", "needs a provider, such as openrouter/gpt-4o")
    parameters = _parameters(given)
    if parameters:
        draft.global_defaults.setdefault("parameters", {}).update(parameters)
    listed = given.take(_rows, "models")
    given.close()
    for each in listed or []:
        models(draft, [type(row)(each, row.place)])


def _identity(draft: Draft, given: Fields, row: Row) -> str | None:
    """From provider and external name, or from an id that has both. What the row says is then named."""
    provider = given.take(fields.text, "provider_id", "provider")
    external_id = given.take(fields.text, "external_id", "model_name", "model", "name")
    whole = given.take(fields.name, "model_id", "id")
    address = given.take(_address, "api_base")
    if whole is not None and "/" in whole and external_id is None:
        prefix, _, external_id = whole.partition("/")
        provider = provider or prefix
    if provider is None or external_id is None:
        return None
    provider_id = _known(draft, provider, address, row)
    return draft.model(provider_id, external_id.removeprefix(f"{provider_id}/"), row.place)


def _known(draft: Draft, name: str, address: str | None, row: Row) -> str:
    """The provider_id of a provider whose address a row may tell."""
    return draft.provider(name, row.place, api_base=address or "")


def _prices(given: Fields) -> dict[str, Any]:
    found = {
        "input_price_usd": given.take(fields.usd, "pricing_input", "input_price_usd"),
        "output_price_usd": given.take(fields.usd, "pricing_output", "output_price_usd"),
    }
    thousands = {
        "input_price_usd": given.take(
            fields.usd_of_thousand, "cost_per_1k_input_tokens", "cost_per_1k_input"
        ),
        "output_price_usd": given.take(
            fields.usd_of_thousand, "cost_per_1k_output_tokens", "cost_per_1k_output"
        ),
    }
    return {name: thousands[name] if value is None else value for name, value in found.items()}


def _parameters(given: Fields) -> dict[str, Any]:
    found: dict[str, Any] = {
        "temperature": given.take(fields.number, "temperature"),
        "top_p": given.take(fields.number, "top_p", "topp"),
        "max_output_tokens": given.take(fields.whole, "max_tokens", "maxtokens"),
        "extra": given.take(fields.mapping, "kwargs"),
    }
    return {name: value for name, value in found.items() if value is not None and value != {}}


def _one_of(names: dict[str, str]) -> Any:
    def read(value: Any) -> str:
        found = names.get(fields.text(value).lower())
        if found is None:
            raise ValueError(f"must be one of {', '.join(names)}")
        return found

    return read


def _address(value: Any) -> str:
    found = fields.text(value).rstrip("/")
    if not found.startswith(("http://", "https://")):
        raise ValueError("must be a URL")
    return found


def _rows(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise ValueError("must be a list of objects")
    return value
