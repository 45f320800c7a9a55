"""Which kind of source a file is: by the name that was given for it, else by what it looks like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from imrs_server.cli.config.origins import preferences, reading, yaml_source
from imrs_server.cli.config.origins.reading import Unreadable

if TYPE_CHECKING:
    from pathlib import Path

    from imrs_server.cli.config.origins.reading import Row

# Kind -> what it is.
KINDS: Final = {
    "python": "Python with get_llm(...) calls or a dict of metadata",
    "agent-yaml": "an agent's YAML with `model:`",
    "variables": "a compose file, or lines of NAME=value",
    "agent_model_config": "table of overrides: agent_name, model_id",
    "agent_llm_configs": "table of configurations: agent_id, provider, model_name",
    "agent_configs": "table of agents: id, name",
    "model_preferences": "JSON of preferences by class of agents",
    "model_settings": "JSON of parameters of every call",
    "llm_providers": "table of providers: id, provider_type, api_base",
    "llm_model_config": "table of models",
    "agent_models": "table of enabled models: agent_id, model_id",
    "global_default": "table or JSON of global defaults",
}
# In Django's dumps tables are named by their classes.
_TABLES: Final = {
    "llmprovider": "llm_providers",
    "llmmodelconfig": "llm_model_config",
    "llmmodelcatalog": "llm_model_config",
    "agentmodelconfig": "agent_models",
    "globaldefault": "global_default",
    "agentllmconfig": "agent_llm_configs",
    "agentconfig": "agent_configs",
}
# Columns that only this kind has; the first that fits.
_COLUMNS: Final = (
    ("agent_model_config", {"agent_name", "model_id"}),
    ("agent_llm_configs", {"agent_id", "provider", "model_name"}),
    ("agent_models", {"agent_id", "model_id"}),
    ("agent_configs", {"llm_model", "llm_provider"}),
    ("llm_model_config", {"external_id"}),
    ("llm_model_config", {"ctx_length"}),
    ("llm_model_config", {"model_name", "provider"}),
    ("llm_providers", {"api_base", "provider_type"}),
    ("llm_model_config", {"name", "provider"}),
    ("global_default", {"defaults"}),
    ("global_default", {"default_model"}),
    ("global_default", {"key", "value"}),
)


def of(path: Path) -> str:
    """Raises Unreadable, also where it looks like none of them."""
    if path.suffix == ".py":
        return "python"
    if path.suffix in {".yml", ".yaml"}:
        return "variables" if yaml_source.is_compose(reading.yaml(path)) else "agent-yaml"
    if path.suffix == ".env" or path.name.startswith(".env"):
        return "variables"
    if path.suffix == ".json":
        value = reading.json_value(path) if _is_one(path) else None
        if preferences.looks_so(value):
            return "model_preferences"
    return _of_rows(path, reading.rows(path))


def _is_one(path: Path) -> bool:
    """Whether the file is one JSON value: lines of objects begin like one."""
    try:
        reading.json_value(path)
    except Unreadable:
        return False
    return True


def _of_rows(path: Path, rows: list[Row]) -> str:
    if not rows:
        raise Unreadable(f"{path}: has no rows")
    first = rows[0]
    if first.table in _TABLES:
        return _TABLES[first.table]
    for kind, columns in _COLUMNS:
        if columns <= first.values.keys():
            return kind
    raise Unreadable(f"{path}: is none that is known: say which by KIND:{path}, of {', '.join(KINDS)}")
