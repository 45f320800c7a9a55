"""Ollama, which loads its models itself (docs/api.md of ollama/ollama).

GET {root}/api/ps -> ``{"models": [{"name", "model", "size"}]}``; POST {root}/api/generate ``{"model",
"keep_alive"}`` without a prompt loads, with ``keep_alive`` 0 it unloads; a model that only embeds takes
/api/embed. ``keep_alive`` counts for later calls too that name none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.adapters.failures import Unusable
from imrs_server.adapters.model_pool.asking import ask, count, listed
from imrs_server.adapters.model_pool.keeper import Sighting
from imrs_server.adapters.providers import ollama
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.model_pool.keeper import Place
    from imrs_server.adapters.network import Deadline

# Ollama keeps a model a little longer than we do, and so unloads it only where we no longer can.
_KEEP_SECONDS = 60


class Ollama:
    """Ollama at the endpoint's own address."""

    is_there = True

    def look(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        told = ask(client, place.access, f"{ollama.root(place.access)}/api/ps", None, deadline)
        for each in listed(told, "models"):
            if _tagged(place.external_id) in (_tagged(each.get("model")), _tagged(each.get("name"))):
                return Sighting(state=EndpointState.HOT, memory_bytes=count(each.get("size")))
        return Sighting(state=EndpointState.COLD)

    def load(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        keep_alive: Any = -1
        if place.ttl is not None:
            keep_alive = f"{round(place.ttl.total_seconds()) + _KEEP_SECONDS}s"
        self._keep(client, place, keep_alive, deadline)
        found = self.look(client, place, deadline)
        if found.state is not EndpointState.HOT:
            raise Unusable("Ollama took the model, and does not list it in /api/ps")
        return found

    def unload(self, client: GuardedClient, place: Place, deadline: Deadline) -> None:
        self._keep(client, place, 0, deadline)

    def _keep(self, client: GuardedClient, place: Place, keep_alive: Any, deadline: Deadline) -> None:
        body: dict[str, Any] = {"model": place.external_id, "keep_alive": keep_alive}
        path = "/api/generate"
        if place.model_type is ModelType.EMBEDDING:
            path = "/api/embed"
            body["input"] = []
        else:
            body["stream"] = False
        ask(client, place.access, ollama.root(place.access) + path, body, deadline)


def _tagged(name: object) -> str:
    """A name with its tag, as Ollama completes it."""
    if not isinstance(name, str):
        return ""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
