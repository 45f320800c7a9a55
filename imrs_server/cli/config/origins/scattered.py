"""Models that are scattered over Python, YAML, metadata and variables: the four sources of one configuration.

Who wins is what was served: an override of an administrator before a variable before Python before an agent's
YAML before metadata, which only told the cost. What is said of a model counts only for that model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins import fields
from imrs_server.cli.config.origins.draft import Key
from imrs_server.cli.config.origins.fields import Fields
from imrs_server.cli.config.origins.reading import Place
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.cli.config.origins.draft import Draft

_OF_THE_MODEL: Final = ("cost_per_1m_tokens", "context_window")
_OF_THE_AGENT: Final = ("temperature", "max_tokens", "use_case", "tags", "langsmith_project")
_DEFAULT_PROVIDER: Final = "gradient"


class Rank(IntEnum):
    """Who wins over whom."""

    METADATA = 1
    AGENT_YAML = 2
    PYTHON = 3
    VARIABLE = 4
    OVERRIDE = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one source says of one agent."""

    agent_id: str
    rank: Rank
    place: Place
    values: Mapping[str, Any]


def said(
    draft: Draft,
    agent: str,
    rank: Rank,
    place: Place,
    values: Mapping[str, Any],
    *,
    ignored: tuple[str, ...] = (),
) -> Said:
    """Read what a source says, by the names that all four have."""
    given = Fields(values, place, draft.notes, ignored=ignored)
    found: dict[str, Any] = {
        "model": given.take(fields.text, "model", "model_name", "model_id"),
        "provider": given.take(fields.text, "provider"),
        "temperature": given.take(fields.number, "temperature"),
        "max_tokens": given.take(fields.whole, "max_tokens"),
        "cost_per_1m_tokens": given.take(fields.usd, "cost_per_1m_tokens", "cost_per_1m"),
        "context_window": given.take(fields.whole, "context_window", "context_length"),
        "use_case": given.take(fields.text, "use_case"),
        "tags": given.take(fields.words, "tags"),
        "langsmith_project": given.take(fields.text, "langsmith_project"),
    }
    agent_id = draft.agent(agent, place)
    api_key = given.take(fields.text, "api_key")
    if api_key is not None:
        provider_id = (found["provider"] or _DEFAULT_PROVIDER).lower()
        key = Key(provider_id=provider_id, agent_id=agent_id, secret=Secret(api_key), place=place)
        draft.keys.append(key)
    given.close()
    known = {name: value for name, value in found.items() if value is not None}
    return Said(agent_id=agent_id, rank=rank, place=place, values=known)


def merge(draft: Draft, every: Iterable[Said]) -> None:
    """Put what the sources say together, agent by agent."""
    agents: dict[str, list[Said]] = {}
    for each in every:
        agents.setdefault(each.agent_id, []).append(each)
    for agent_id, found in agents.items():
        if agent_id in draft.agents:
            draft.notes.add(
                found[0].place, f"agent {agent_id}", "is described by another source, which was taken"
            )
            continue
        # Of equals the later one, as a later assignment wins.
        found.sort(key=lambda each: each.rank)
        found.reverse()
        _merge(draft, agent_id, found)


def _merge(draft: Draft, agent_id: str, found: list[Said]) -> None:
    winner = next((each for each in found if "model" in each.values), None)
    if winner is None:
        draft.notes.add(found[0].place, f"agent {agent_id}", "names no model")
        return
    model = winner.values["model"]
    agent: dict[str, Any] = {"model": model, "provider": _provider(draft, winner, found)}
    for each in found:
        agrees = each.values.get("model", model) == model
        if not agrees:
            why = f"is {each.values['model']} here, but {winner.place} wins with {model}"
            draft.notes.add(each.place, f"agents.{agent_id}.model", why)
        for name in _OF_THE_AGENT:
            value = each.values.get(name)
            if value is not None and agent.setdefault(name, value) != value:
                draft.notes.add(each.place, f"agents.{agent_id}.{name}", f"is {value} here, but another wins")
        for name in _OF_THE_MODEL:
            if name in each.values and agrees:
                agent.setdefault(name, each.values[name])
            elif name in each.values:
                why = f"is that of {each.values['model']}, not of {model}"
                draft.notes.add(each.place, f"agents.{agent_id}.{name}", why)
    draft.agents[agent_id] = agent
    draft.places["agents", agent_id] = winner.place


def _provider(draft: Draft, winner: Said, found: list[Said]) -> str:
    """The provider of the source that named the model; else of the next that knows one."""
    names = [each.values["provider"] for each in (winner, *found) if "provider" in each.values]
    return draft.provider(names[0] if names else _DEFAULT_PROVIDER, winner.place, listed=False)
