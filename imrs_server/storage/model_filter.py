"""A ModelFilter as SQL: the one way in which every query that picks models in bulk says which.

A query has ``models`` in its FROM and ``/* model filter */`` where a condition stands:
``where models.delete_time is null and /* model filter */``. Run ``applied(query, filter)`` in its place, with
``**parameters(filter)`` beside its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

from psycopg.types.json import Jsonb

from imrs_server.storage.sql import Query

if TYPE_CHECKING:
    from imrs_server.domain.model import ModelFilter

MARK = "/* model filter */"

# The expression of models_search_idx, so that a part of a name is found without reading every model.
_SEARCH: LiteralString = (
    'lower((models.model_id collate "default") || chr(10) || models.display_name) like lower(%(f_search)s)'
)
_WILDCARDS = str.maketrans({each: f"\\{each}" for each in "\\%_"})
# Only what is set is in the text, so that each filter is planned for what it really asks.
_CONDITIONS: dict[str, LiteralString] = {
    "f_provider_id": "models.provider_id = %(f_provider_id)s",
    "f_cost_tier": "models.cost_tier = %(f_cost_tier)s",
    "f_capabilities": "models.capabilities @> %(f_capabilities)s",
    "f_domains": "models.domains @> %(f_domains)s",
    "f_model_type": "models.model_type = %(f_model_type)s",
    "f_available": "models.available = %(f_available)s",
    "f_search": _SEARCH,
    "f_min_context_length": "models.context_length >= %(f_min_context_length)s",
    "f_max_input_price_usd": "models.input_price_usd <= %(f_max_input_price_usd)s",
}


def applied(query: Query, filter: ModelFilter) -> Query:
    """The query with the filter's condition in place of the mark."""
    return Query(query.name, query.text.replace(MARK, condition(filter)))


def condition(filter: ModelFilter) -> LiteralString:
    """A condition on ``models``: ``true`` for an empty filter. What is unknown passes no limit."""
    asked: list[LiteralString] = [_CONDITIONS[name] for name in parameters(filter)]
    return " and ".join(asked) or "true"


def parameters(filter: ModelFilter) -> dict[str, Any]:
    """The parameters that the condition names, all starting with ``f_``."""
    values = {
        "f_provider_id": filter.provider_id or None,
        "f_cost_tier": filter.cost_tier,
        "f_capabilities": Jsonb(filter.capabilities) if filter.capabilities else None,
        "f_domains": Jsonb(filter.domains) if filter.domains else None,
        "f_model_type": filter.model_type,
        "f_available": filter.available,
        "f_search": f"%{filter.search.translate(_WILDCARDS)}%" if filter.search else None,
        "f_min_context_length": filter.min_context_length,
        "f_max_input_price_usd": filter.max_input_price_usd,
    }
    return {name: value for name, value in values.items() if value is not None}
