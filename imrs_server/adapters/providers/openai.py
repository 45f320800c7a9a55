"""OpenAI's list, and the many servers that copy it.

GET {models_url} -> ``{"object": "list", "data": [{"id", "created", "owned_by", "shutdown_date"?}]}``, in one
page. It tells neither price nor context nor capability. Copies add a context length under various names;
``{"models": [...]}``, a bare array, and ``name`` or ``model`` for the id are understood too. A price is never
read: copies differ in its unit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.description import described
from imrs_server.adapters.providers.dialect import Dialect, bearer, first_of, option_headers, text_option
from imrs_server.domain import catalogue_rules as rules

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.discovery import DiscoveredModel


class OpenAI(Dialect):
    """The dialect ``openai``, and ``custom``: of every provider without one of its own."""

    keys = ("data", "models")

    def first(self, access: Access) -> Call:
        return Call(url=access.provider.models_url, headers=headers(access))

    def parse(
        self, access: Access, item: Mapping[str, Any], details: Mapping[str, Any]
    ) -> DiscoveredModel | None:
        del details
        return described(
            access,
            first_of(item, "id", "name", "model"),
            display_name=first_of(item, "display_name", "name"),
            context_length=first_of(
                item, "context_length", "context_window", "max_model_len", "max_context_length"
            ),
            max_output_tokens=first_of(item, "max_output_tokens", "max_completion_tokens"),
            retire_time=rules.day(item.get("shutdown_date")),
        )


def headers(access: Access) -> dict[str, str]:
    """Those of every call: the provider's own, whose account it is, and the key."""
    account = {
        f"openai-{option}": text_option(access, option)
        for option in ("organization", "project")
        if text_option(access, option)
    }
    return {**option_headers(access), **account, **bearer(access)}
