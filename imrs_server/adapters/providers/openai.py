"""OpenAI's list, and the many servers that copy it.

GET {models_url} -> ``{"object": "list", "data": [{"id", "created", "owned_by", "shutdown_date"?}]}``, in one
page. It tells neither price nor context nor capability. Copies add a context length under various names;
``{"models": [...]}``, a bare array, and ``name`` or ``model`` for the id are understood too. A price is never
read: copies differ in its unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.dialect import bearer, option_headers
from imrs_server.domain import catalogue_rules as rules
from imrs_server.domain.discovery import DiscoveredModel
from imrs_server.domain.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access

_ID_MEMBERS = ("id", "name", "model")
_NAME_MEMBERS = ("display_name", "name")
_CONTEXT_MEMBERS = ("context_length", "context_window", "max_model_len", "max_context_length")
_OUTPUT_MEMBERS = ("max_output_tokens", "max_completion_tokens")


class OpenAI:
    """The dialect ``openai``, and of every provider without one of its own."""

    keys = ("data", "models")

    def first(self, access: Access) -> Call:
        options = access.provider.options
        headers = {
            header: options[option]
            for option, header in (("organization", "openai-organization"), ("project", "openai-project"))
            if isinstance(options.get(option), str)
        }
        return Call(
            url=access.provider.models_url, headers={**option_headers(access), **headers, **bearer(access)}
        )

    def following(self, access: Access, envelope: Mapping[str, Any], last: Any) -> Call | None:
        del access, envelope, last
        return None

    def details(self, access: Access, item: Mapping[str, Any]) -> Call | None:
        del access, item
        return None

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        written = next((item[member] for member in _ID_MEMBERS if item.get(member) is not None), None)
        name = rules.external_id(written, access.provider.provider_id)
        if name is None:
            return None
        shown = rules.display_name(_first(item, _NAME_MEMBERS), "")
        context = rules.token_count(_first(item, _CONTEXT_MEMBERS))
        output = rules.token_count(_first(item, _OUTPUT_MEMBERS))
        retires = rules.day(item.get("shutdown_date"))
        kind = rules.model_type(name)
        given = {
            "display_name": shown,
            "context_length": context,
            "max_output_tokens": output,
            "retire_time": retires,
        }
        return DiscoveredModel(
            external_id=name,
            display_name=shown or name,
            model_type=kind,
            capabilities=rules.capabilities(name, kind, context_length=context),
            context_length=context,
            max_output_tokens=output,
            retire_time=retires,
            provenance={field: Provenance.PROVIDER for field, value in given.items() if value},
        )


def _first(item: Mapping[str, Any], members: tuple[str, ...]) -> Any:
    return next((item[member] for member in members if item.get(member) is not None), None)
