"""The places of the model pool, as admins see and change them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from imrs_server.adapters.model_pool import keeper_of
from imrs_server.domain.breaker import Subject, SubjectKind
from imrs_server.domain.endpoint import Endpoint, EndpointState
from imrs_server.domain.errors import EndpointNotFound, InvalidRequest, ModelNotFound, Violation
from imrs_server.domain.principal import Role
from imrs_server.domain.written import Written
from imrs_server.storage import audit, changes, endpoints, models, providers
from imrs_server.storage.changes import Change, Kind
from imrs_server.use_cases import closed_breakers

if TYPE_CHECKING:
    from imrs_server.adapters.addresses import AddressRules
    from imrs_server.adapters.network import Deadline
    from imrs_server.domain.listing import Page, PageRequest
    from imrs_server.domain.principal import Principal
    from imrs_server.storage.database import Database, Tx
    from imrs_server.use_cases.loading import Loading


class Endpoints:
    """For platform admins only."""

    def __init__(self, database: Database, loading: Loading, rules: AddressRules) -> None:
        self._database = database
        self._loading = loading
        self._rules = rules

    def put(self, who: Principal, endpoint: Endpoint) -> Written[Endpoint]:
        """Add an endpoint, or change the one of that id; without an id the one of that model and address.

        A new one is COLD until somebody has looked, or HOT where models are always loaded. Raises
        InvalidRequest, AddressForbidden, ModelNotFound.
        """
        who.require(Role.PLATFORM_ADMIN)
        check(endpoint, self._rules)
        with self._database.transaction() as tx:
            change = put(tx, endpoint)
            audit.write(tx, who, "SetEndpoint", change.target, before=change.before, after=change.after)
            closed = closed_breakers.close(tx, [change.subject])
            return Written(change.after, changes.announce(tx, *change.announced, *closed))

    def list(
        self, who: Principal, page: PageRequest, *, model_id: str, state: EndpointState | None
    ) -> Page[Endpoint]:
        """With the calls that run there, over all servers, as of a second ago."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            return endpoints.list_page(tx, page, model_id=model_id, state=state)

    def delete(self, who: Principal, endpoint_id: str) -> Written[None]:
        """Take it out of the pool; what is loaded there stays. Raises EndpointNotFound."""
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            change = delete(tx, endpoint_id)
            audit.write(tx, who, "DeleteEndpoint", change.target, before=change.before)
            closed = closed_breakers.close(tx, [change.subject])
            return Written(None, changes.announce(tx, *change.announced, *closed))

    def load(self, who: Principal, endpoint_id: str, deadline: Deadline) -> Written[Endpoint]:
        """Have its model loaded, whatever became of it before. Raises what ``Loading.hot`` may raise."""
        before = self._found(who, endpoint_id)
        self._loading.hot(before, deadline)
        return self._noted(who, "LoadEndpoint", before)

    def unload(self, who: Principal, endpoint_id: str) -> Written[Endpoint]:
        """Have its memory back, also where calls run there. Raises what ``Loading.cold`` may raise."""
        before = self._found(who, endpoint_id)
        self._loading.cold(before)
        return self._noted(who, "UnloadEndpoint", before)

    def _found(self, who: Principal, endpoint_id: str) -> Endpoint:
        who.require(Role.PLATFORM_ADMIN)
        with self._database.transaction() as tx:
            found = endpoints.get(tx, endpoint_id)
        if found is None:
            raise EndpointNotFound(endpoint_id=endpoint_id)
        return found

    def _noted(self, who: Principal, method: str, before: Endpoint) -> Written[Endpoint]:
        """It is done, and every server was told; now who wanted it."""
        with self._database.transaction() as tx:
            after = endpoints.get(tx, before.endpoint_id)
            if after is None:
                raise EndpointNotFound(endpoint_id=before.endpoint_id)
            audit.write(tx, who, method, ("endpoint", after.endpoint_id), before=before, after=after)
            closed = closed_breakers.close(tx, [_subject(after)])
            return Written(after, changes.announce(tx, *_announced(after), *closed))


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChange:
    """What a transaction did to an endpoint, and what servers must be told."""

    after: Endpoint
    before: Endpoint | None = None

    @property
    def target(self) -> tuple[str, str]:
        """What the audit log calls it."""
        return "endpoint", self.after.endpoint_id

    @property
    def subject(self) -> Subject:
        """What calls there had reported against."""
        return _subject(self.after)

    @property
    def announced(self) -> tuple[Change, ...]:
        return _announced(*(each for each in (self.before, self.after) if each is not None))


def check(endpoint: Endpoint, rules: AddressRules) -> None:
    """What can be told of its address without a look at anything. Raises InvalidRequest, AddressForbidden."""
    if "?" in endpoint.base_url:
        raise InvalidRequest(Violation("endpoint.base_url", "must have no query"))
    rules.check_url(endpoint.base_url, field="endpoint.base_url")


def put(tx: Tx, endpoint: Endpoint) -> EndpointChange:
    """Store an endpoint whose address was checked; its breaker is to be closed after all rows are written.

    Raises InvalidRequest, ModelNotFound.
    """
    endpoints.claim_model(tx, endpoint.model_id)
    same = endpoints.at(tx, endpoint.model_id, endpoint.base_url)
    if not endpoint.endpoint_id:
        endpoint = replace(endpoint, endpoint_id=same.endpoint_id if same else str(uuid4()))
    elif same is not None and same.endpoint_id != endpoint.endpoint_id:
        raise InvalidRequest(
            Violation("endpoint.base_url", f"endpoint {same.endpoint_id} serves this model there already")
        )
    endpoints.claim(tx, endpoint.endpoint_id)
    before = endpoints.lock(tx, endpoint.endpoint_id)
    after = endpoints.put(tx, replace(endpoint, state=_first_state(tx, endpoint)))
    return EndpointChange(before=before, after=after)


def delete(tx: Tx, endpoint_id: str) -> EndpointChange:
    """The same for one that goes. Raises EndpointNotFound."""
    before = endpoints.lock(tx, endpoint_id)
    if before is None:
        raise EndpointNotFound(endpoint_id=endpoint_id)
    endpoints.delete(tx, endpoint_id)
    return EndpointChange(before=before, after=before)


def _first_state(tx: Tx, endpoint: Endpoint) -> EndpointState:
    """Of a place of which nothing is known. Raises ModelNotFound."""
    model = models.get(tx, endpoint.model_id)
    if model is None or model.delete_time is not None:
        raise ModelNotFound(model_id=endpoint.model_id)
    provider = providers.get(tx, model.provider_id)
    is_kept = provider is not None and keeper_of(provider) is not None
    return EndpointState.COLD if is_kept else EndpointState.HOT


def _subject(endpoint: Endpoint) -> Subject:
    return Subject(SubjectKind.ENDPOINT, endpoint.endpoint_id)


def _announced(*touched: Endpoint) -> tuple[Change, ...]:
    models = sorted({each.model_id for each in touched})
    return tuple(Change(Kind.ENDPOINT, each) for each in models)
