"""Which endpoint of a model serves a call: chosen by what this process knows, loaded where none is."""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from imrs_server.domain.attempts import is_final
from imrs_server.domain.balance import Load, choose
from imrs_server.domain.breaker import Subject, SubjectKind
from imrs_server.domain.chat import FailureKind
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.errors import EndpointNotFound, ProviderUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatFailure
    from imrs_server.domain.endpoint import Endpoint
    from imrs_server.index.warm import Index
    from imrs_server.use_cases.breakers import Breakers
    from imrs_server.use_cases.loading import Loading

# A breaker that lets nothing through yet.
_LEAST_SHARE = 0.01


class Pool:
    """What one process knows of the endpoints; of other processes it knows what the index says."""

    def __init__(
        self,
        index: Index,
        loading: Loading,
        breakers: Breakers,
        *,
        clock: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._index = index
        self._loading = loading
        self._breakers = breakers
        self._clock = clock
        self._draw = draw
        self._lock = threading.Lock()
        self._loads: defaultdict[str, Load] = defaultdict(Load)
        self._used: set[str] = set()

    def visit(self, model_id: str) -> Visit | None:
        """The endpoints of a model, for one Complete; None for a model that has none."""
        return Visit(self, model_id) if self.endpoints(model_id) else None

    def endpoints(self, model_id: str) -> tuple[Endpoint, ...]:
        """Those that a call may be sent to, as far as the index knows."""
        state = self._index.current
        return state.endpoints.get(model_id, ()) if state else ()

    def rests(self, endpoint: Endpoint) -> bool:
        """Whether calls fail there, or the model could not be loaded."""
        if endpoint.state is EndpointState.DOWN:
            return True
        return self._breakers.resting(_subject(endpoint)) is not None

    def pick(self, endpoints: Sequence[Endpoint]) -> Endpoint:
        """One of them. An endpoint that comes back from trouble has its weight back in steps."""
        with self._lock:
            loads = [self._loads[each.endpoint_id] for each in endpoints]
            weights = [each.weight * self._share(each) for each in endpoints]
            return endpoints[choose(loads, weights, self._clock(), self._draw)]

    def loaded(self, endpoint: Endpoint, deadline: Deadline) -> Endpoint:
        """The endpoint with its model. Raises what ``Loading.hot`` may raise."""
        return self._loading.hot(endpoint, deadline)

    def begin(self, endpoint_id: str) -> float:
        """A call begins; when."""
        with self._lock:
            self._loads[endpoint_id].in_flight += 1
            self._used.add(endpoint_id)
        return self._clock()

    def heard(self, endpoint_id: str, begun_seconds: float) -> None:
        """The first word of its answer has come."""
        now_seconds = self._clock()
        with self._lock:
            self._loads[endpoint_id].heard(now_seconds - begun_seconds, now_seconds)

    def end(self, endpoint_id: str) -> None:
        with self._lock:
            self._loads[endpoint_id].in_flight -= 1
            self._used.add(endpoint_id)

    def take_news(self) -> dict[str, int]:
        """Calls that run now, by endpoint; of endpoints that were used since this was asked last.

        Endpoints that are gone, and of which there is no more news, are forgotten.
        """
        state = self._index.current
        there = {each.endpoint_id for every in state.endpoints.values() for each in every} if state else None
        with self._lock:
            used, self._used = self._used, set()
            news = {
                each: load.in_flight for each, load in self._loads.items() if load.in_flight or each in used
            }
            if there is not None:
                for gone in self._loads.keys() - there - news.keys():
                    del self._loads[gone]
            return news

    def _share(self, endpoint: Endpoint) -> float:
        state = self._index.current
        breaker = state.breakers.get(_subject(endpoint)) if state else None
        return 1.0 if breaker is None else max(breaker.share, _LEAST_SHARE)


class Visit:
    """The endpoints of one model in one Complete: each at most once, unless the model has another turn."""

    def __init__(self, pool: Pool, model_id: str) -> None:
        self._pool = pool
        self._model_id = model_id
        self._tried: set[str] = set()

    @property
    def goes_on(self) -> bool:
        """Whether there is another endpoint that could do better."""
        return any(not self._pool.rests(each) for each in self._left())

    def helps(self, failure: ChatFailure) -> bool:
        """Whether another endpoint of the same model might not fail alike."""
        same_everywhere = is_final(failure) or failure.cause is FailureKind.CONTEXT_TOO_LONG
        return not same_everywhere and self.goes_on

    @property
    def has_begun(self) -> bool:
        """Whether an endpoint was tried."""
        return bool(self._tried)

    def enter(self, access: Access, deadline: Deadline, *, again: bool) -> Entry:
        """The endpoint to call next, its model loaded: one that is HOT, else one that is being loaded, else
        one that is COLD. Only a model that has its turn ``again`` is sent where calls fail.

        Raises EndpointNotFound where none is left; ProviderUnavailable where all that are left fail of late;
        and what ``Loading.hot`` may raise.
        """
        if again and not self._left():
            self._tried.clear()
        endpoint = self._next(again=again)
        self._tried.add(endpoint.endpoint_id)
        if endpoint.state is not EndpointState.HOT:
            endpoint = self._pool.loaded(endpoint, deadline)
        return Stay(self._pool, endpoint, access)

    def _next(self, *, again: bool) -> Endpoint:
        left = self._left()
        usable = [each for each in left if not self._pool.rests(each)]
        if not usable:
            if not left:
                raise EndpointNotFound(endpoint_id=f"of {self._model_id}")
            if not again:
                provider_id = self._model_id.partition("/")[0]
                raise ProviderUnavailable(provider_id=provider_id, detail=f"its {_endpoints(len(left))} DOWN")
            usable = left
        soonest = min(each.readiness for each in usable)
        return self._pool.pick([each for each in usable if each.readiness == soonest])

    def _left(self) -> list[Endpoint]:
        return [each for each in self._pool.endpoints(self._model_id) if each.endpoint_id not in self._tried]


class Entry(AbstractContextManager["Entry"]):
    """Where a call goes: to the provider's own address, and no more is known of it."""

    endpoint_id: str | None = None

    def __init__(self, access: Access) -> None:
        self.access = access

    def heard(self) -> None:
        """Something of the answer has come."""

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        return None


class Stay(Entry):
    """A call that goes to an endpoint: counted from entering to leaving."""

    def __init__(self, pool: Pool, endpoint: Endpoint, access: Access) -> None:
        super().__init__(replace(access, provider=replace(access.provider, api_base=endpoint.url)))
        self._pool = pool
        self.endpoint_id: str = endpoint.endpoint_id
        self._begun_seconds: float | None = None

    def heard(self) -> None:
        if self._begun_seconds is not None:
            self._pool.heard(self.endpoint_id, self._begun_seconds)
            self._begun_seconds = None

    def __enter__(self) -> Self:
        self._begun_seconds = self._pool.begin(self.endpoint_id)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._pool.end(self.endpoint_id)


def _subject(endpoint: Endpoint) -> Subject:
    return Subject(SubjectKind.ENDPOINT, endpoint.endpoint_id)


def _endpoints(count: int) -> str:
    return "endpoint is" if count == 1 else f"{count} endpoints are"
