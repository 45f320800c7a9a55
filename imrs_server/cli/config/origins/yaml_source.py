"""Models in YAML and variables: an agent's own file of tools, a compose file, lines of NAME=value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins import reading
from imrs_server.cli.config.origins.draft import Key
from imrs_server.cli.config.origins.reading import Place, Unreadable
from imrs_server.cli.config.origins.scattered import Rank, Said, said
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from imrs_server.cli.config.origins.draft import Draft
    from imrs_server.config_file.tree import Node

# Variable -> the provider whose key it holds.
KEY_VARIABLES: Final = {
    "GRADIENT_MODEL_ACCESS_KEY": "gradient",
    "DO_SERVERLESS_INFERENCE_KEY": "gradient",
    "CLAUDE_API_KEY": "claude",
    "ANTHROPIC_API_KEY": "claude",
    "MISTRAL_API_KEY": "mistral",
    "OPENAI_API_KEY": "openai",
    "DEEPSEEK_API_KEY": "deepseek",
    "GROK_API_KEY": "grok",
    "XAI_API_KEY": "grok",
    "OPENROUTER_API_KEY": "openrouter",
}
_MODEL_VARIABLE: Final = re.compile(r"(GRADIENT|CLAUDE|MISTRAL|OPENAI)_MODEL")
_ADDRESS_VARIABLE: Final = re.compile(r"(GRADIENT|CLAUDE|MISTRAL|OPENAI)_BASE_URL")
# ${NAME}, ${NAME:-default}, ${NAME?message}, $NAME; $$ is a dollar.
_REFERENCE: Final = re.compile(r"\$\{\w+(?::?(?P<kind>[-?+])(?P<said>[^}]*))?\}|\$\w+")
_VARIABLE_LINE: Final = re.compile(r"(?:export\s+)?(\w+)=(.*)")
# Whose model a variable is where no service has it.
_ALONE: Final = "orchestrator"


def read_agent(draft: Draft, path: Path) -> list[Said]:
    """An agent's YAML, such as feature_dev_tools.yaml with `model: codellama-13b`. Raises Unreadable."""
    root = reading.yaml(path)
    held = next((root.entries[each] for each in ("llm", "agent") if _has_model(root, each)), root)
    if "model" not in held.entries:
        raise Unreadable(f"{path}: names no `model`")
    place = Place(str(path), held.entries["model"].mark.line)
    values = held.plain()
    named = root.entries.get("agent_name") or root.entries.get("name")
    alone = path.stem.removesuffix("_tools").removesuffix("-tools").replace("_", "-")
    agent = named.content if named is not None and isinstance(named.content, str) else alone
    # What the tools are is the agent's own business.
    ignored = ("tools", "agent_name", "name", "description", "version", "llm", "agent")
    return [said(draft, agent, Rank.AGENT_YAML, place, values, ignored=ignored)]


def read_variables(draft: Draft, path: Path) -> list[Said]:
    """A compose file, or lines of NAME=value. Raises Unreadable."""
    found: list[Said] = []
    for service, variables, place in _environments(path):
        for name, value in variables.items():
            found += _variable(draft, service or _ALONE, name, value, place)
    return found


def is_compose(root: Node) -> bool:
    return bool(root.entries.get("services", root).entries) and "services" in root.entries


def _has_model(root: Node, name: str) -> bool:
    return name in root.entries and "model" in root.entries[name].entries


def _environments(path: Path) -> Iterator[tuple[str, Mapping[str, Any], Place]]:
    if path.suffix not in {".yml", ".yaml"}:
        yield from _lines(path)
        return
    root = reading.yaml(path)
    if not is_compose(root):
        raise Unreadable(f"{path}: has no `services`")
    for service, node in root.entries["services"].entries.items():
        held = node.entries.get("environment")
        if held is None:
            continue
        place = Place(str(path), held.mark.line)
        values = held.plain()
        if isinstance(values, list):
            pairs = (str(each).partition("=") for each in values)
            values = {name: value for name, equals, value in pairs if equals}
        if isinstance(values, dict):
            yield service, values, place


def _lines(path: Path) -> Iterator[tuple[str, Mapping[str, Any], Place]]:
    for number, line in enumerate(reading.text(path).splitlines(), 1):
        found = _VARIABLE_LINE.fullmatch(line.strip())
        if found is not None:
            yield "", {found[1]: found[2].strip().strip("'\"")}, Place(str(path), number)


def _variable(draft: Draft, agent: str, name: str, given: Any, place: Place) -> Iterator[Said]:
    value = _resolved(str(given)) if given is not None else ""
    if name in KEY_VARIABLES:
        if value:
            key = Key(provider_id=KEY_VARIABLES[name], secret=Secret(value), place=place)
            draft.keys.append(key)
        return
    model, address = _MODEL_VARIABLE.fullmatch(name), _ADDRESS_VARIABLE.fullmatch(name)
    if (model or address) and value is None:
        draft.notes.add(place, name, "is set where it runs: its value is not here")
    elif model and value:
        provider = model[1].lower()
        yield said(draft, agent, Rank.VARIABLE, place, {"model": value, "provider": provider})
    elif address and value:
        draft.providers.setdefault(address[1].lower(), {})["api_base"] = value.rstrip("/")


def _resolved(value: str) -> str | None:
    """A value with the defaults of what it refers to; None where one has none."""
    missing = False

    def default(found: re.Match[str]) -> str:
        nonlocal missing
        missing = missing or found["kind"] != "-"
        return found["said"] or ""

    told = "$".join(_REFERENCE.sub(default, part) for part in value.split("$$"))
    return None if missing else told
