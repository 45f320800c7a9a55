"""OpenRouter's list, the richest there is.

GET {models_url}?output_modalities=all -> ``{"data": [...], "links": {"next"}, "total_count"}``; without an
offset everything comes at once. An item has id, name, context_length, architecture (input_modalities,
output_modalities), pricing (strings, USD per token; "-1" = variable), top_provider (context_length,
max_completion_tokens), supported_parameters and expiration_date.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.dialect import bearer, next_url, option_headers
from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access

# What is charged beside tokens of text whenever the model is called; web_search is paid only when asked for.
_OTHER_CHARGES = (
    "request",
    "image",
    "image_token",
    "image_output",
    "audio",
    "audio_output",
    "internal_reasoning",
)


class OpenRouter:
    """The dialect ``openrouter``."""

    keys = ("data",)

    def first(self, access: Access) -> Call:
        url = access.provider.models_url
        if "output_modalities=" not in url:
            # Its default leaves out everything that does not write text.
            url += ("&" if "?" in url else "?") + "output_modalities=all"
        return self._call(access, url)

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        del last
        url = next_url(access, _object(envelope, "links").get("next"))
        return self._call(access, url) if url is not None else None

    def details(self, access: Access, item: Mapping[str, Any]) -> Call | None:
        del access, item
        return None

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        name = rules.external_id(item.get("id"), access.provider.provider_id)
        if name is None:
            return None
        shown = rules.display_name(item.get("name"), "")
        top = _object(item, "top_provider")
        context = rules.token_count(item.get("context_length")) or rules.token_count(
            top.get("context_length")
        )
        output = rules.token_count(top.get("max_completion_tokens"))
        retires = rules.day(item.get("expiration_date"))
        inputs = _texts(_object(item, "architecture"), "input_modalities")
        outputs = _texts(_object(item, "architecture"), "output_modalities")
        parameters = _texts(item, "supported_parameters")
        kind = rules.model_type(name, outputs)
        pricing = _object(item, "pricing")
        price = rules.prices(
            pricing.get("prompt"),
            pricing.get("completion"),
            cached=pricing.get("input_cache_read"),
            other_charges=[pricing.get(charge) for charge in _OTHER_CHARGES],
        )
        given = {
            "display_name": shown,
            "model_type": outputs,
            "capabilities": inputs or parameters,
            "context_length": context,
            "max_output_tokens": output,
            "price_state": pricing,
            "input_price_usd": price.input is not None,
            "output_price_usd": price.output is not None,
            "cached_input_price_usd": price.cached_input is not None,
            "retire_time": retires,
        }
        return DiscoveredModel(
            external_id=name,
            display_name=shown or name,
            model_type=kind,
            capabilities=rules.capabilities(
                name,
                kind,
                inputs=inputs,
                tools="tools" in parameters,
                structured_output="structured_outputs" in parameters,
                reasoning=not {"reasoning", "include_reasoning"}.isdisjoint(parameters),
                context_length=context,
            ),
            cost_tier=rules.cost_tier(price),
            context_length=context,
            max_output_tokens=output,
            price_state=price.state,
            input_price_usd=price.input,
            output_price_usd=price.output,
            cached_input_price_usd=price.cached_input,
            retire_time=retires,
            provenance={field: Provenance.PROVIDER for field, value in given.items() if value},
        )

    def _call(self, access: Access, url: str) -> Call:
        return Call(url=url, headers={**option_headers(access), **bearer(access)})


def _object(item: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = item.get(member)
    return value if isinstance(value, dict) else {}


def _texts(item: Mapping[str, Any], member: str) -> frozenset[str]:
    value = item.get(member)
    return (
        frozenset(each for each in value if isinstance(each, str)) if isinstance(value, list) else frozenset()
    )
