"""Which models a class of agents prefers."""

from __future__ import annotations

from dataclasses import dataclass

from imrs_server.domain.parameters import UNSET, Parameters

OTHER_CLASSES = "*"
"""The class that stands for classes without an entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A row of ``preferences``: the primary model first, then its fallbacks."""

    agent_class: str
    model_ids: tuple[str, ...] = ()
    parameters: Parameters = UNSET
    version: int = 1
