"""Loading models at endpoints, and unloading them: one at a time each, over all servers."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import structlog

from imrs_client.ids import new_id
from imrs_server.adapters.failures import CallFailed, Unreachable
from imrs_server.adapters.model_pool import Place, keeper_of
from imrs_server.adapters.network import Deadline
from imrs_server.adapters.providers.dialect import Access
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.errors import (
    AddressForbidden,
    DomainError,
    EndpointNotFound,
    Internal,
    InvalidRequest,
    ProviderInvalidResponse,
    ProviderNotFound,
    ProviderUnavailable,
    Violation,
)
from imrs_server.domain.provider import State
from imrs_server.storage import changes, endpoints, models, providers
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.model_pool import Keeper, Sighting
    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.endpoint import Endpoint
    from imrs_server.storage.database import Database

log = structlog.get_logger()

LOAD_SECONDS = 60.0
"""A model that is not loaded by then counts as one that cannot be."""

# Who waits for another server asks the database so often.
_ASK_SECONDS = 0.25
# Who waits looks this often whether anybody still waits for him.
_LOOK_SECONDS = 0.1
_MOST_SAID = 500


class Loading:
    """Each load runs on a thread of its own, for all who wait for it: it goes on when one of them leaves.

    ``client`` should try once only, and wait as long as a load may take.
    """

    def __init__(
        self, database: Database, vault: Vault, client: GuardedClient, *, load_seconds: float = LOAD_SECONDS
    ) -> None:
        self._database = database
        self._vault = vault
        self.client = client
        self._load_seconds = load_seconds
        self._flights: dict[str, _Flight] = {}
        self._lock = threading.Lock()
        self._is_stopping = False

    def start(self) -> None:
        """Nothing to do until somebody wants a model."""

    def stop(self) -> None:
        """Break off what is being loaded, and wait for the threads: others may then begin."""
        with self._lock:
            self._is_stopping = True
            flights = list(self._flights.values())
        for each in flights:
            each.deadline.cut()
        for each in flights:
            each.done.wait()

    def hot(self, endpoint: Endpoint, deadline: Deadline) -> Endpoint:
        """Have the model loaded there, and wait until it is, at most 60 s and as long as ``deadline`` says.

        Raises EndpointNotFound, ProviderUnavailable, ProviderInvalidResponse, and what Vault may raise.
        """
        flight = self._join(endpoint)
        while not flight.done.wait(min(_LOOK_SECONDS, deadline.remaining())):
            if deadline.remaining() <= 0:
                raise _still_loading(endpoint)
        if flight.error is not None:
            # Each of those who wait raises it.
            raise flight.error.with_traceback(None)
        assert flight.endpoint is not None
        return flight.endpoint

    def cold(self, endpoint: Endpoint) -> Endpoint:
        """Have the memory back, after what is being loaded. Raises what ``hot`` does, and InvalidRequest."""
        deadline, busy_id = Deadline(self._load_seconds), uuid4()
        for known in self._known(endpoint.endpoint_id, deadline):
            if known.busy:
                continue
            if known.state is EndpointState.COLD:
                return known
            place, keeper = self.place(known)
            if keeper is None:
                raise InvalidRequest(
                    Violation(
                        "endpoint_id", "nobody loads its model: its provider has no pool_url and is no Ollama"
                    )
                )
            begun = self._begin(known, busy_id, EndpointState.COLD)
            if begun is not None:
                return self.unload(begun, busy_id, place, keeper, deadline)
        raise _still_loading(endpoint)

    def unload(
        self, begun: Endpoint, busy_id: UUID, place: Place, keeper: Keeper, deadline: Deadline
    ) -> Endpoint:
        """What ``endpoints.begin`` gave the right to. Raises as ``cold`` does."""
        try:
            keeper.unload(self.client, place, deadline)
        except (CallFailed, AddressForbidden) as failure:
            away = isinstance(failure, Unreachable)
            self.end(begun, busy_id, EndpointState.DOWN if away else EndpointState.HOT, error=_said(failure))
            raise _error(failure, begun, "unload") from None
        log.info("endpoint.unloaded", endpoint_id=begun.endpoint_id, model_id=begun.model_id)
        return self.end(begun, busy_id, EndpointState.COLD)

    def place(self, endpoint: Endpoint) -> tuple[Place, Keeper | None]:
        """What is needed to speak about the model, and with whom; None where it is always loaded.

        Raises EndpointNotFound, ProviderNotFound, and what Vault may raise.
        """
        with self._database.transaction() as tx:
            model = models.get(tx, endpoint.model_id)
            if model is None:
                raise EndpointNotFound(endpoint_id=endpoint.endpoint_id)
            provider = providers.get(tx, model.provider_id)
            alone = endpoints.count(tx, endpoint.model_id) == 1
        if provider is None or provider.state is not State.ACTIVE:
            raise ProviderNotFound(provider_id=model.provider_id)
        key = None if provider.key_version is None else self._vault.read(CredentialPath(model.provider_id))
        place = Place(
            access=Access(provider=replace(provider, api_base=endpoint.url), key=key),
            external_id=model.external_id,
            model_type=model.model_type,
            ttl=endpoint.ttl,
            follows=alone,
        )
        return place, keeper_of(provider)

    def end(
        self,
        begun: Endpoint,
        busy_id: UUID,
        state: EndpointState,
        *,
        seen: Sighting | None = None,
        error: str = "",
    ) -> Endpoint:
        """Note what became of it, and tell every server. Raises DatabaseUnavailable."""
        known: dict[str, Any] = {"load_error": error}
        if seen is not None:
            known |= {"memory_bytes": seen.memory_bytes, "placed_url": seen.base_url}
        with self._database.transaction() as tx:
            ended = endpoints.end(tx, begun.endpoint_id, busy_id, state, **known)
            if ended is not None:
                changes.announce(tx, Change(Kind.ENDPOINT, begun.model_id))
        return ended or begun

    def _join(self, endpoint: Endpoint) -> _Flight:
        endpoint_id = endpoint.endpoint_id
        with self._lock:
            if self._is_stopping:
                raise _still_loading(endpoint)
            flight = self._flights.get(endpoint_id)
            if flight is None:
                flight = _Flight(Deadline(self._load_seconds))
                name = f"load {endpoint_id}"
                try:
                    threading.Thread(
                        target=self._fly, args=(endpoint, flight), name=name, daemon=True
                    ).start()
                except RuntimeError as error:
                    log.warning("endpoint.not_loaded", endpoint_id=endpoint_id, detail=str(error))
                    raise _cannot_load(endpoint) from error
                # Only now: it would be waited for, and nobody would end it. The thread waits for the lock.
                self._flights[endpoint_id] = flight
        return flight

    def _fly(self, endpoint: Endpoint, flight: _Flight) -> None:
        endpoint_id = endpoint.endpoint_id
        try:
            flight.endpoint = self._heat(endpoint, flight.deadline)
        except DomainError as error:
            flight.error = error
        except Exception:
            error_id = str(new_id())
            log.exception("endpoint.not_loaded", endpoint_id=endpoint_id, error_id=error_id)
            flight.error = Internal(error_id=error_id)
        finally:
            with self._lock:
                del self._flights[endpoint_id]
            flight.done.set()

    def _heat(self, endpoint: Endpoint, deadline: Deadline) -> Endpoint:
        busy_id, others = uuid4(), False
        for known in self._known(endpoint.endpoint_id, deadline):
            if known.state is EndpointState.HOT:
                return known
            if known.busy:
                others = True
            elif others and known.load_error:
                # Somebody else tried a moment ago; it would end no better.
                raise ProviderUnavailable(
                    provider_id=_provider_id(known),
                    detail=f"endpoint {known.endpoint_id}: {known.load_error}",
                )
            elif (begun := self._begin(known, busy_id, EndpointState.LOADING)) is not None:
                return self._load(begun, busy_id, deadline)
        raise _still_loading(endpoint)

    def _load(self, begun: Endpoint, busy_id: UUID, deadline: Deadline) -> Endpoint:
        started = time.monotonic()
        try:
            place, keeper = self.place(begun)
            seen = keeper.load(self.client, place, deadline) if keeper else None
        except (CallFailed, AddressForbidden) as failure:
            self._not_loaded(begun, busy_id, _said(failure))
            raise _error(failure, begun, "load") from None
        except DomainError as error:
            self._not_loaded(begun, busy_id, error.message)
            raise
        seconds = round(time.monotonic() - started, 3)
        log.info("endpoint.loaded", endpoint_id=begun.endpoint_id, model_id=begun.model_id, seconds=seconds)
        return self.end(begun, busy_id, EndpointState.HOT, seen=seen)

    def _not_loaded(self, begun: Endpoint, busy_id: UUID, said: str) -> None:
        log.warning(
            "endpoint.not_loaded", endpoint_id=begun.endpoint_id, model_id=begun.model_id, detail=said
        )
        # Should that fail too, the lease runs out.
        with suppress(DomainError):
            self.end(begun, busy_id, EndpointState.DOWN, error=said[:_MOST_SAID])

    def _begin(self, known: Endpoint, busy_id: UUID, state: EndpointState) -> Endpoint | None:
        unless = EndpointState.HOT if state is EndpointState.LOADING else EndpointState.COLD
        with self._database.transaction() as tx:
            begun = endpoints.begin(tx, known.endpoint_id, busy_id, state, unless=unless)
            if begun is not None:
                changes.announce(tx, Change(Kind.ENDPOINT, known.model_id))
        return begun

    def _known(self, endpoint_id: str, deadline: Deadline) -> Iterator[Endpoint]:
        """The endpoint as it is, again and again until the time is over. Raises EndpointNotFound."""
        while True:
            with self._database.transaction() as tx:
                known = endpoints.get(tx, endpoint_id)
            if known is None:
                raise EndpointNotFound(endpoint_id=endpoint_id)
            yield known
            if deadline.remaining() <= _ASK_SECONDS:
                return
            time.sleep(_ASK_SECONDS)


class _Flight:
    """A load under way."""

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.done = threading.Event()
        self.endpoint: Endpoint | None = None
        self.error: DomainError | None = None


def _provider_id(endpoint: Endpoint) -> str:
    return endpoint.model_id.partition("/")[0]


def _said(failure: CallFailed | AddressForbidden) -> str:
    return (failure.message if isinstance(failure, AddressForbidden) else failure.detail)[:_MOST_SAID]


def _error(failure: CallFailed | AddressForbidden, endpoint: Endpoint, what: str) -> DomainError:
    if isinstance(failure, AddressForbidden):
        return failure
    detail = f"endpoint {endpoint.endpoint_id} did not {what} the model: {failure.detail}"
    names: dict[str, Any] = {"provider_id": _provider_id(endpoint), "detail": detail}
    return (
        ProviderUnavailable(**names) if isinstance(failure, Unreachable) else ProviderInvalidResponse(**names)
    )


def _still_loading(endpoint: Endpoint) -> ProviderUnavailable:
    return ProviderUnavailable(
        provider_id=_provider_id(endpoint), detail=f"endpoint {endpoint.endpoint_id} is still being loaded"
    )


def _cannot_load(endpoint: Endpoint) -> ProviderUnavailable:
    detail = f"endpoint {endpoint.endpoint_id} is not loaded: this server has no thread left to do it"
    return ProviderUnavailable(provider_id=_provider_id(endpoint), detail=detail)
