"""What one call to a provider told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderCheck:
    """``reachable``: some answer came. ``authorized``: the key was accepted, or none was needed.

    ``model_count`` counts the models in the first page of the list; ``latency_ms`` is the time to that page,
    or to the failure. ``detail`` is for people, in our words.
    """

    reachable: bool
    authorized: bool
    model_count: int = 0
    latency_ms: int = 0
    detail: str = ""
