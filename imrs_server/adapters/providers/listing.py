"""Listing a provider's models, page by page and model by model, in bounded memory and time."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.failures import CallFailed, RateLimited, Unreachable, Unusable
from imrs_server.adapters.json_stream import storable
from imrs_server.domain.errors import (
    DomainError,
    ProviderInvalidResponse,
    ProviderRateLimited,
    ProviderUnavailable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from imrs_server.adapters.http import Call, GuardedClient
    from imrs_server.adapters.json_stream import ItemStream
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access, Dialect
    from imrs_server.domain.discovery import DiscoveredModel

MAX_MODELS = 100_000
MAX_PAGES = 1_000
MAX_BYTES = 256 << 20
_NOT_FOUND = 404


class Listing:
    """One reading of a provider's list; iterate once.

    ``discovered`` counts all items of the answers so far, ``invalid`` those that were skipped: no usable id,
    the same id twice, nested too deeply. The deadline also runs while the caller works between two models.
    Raises ProviderUnavailable, ProviderRateLimited, ProviderInvalidResponse or AddressForbidden, possibly
    after many models: a caller keeps nothing of a list that did not end well.
    """

    def __init__(
        self, client: GuardedClient, dialect: Dialect, access: Access, *, deadline_seconds: float = 60.0
    ) -> None:
        self._client = client
        self._dialect = dialect
        self._access = access
        self._deadline_seconds = deadline_seconds
        self.discovered = 0
        self.invalid = 0

    def __iter__(self) -> Iterator[DiscoveredModel]:
        deadline = self._client.deadline(self._deadline_seconds)
        seen: set[str] = set()
        try:
            for item in self._dialect.entries(self._access, self._items(deadline)):
                self.discovered += 1
                model = self._model(item, deadline, seen)
                if model is None:
                    self.invalid += 1
                else:
                    yield model
        except CallFailed as failure:
            raise as_domain_error(failure, self._access.provider.provider_id) from None

    def _items(self, deadline: Deadline) -> Iterator[Any]:
        """The items of all pages."""
        called: set[str] = set()
        count = 0
        call: Call | None = self._dialect.first(self._access)
        while call is not None:
            if call.url in called or len(called) >= MAX_PAGES:
                raise Unusable("its pages go in a circle or never end")
            called.add(call.url)
            last: Any = None
            with page(self._client, self._dialect, call, deadline) as stream:
                for last in stream:
                    count += 1
                    if count > MAX_MODELS:
                        raise Unusable(f"it lists more than {MAX_MODELS} models")
                    yield last
            call = self._dialect.following(self._access, stream.envelope, last)

    def _model(self, item: Any, deadline: Deadline, seen: set[str]) -> DiscoveredModel | None:
        if not isinstance(item, dict):
            return None
        details = self._details(item, deadline)
        if details is None:
            return None
        model = self._dialect.parse(self._access, item, details)
        if model is None or model.external_id in seen:
            return None
        try:
            metadata = storable({**item, "details": details} if details else item)
        except ValueError:
            return None
        seen.add(model.external_id)
        return replace(model, metadata=metadata)

    def _details(self, item: Mapping[str, Any], deadline: Deadline) -> Mapping[str, Any] | None:
        """What the list leaves out; None for a model that went away after it was listed."""
        call = self._dialect.details(self._access, item)
        if call is None:
            return {}
        try:
            answer = self._client.get_json(call, deadline)
        except Unusable as failure:
            if failure.status == _NOT_FOUND:
                return None
            raise
        if not isinstance(answer, dict):
            raise Unusable("what it tells about a model is no JSON object")
        require_no_error(answer)
        return answer


@contextmanager
def page(client: GuardedClient, dialect: Dialect, call: Call, deadline: Deadline) -> Iterator[ItemStream]:
    """One page, to be read to its end. Raises AddressForbidden, and CallFailed also where no list is."""
    with client.items(call, deadline, dialect.keys, MAX_BYTES) as stream:
        yield stream
    require_no_error(stream.envelope)
    if not stream.found:
        raise Unusable("it holds no list of models")


def as_domain_error(failure: CallFailed, provider_id: str) -> DomainError:
    """The reason of the contract for a failed call to a provider."""
    status = {} if failure.status is None else {"status": failure.status}
    detail = failure.detail if failure.status is None else f"{failure.detail} (HTTP {failure.status})"
    wait = failure.retry_after_seconds
    if isinstance(failure, RateLimited):
        return ProviderRateLimited(provider_id=provider_id, retry_after_seconds=wait, **status)
    if isinstance(failure, Unreachable):
        return ProviderUnavailable(provider_id=provider_id, detail=detail, retry_after_seconds=wait, **status)
    return ProviderInvalidResponse(provider_id=provider_id, detail=detail, **status)


def require_no_error(envelope: Mapping[str, Any]) -> None:
    """Errors may come with status 200; their text, which may hold the key, is dropped. Raises CallFailed."""
    error = envelope.get("error")
    if not error:
        return
    code = error.get("code") if isinstance(error, dict) else None
    if code == 429:
        raise RateLimited("too many calls")
    if isinstance(code, int) and 500 <= code < 600:
        raise Unreachable("it has a failure of its own", status=code)
    if code in (401, 403):
        raise Unusable("it refuses the key", status=code)
    raise Unusable("it answers with an error in place of a list")
