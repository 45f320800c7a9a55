"""SomaBrain: memories go there in batches, each under a key that replaces what was known under it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imrs_server.adapters.failures import CallFailed, RateLimited
from imrs_server.adapters.http import Call
from imrs_server.domain.errors import AddressForbidden

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping
    from uuid import UUID

    from imrs_server.adapters.http import GuardedClient

_PATH = "/memory/remember/batch"
_SECONDS = 10.0
_REFUSALS = {400, 413, 422}
_FAILED_WORDS = {"error", "failed", "invalid", "refused", "rejected"}


class NotTaken(Exception):
    """A batch did not arrive, or nobody knows whether it did; ``detail`` says why, in our own words."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class BatchRefused(NotTaken):
    """One of its memories, or their number, is not what SomaBrain takes: sent again, it is refused again."""


class BatchFailed(NotTaken):
    """SomaBrain failed over it. That may be SomaBrain, or something in the batch."""


class Away(NotTaken):
    """No batch would do better now. ``retry_after_seconds`` is what SomaBrain asks for, if it does."""

    def __init__(self, detail: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why one memory of a batch that was taken was not; whether it may be taken later (``again``)."""

    detail: str
    again: bool = False


class SomaBrain:
    """Tells memories under a bearer token. ``client`` should try once: who calls repeats what failed."""

    def __init__(
        self,
        client: GuardedClient,
        url: str,
        *,
        token: Callable[[], str],
        namespace: str,
        seconds: float = _SECONDS,
    ) -> None:
        """Raises AddressForbidden and InvalidRequest for an address that may not be called."""
        client.rules.check_url(url, field="IMRS_SOMABRAIN_URL")
        self._client = client
        self._url = url.rstrip("/") + _PATH
        self._token = token
        self._namespace = namespace
        self._seconds = seconds

    def remember(self, tenant_id: UUID, memories: Mapping[str, Mapping[str, Any]]) -> dict[str, Rejection]:
        """Tell one tenant's memories by key: ``value``, ``tags`` and ``importance`` each.

        Returns those that were not taken while the others were. Raises BatchRefused, BatchFailed, Away.
        """
        body = {
            "tenant": str(tenant_id),
            "namespace": self._namespace,
            "items": [{"key": key, **memory} for key, memory in memories.items()],
        }
        call = Call(
            url=self._url,
            headers={"authorization": f"Bearer {self._proof()}"},
            body=json.dumps(body).encode(),
            any_success=True,
        )
        try:
            receipt = self._client.post(call, self._client.deadline(self._seconds))
        except AddressForbidden as failure:
            raise Away(failure.message) from None
        except CallFailed as failure:
            raise _not_taken(failure) from None
        return rejections(receipt, memories.keys())

    def _proof(self) -> str:
        try:
            token = self._token()
        except (OSError, ValueError):
            raise Away("its token cannot be read") from None
        if not (token.isascii() and token.isprintable()):
            raise Away("its token has characters that HTTP forbids")
        return token


def _not_taken(failure: CallFailed) -> NotTaken:
    status = failure.status
    detail = failure.detail if status is None else f"{failure.detail} (status {status})"
    if status in _REFUSALS:
        return BatchRefused(detail)
    # 503 it says of itself; other failures of its own may come from what it was sent.
    is_overloaded = isinstance(failure, RateLimited) or status == 503
    is_failure = status is None or status == 408 or status >= 500
    if is_overloaded or not is_failure or (status is None and failure.again):
        return Away(detail, failure.retry_after_seconds)
    return BatchFailed(detail)


def rejections(receipt: bytes, keys: Collection[str]) -> dict[str, Rejection]:
    """Which memories an answer with a good status says were not taken.

    It lists them under ``failed``, ``errors`` or ``rejected``, or marks them in ``results`` or ``items``.
    What is not understood is no rejection. Raises BatchFailed for ``"ok": false`` that names none.
    """
    try:
        answer = json.loads(receipt)
    except (ValueError, RecursionError):
        return {}
    if not isinstance(answer, dict):
        return {}
    found = {key: why for key, why in _told(answer) if key in keys}
    if answer.get("ok") is False and not found:
        raise BatchFailed("it says that it did not take the batch, and not why")
    return found


def _told(answer: dict[str, Any]) -> Iterator[tuple[str, Rejection]]:
    for name in ("failed", "errors", "rejected"):
        for each in _entries(answer.get(name)):
            yield _key(each), _rejection(each)
    for name in ("results", "items"):
        for each in _entries(answer.get(name)):
            if isinstance(each, dict) and _says_no(each):
                yield _key(each), _rejection(each)


def _entries(listed: Any) -> list[Any]:
    return listed if isinstance(listed, list) else []


def _key(entry: Any) -> str:
    key = entry.get("key") if isinstance(entry, dict) else entry
    return key if isinstance(key, str) else ""


def _says_no(entry: dict[str, Any]) -> bool:
    status = entry.get("status")
    return (
        any(entry.get(name) is False for name in ("ok", "success", "accepted"))
        or bool(entry.get("error"))
        or (isinstance(status, str) and status.lower() in _FAILED_WORDS)
        or (isinstance(status, int) and status >= 400)
    )


def _rejection(entry: Any) -> Rejection:
    status = entry.get("status") if isinstance(entry, dict) else None
    if not isinstance(status, int):
        return Rejection("it refuses this memory")
    return Rejection(f"it refuses this memory (status {status})", again=status == 429 or status >= 500)
