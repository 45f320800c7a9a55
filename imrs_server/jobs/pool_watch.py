"""Unloads models that are idle, looks again at endpoints that are DOWN, and notices what others loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog

from imrs_server.adapters.failures import CallFailed, Unreachable
from imrs_server.adapters.model_pool import Sighting, knock
from imrs_server.adapters.network import Deadline
from imrs_server.domain.endpoint import EndpointState
from imrs_server.domain.errors import DatabaseUnavailable, DomainError
from imrs_server.jobs.loop import Loop
from imrs_server.storage import changes, endpoints, exclusive
from imrs_server.storage.changes import Change, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from imrs_server.adapters.model_pool import Keeper, Place
    from imrs_server.domain.endpoint import Endpoint
    from imrs_server.storage.database import Database
    from imrs_server.storage.endpoints import Task
    from imrs_server.use_cases.loading import Loading

log = structlog.get_logger()

PERIOD_SECONDS = 1.0
# Without any endpoint there is nothing to be late for.
EMPTY_SECONDS = 5.0
LOOK_SECONDS = 10.0
FOLD_SECONDS = 600.0
# Until every server knows that nobody is to be sent there any more, and has told of those that were.
_SETTLE_SECONDS = 2.0
# One that does not answer must not hold up the others for long.
_ANSWER_SECONDS = 3.0
_UNLOAD_SECONDS = 30.0


class PoolWatch:
    """A thread that unloads what is idle, looks again at what is DOWN, and notices what others loaded.

    Of all servers one has a turn, under an advisory lock, and only where there is something to do.
    """

    def __init__(self, database: Database, loading: Loading) -> None:
        self._database = database
        self._loading = loading
        self._looked = self._folded = -FOLD_SECONDS
        self._loop = Loop("pool", self._next, retry_seconds=EMPTY_SECONDS)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread after what it is at, and wait for it."""
        self._loop.stop()

    def _next(self) -> float:
        tasks = self._tasks()
        if not tasks:
            return EMPTY_SECONDS
        now = time.monotonic()
        looks = now - self._looked >= LOOK_SECONDS
        if looks or any(each.idle or each.due for each in tasks):
            with exclusive.held(self._database, "imrs.job.pool") as alone:
                if alone:
                    self.turn(all_of_them=looks)
            if looks:
                self._looked = now
        return PERIOD_SECONDS

    def turn(self, *, all_of_them: bool = True) -> None:
        """Do what there is to do; ``all_of_them`` are looked at, or only those that are due.

        Raises DatabaseUnavailable.
        """
        tasks = self._tasks()
        self._unload(each.endpoint for each in tasks if each.idle)
        for each in tasks:
            if self._loop.stopping:
                return
            is_wanted = each.due or (all_of_them and each.endpoint.state is not EndpointState.DOWN)
            if is_wanted and not each.endpoint.busy and not each.idle:
                self._look(each.endpoint)
        if time.monotonic() - self._folded >= FOLD_SECONDS:
            self._folded = time.monotonic()
            with self._database.transaction() as tx:
                endpoints.fold_calls(tx)

    def _tasks(self) -> list[Task]:
        with self._database.transaction() as tx:
            return endpoints.tasks(tx)

    def _unload(self, idle: Iterable[Endpoint]) -> None:
        """First nobody is sent there any more; when all know that, and nobody is there, it goes."""
        begun = []
        for each in idle:
            busy_id = uuid4()
            with self._database.transaction() as tx:
                claimed = endpoints.begin_idle(tx, each.endpoint_id, busy_id)
                if claimed is not None:
                    changes.announce(tx, Change(Kind.ENDPOINT, each.model_id))
                    begun.append((claimed, busy_id))
        if begun:
            self._loop.pause(_SETTLE_SECONDS)
        for endpoint, busy_id in begun:
            try:
                self._unload_one(endpoint, busy_id)
            except DatabaseUnavailable:
                raise
            except DomainError as error:
                log.warning("endpoint.not_unloaded", endpoint_id=endpoint.endpoint_id, detail=error.message)

    def _unload_one(self, begun: Endpoint, busy_id: UUID) -> None:
        with self._database.transaction() as tx:
            is_used = endpoints.calls(tx, begun.endpoint_id) > 0
        if is_used or self._loop.stopping:
            self._loading.end(begun, busy_id, EndpointState.HOT, seen=_as_it_was(begun))
            return
        place, keeper = self._loading.place(begun)
        if keeper is None:
            self._loading.end(begun, busy_id, EndpointState.HOT)
        else:
            self._loading.unload(begun, busy_id, place, keeper, Deadline(_UNLOAD_SECONDS))

    def _look(self, endpoint: Endpoint) -> None:
        """Note what is true there, if it is another thing than what is known."""
        is_there = False
        try:
            place, keeper = self._loading.place(endpoint)
            # A manager that is away says nothing of the models that it started.
            is_there = keeper is None or keeper.is_there
            seen = self._seen(endpoint, place, keeper)
        except DatabaseUnavailable:
            raise
        except CallFailed as failure:
            self._failed(endpoint, failure.detail, is_down=is_there and isinstance(failure, Unreachable))
        except DomainError as error:
            self._failed(endpoint, error.message, is_down=False)
        else:
            self._note(endpoint, seen)

    def _seen(self, endpoint: Endpoint, place: Place, keeper: Keeper | None) -> Sighting:
        client, deadline = self._loading.client, Deadline(_ANSWER_SECONDS)
        if keeper is not None:
            return keeper.look(client, place, deadline)
        if endpoint.state is not EndpointState.HOT:
            knock(client, place.access, deadline)
        return Sighting(state=EndpointState.HOT)

    def _failed(self, endpoint: Endpoint, detail: str, *, is_down: bool) -> None:
        if endpoint.state is EndpointState.DOWN:
            with self._database.transaction() as tx:
                endpoints.postpone(tx, endpoint.endpoint_id, detail)
        elif is_down:
            log.warning("endpoint.down", endpoint_id=endpoint.endpoint_id, detail=detail)
            self._see(endpoint, Sighting(state=EndpointState.DOWN), load_error=detail)
        else:
            log.debug("endpoint.not_seen", endpoint_id=endpoint.endpoint_id, detail=detail)

    def _note(self, endpoint: Endpoint, seen: Sighting) -> None:
        if seen == _as_it_was(endpoint):
            return
        log.info(
            "endpoint.seen",
            endpoint_id=endpoint.endpoint_id,
            state=seen.state.value,
            before=endpoint.state.value,
        )
        # Why it could not be loaded is of interest until it is.
        is_hot = seen.state is EndpointState.HOT
        self._see(endpoint, seen, load_error="" if is_hot else endpoint.load_error)

    def _see(self, endpoint: Endpoint, seen: Sighting, *, load_error: str) -> None:
        with self._database.transaction() as tx:
            noted = endpoints.see(
                tx,
                endpoint,
                seen.state,
                memory_bytes=seen.memory_bytes,
                load_error=load_error,
                placed_url=seen.base_url,
            )
            if noted is not None:
                changes.announce(tx, Change(Kind.ENDPOINT, endpoint.model_id))


def _as_it_was(endpoint: Endpoint) -> Sighting:
    return Sighting(state=endpoint.state, memory_bytes=endpoint.memory_bytes)
