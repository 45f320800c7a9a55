"""Who loads a model at a place, and what is known of it there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from imrs_server.adapters.providers.dialect import Access
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A model at an endpoint. ``access`` has the endpoint's address for its ``api_base``.

    ``follows`` is whether the endpoint goes where the manager says that the model is: the only one of its
    model does, of several each is the instance at its address.
    """

    access: Access
    external_id: str
    model_type: ModelType = ModelType.CHAT
    ttl: timedelta | None = None
    follows: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What is known of a model at a place; ``base_url`` where it is from now on, None for where it was."""

    state: EndpointState
    memory_bytes: int | None = None
    base_url: str | None = None


class Keeper(Protocol):
    """Loads and unloads models. Every method raises CallFailed, and AddressForbidden.

    Of a failure that the answer explains, the detail quotes it; the key is not in it.
    """

    is_there: bool
    """Whether it is the very place that serves the model."""

    def look(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        """What is known of the model there. Free of charge."""

    def load(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        """Have the model loaded; returns when it is HOT."""

    def unload(self, client: GuardedClient, place: Place, deadline: Deadline) -> None:
        """Have the memory back."""
