"""The manager of a pool, at the ``pool_url`` of a provider.

GET /models -> ``{"models": [{"model_id", "state", "endpoint", "port", "memory_mb"}]}``; POST
/models/{id}/load and /models/{id}/unload, which may answer before they are done. Its states are COLD,
WARMING, HOT, COOLING (serves still) and UNLOADING, or what others call these.
"""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

from imrs_server.adapters.failures import TimedOut, Unusable
from imrs_server.adapters.model_pool.asking import ask, count, listed, why
from imrs_server.adapters.model_pool.keeper import Sighting
from imrs_server.adapters.providers.dialect import first_of
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.errors import DomainError

if TYPE_CHECKING:
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.model_pool.keeper import Place
    from imrs_server.adapters.network import Deadline

_MEBIBYTE = 1 << 20
# A manager that answers before a model is loaded is asked again so often.
_ASK_SECONDS = 0.5
_MOST_COLD = 6

_STATES = {
    **dict.fromkeys(("HOT", "COOLING", "LOADED", "READY", "RUNNING"), EndpointState.HOT),
    **dict.fromkeys(("WARMING", "LOADING", "STARTING"), EndpointState.LOADING),
    **dict.fromkeys(("COLD", "UNLOADING", "UNLOADED", "STOPPED"), EndpointState.COLD),
}


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
                if said := why(found):
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
        ask(client, place.access, f"{_root(place)}/models/{name}/{what}", {}, deadline)

    def _find(self, client: GuardedClient, place: Place, deadline: Deadline) -> dict[str, Any] | None:
        told = ask(client, place.access, f"{_root(place)}/models", None, deadline)
        named = [
            each
            for each in listed(told, "models", "data")
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
        raise Unusable(f"the pool manager says of the model: {why(told) or word[:32]}")
    memory_mib = count(told.get("memory_mb"))
    memory_bytes = count(told.get("memory_bytes"))
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
