"""All sources into one draft, whatever the order in which they are named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.cli.config.origins import (
    agent_tables,
    catalogue_tables,
    kinds,
    preferences,
    python_source,
    reading,
    scattered,
    yaml_source,
)
from imrs_server.cli.config.origins.draft import Draft

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from imrs_server.cli.config.origins.reading import Row
    from imrs_server.cli.config.origins.scattered import Said


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Addresses of providers that the sources only name, and where the model pool's manager is."""

    addresses: Mapping[str, str]
    pool_url: str


def collect(sources: Sequence[tuple[str, Path]], wanted: Wanted) -> Draft:
    """Read sources, each of a kind or '' for what it looks like. Raises Unreadable; then nothing is done."""
    paths: dict[str, list[Path]] = defaultdict(list)
    for kind, path in sources:
        paths[kind or kinds.of(path)].append(path)
    draft = Draft()
    _tables(draft, paths)
    _json(draft, paths, wanted.pool_url)
    scattered.merge(draft, _scattered(draft, paths))
    for provider_id, address in wanted.addresses.items():
        draft.providers.setdefault(provider_id, {})["api_base"] = address
    return draft


def _tables(draft: Draft, paths: Mapping[str, list[Path]]) -> None:
    """Providers first, whose addresses they know; and names before what goes by numbers."""
    catalogue_tables.providers(draft, _rows(paths, "llm_providers"))
    catalogue_tables.models(draft, _rows(paths, "llm_model_config"))
    catalogue_tables.defaults(draft, _rows(paths, "global_default"))
    configurations = list(_rows(paths, "agent_llm_configs"))
    names = agent_tables.names(draft, _rows(paths, "agent_configs"))
    agent_tables.configurations(draft, configurations, names)
    agent_tables.enabled_models(draft, _rows(paths, "agent_models"), names)


def _json(draft: Draft, paths: Mapping[str, list[Path]], pool_url: str) -> None:
    for path in paths.get("model_settings", ()):
        preferences.read_global(draft, path)
    for path in paths.get("model_preferences", ()):
        preferences.read(draft, path, pool_url)


def _scattered(draft: Draft, paths: Mapping[str, list[Path]]) -> Iterator[Said]:
    yield from agent_tables.overrides(draft, _rows(paths, "agent_model_config"))
    for path in paths.get("variables", ()):
        yield from yaml_source.read_variables(draft, path)
    for path in paths.get("python", ()):
        yield from python_source.read(draft, path)
    for path in paths.get("agent-yaml", ()):
        yield from yaml_source.read_agent(draft, path)


def _rows(paths: Mapping[str, list[Path]], kind: str) -> Iterator[Row]:
    for path in paths.get(kind, ()):
        yield from reading.rows(path)
