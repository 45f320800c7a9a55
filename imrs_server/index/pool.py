"""What the model pool means for models: which of them nobody can serve now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client.limits import Cooling
from imrs_server.domain.breaker import Phase, Subject, SubjectKind
from imrs_server.domain.endpoint import EndpointState

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imrs_server.domain.breaker import Breaker
    from imrs_server.domain.endpoint import Endpoint

    Endpoints = Mapping[str, tuple[Endpoint, ...]]
    Breakers = Mapping[Subject, Breaker]


def cooling(endpoints: Endpoints) -> dict[str, Cooling]:
    """Models all of whose endpoints are DOWN."""
    return {
        model_id: Cooling(_down(len(known)))
        for model_id, known in endpoints.items()
        if all(each.state is EndpointState.DOWN for each in known)
    }


def touched(endpoints: Endpoints, before: Breakers, after: Breakers) -> Iterator[str]:
    """Models of endpoints that cool and did not, or no longer do."""
    changed = _cooling(before) ^ _cooling(after)
    if changed:
        for model_id, known in endpoints.items():
            if any(each.endpoint_id in changed for each in known):
                yield model_id


def _cooling(breakers: Breakers) -> set[str]:
    return {
        subject.subject_id
        for subject, each in breakers.items()
        if subject.kind is SubjectKind.ENDPOINT and each.phase is Phase.COOLING
    }


def _down(count: int) -> str:
    return "its endpoint is DOWN" if count == 1 else f"all {count} endpoints are DOWN"
