"""Who loads and unloads models: Ollama itself, or the manager of a pool.

Ollama (docs/api.md of ollama/ollama): GET {root}/api/ps -> ``{"models": [{"name", "model", "size"}]}``; POST
{root}/api/generate ``{"model", "keep_alive"}`` without a prompt loads, with ``keep_alive`` 0 it unloads; a
model that only embeds takes /api/embed. ``keep_alive`` counts for later calls too that name none.

A manager at ``pool_url``: GET /models -> ``{"models": [{"model_id", "state", "endpoint", "port",
"memory_mb"}]}``; POST /models/{id}/load and /models/{id}/unload, which may answer before they are done. Its
states are COLD, WARMING, HOT, COOLING (serves still) and UNLOADING, or what others call these.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from imrs_server.adapters import json_stream
from imrs_server.adapters.failures import CallFailed, RateLimited, TimedOut, Unreachable, Unusable
from imrs_server.adapters.http import Call
from imrs_server.adapters.providers import ollama
from imrs_server.adapters.providers.dialect import Access, bearer, first_of, option_headers
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.errors import DomainError
from imrs_server.domain.model import ModelType

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.domain.provider import Provider

_ANSWER_BYTES = 4 << 20
_SAID_CHARACTERS = 300
_MOST_BYTES = 1 << 62
_MEBIBYTE = 1 << 20
# A manager that answers before a model is loaded is asked again so often.
_ASK_SECONDS = 0.5
_MOST_COLD = 6
# Ollama keeps a model a little longer than we do, and so unloads it only where we no longer can.
_KEEP_SECONDS = 60

_STATES = {
    **dict.fromkeys(("HOT", "COOLING", "LOADED", "READY", "RUNNING"), EndpointState.HOT),
    **dict.fromkeys(("WARMING", "LOADING", "STARTING"), EndpointState.LOADING),
    **dict.fromkeys(("COLD", "UNLOADING", "UNLOADED", "STOPPED"), EndpointState.COLD),
}


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


def keeper_of(provider: Provider) -> Keeper | None:
    """Who loads the provider's models; None where they are always there."""
    if provider.pool_url:
        return Manager()
    return Ollama() if provider.dialect == "ollama" else None


def knock(client: GuardedClient, access: Access, deadline: Deadline) -> None:
    """Raises CallFailed unless somebody answers there, whatever he says but for a failure of his own."""
    call = Call(url=access.provider.models_url, headers=option_headers(access))
    with client.exchange(call, deadline, _ANSWER_BYTES) as answer:
        if answer.status >= 500:
            raise Unreachable("it has a failure of its own", status=answer.status)


class Ollama:
    """Ollama at the endpoint's own address."""

    is_there = True

    def look(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        told = _ask(client, place.access, f"{ollama.root(place.access)}/api/ps", None, deadline)
        for each in _listed(told, "models"):
            if _tagged(place.external_id) in (_tagged(each.get("model")), _tagged(each.get("name"))):
                return Sighting(state=EndpointState.HOT, memory_bytes=_count(each.get("size")))
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
        _ask(client, place.access, ollama.root(place.access) + path, body, deadline)


class Manager:
    """The manager of a pool at the provider's ``pool_url``."""

    is_there = False

    def look(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        found = self._find(client, place, deadline)
        return Sighting(state=EndpointState.COLD) if found is None else _sighted(client, place, found)

    def load(self, client: GuardedClient, place: Place, deadline: Deadline) -> Sighting:
        self._tell(client, place, "load", deadline)
        cold = 0
        while cold < _MOST_COLD:
            found = self._find(client, place, deadline)
            if found is None:
                raise Unusable("the pool manager does not know the model")
            seen = _sighted(client, place, found)
            if seen.state is EndpointState.HOT:
                return seen
            if seen.state is EndpointState.COLD:
                if said := _why(found):
                    raise Unusable(said)
                # It may not have begun yet.
                cold += 1
            if deadline.remaining() <= _ASK_SECONDS:
                raise TimedOut("the model is still being loaded")
            time.sleep(_ASK_SECONDS)
        raise Unusable("the pool manager took the order, and does not load the model")

    def unload(self, client: GuardedClient, place: Place, deadline: Deadline) -> None:
        self._tell(client, place, "unload", deadline)

    def _tell(self, client: GuardedClient, place: Place, what: str, deadline: Deadline) -> None:
        name = quote(place.external_id, safe=":@")
        _ask(client, place.access, f"{_root(place)}/models/{name}/{what}", {}, deadline)

    def _find(self, client: GuardedClient, place: Place, deadline: Deadline) -> dict[str, Any] | None:
        told = _ask(client, place.access, f"{_root(place)}/models", None, deadline)
        named = [
            each
            for each in _listed(told, "models", "data")
            if first_of(each, "model_id", "id", "name", "model") == place.external_id
        ]
        here = [each for each in named if place.follows or _address(place, each) is None]
        return next(iter(here), None)


def _root(place: Place) -> str:
    return place.access.provider.pool_url.rstrip("/")


def _sighted(client: GuardedClient, place: Place, told: dict[str, Any]) -> Sighting:
    word = str(first_of(told, "state", "status")).upper()
    state = _STATES.get(word)
    if state is None:
        raise Unusable(f"the pool manager says of the model: {_why(told) or word[:32]}")
    memory_mib = _count(told.get("memory_mb"))
    memory_bytes = _count(told.get("memory_bytes"))
    if memory_bytes is None and memory_mib is not None:
        memory_bytes = memory_mib * _MEBIBYTE
    base_url = _address(place, told) if state is EndpointState.HOT else None
    if base_url is not None:
        try:
            client.rules.check_url(base_url)
        except DomainError as refusal:
            raise Unusable(f"the pool manager names an address for the model: {refusal.message}") from None
    return Sighting(state=state, memory_bytes=memory_bytes, base_url=base_url)


def _address(place: Place, told: dict[str, Any]) -> str | None:
    """Where the manager says that the model is; None where that is the endpoint's address, or not said.

    A manager that says localhost means its own host.
    """
    base, root = urlsplit(place.access.provider.api_base), urlsplit(place.access.provider.pool_url)
    named = first_of(told, "endpoint", "base_url", "url")
    port = told.get("port")
    try:
        said = urlsplit(named) if isinstance(named, str) else None
        if said is not None and said.hostname:
            host, port = said.hostname, said.port
        elif isinstance(port, int):
            host = root.hostname or ""
        else:
            return None
        if _is_local(host):
            host = root.hostname or host
        if (host, port) == (base.hostname, base.port) or (
            port == base.port and _is_local(host) and _is_local(base.hostname or "")
        ):
            return None
    except ValueError:
        raise Unusable("the pool manager names no usable address for the model") from None
    host = f"[{host}]" if ":" in host else host
    scheme = said.scheme if said is not None and said.scheme else base.scheme
    return urlunsplit(base._replace(scheme=scheme, netloc=host if port is None else f"{host}:{port}"))


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _ask(
    client: GuardedClient, access: Access, url: str, body: dict[str, Any] | None, deadline: Deadline
) -> Any:
    """The document of an answer. Raises CallFailed with what the answer says of a failure."""
    call = Call(
        url=url,
        headers={**option_headers(access), **bearer(access)},
        body=None if body is None else json.dumps(body).encode(),
    )
    with client.exchange(call, deadline, _ANSWER_BYTES) as answer:
        if 200 <= answer.status < 300:
            return json_stream.document(answer.body)
        raise _refusal(answer.status, b"".join(answer.body), access)


def _refusal(status: int, body: bytes, access: Access) -> CallFailed:
    try:
        said = _why(json_stream.parse(body))
    except Unusable:
        said = ""
    if access.key is not None:
        said = said.replace(access.key.reveal(), "***")
    detail = f"status {status}: {said}" if said else f"status {status}"
    if status == 429:
        return RateLimited(detail, status=status, again=True)
    return Unusable(detail, status=status)


def _why(told: Any) -> str:
    """What an answer gives as the reason, on one line."""
    said = first_of(told, "error", "load_error", "last_error", "detail") if isinstance(told, dict) else None
    if isinstance(said, dict):
        said = said.get("message")
    if not isinstance(said, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:_SAID_CHARACTERS]


def _listed(told: Any, *members: str) -> Iterator[dict[str, Any]]:
    items = told if isinstance(told, list) else None
    if isinstance(told, dict):
        items = first_of(told, *members)
    if not isinstance(items, list):
        raise Unusable("the answer has no list of models")
    return (each for each in items if isinstance(each, dict))


def _tagged(name: object) -> str:
    """A name with its tag, as Ollama completes it."""
    if not isinstance(name, str):
        return ""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _count(value: object) -> int | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 < value < _MOST_BYTES else None
