"""Does this provider answer, and does it take this key? One page tells, and a second call where it cannot."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from imrs_server.adapters.failures import CallFailed, RateLimited, Unusable
from imrs_server.adapters.providers.listing import page, require_no_error
from imrs_server.domain.errors import AddressForbidden
from imrs_server.domain.provider_check import ProviderCheck

if TYPE_CHECKING:
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access, Dialect

REFUSED = (401, 403)


def probe(client: GuardedClient, dialect: Dialect, access: Access, *, seconds: float) -> ProviderCheck:
    """Call the provider once, or twice where its list is public. Whatever it does is an answer.

    Raises RateLimited where ``client`` may not call it now.
    """
    started = time.monotonic()
    deadline = client.deadline(seconds)
    try:
        count = _first_page(client, dialect, access, deadline)
    except AddressForbidden as refusal:
        return ProviderCheck(
            reachable=False, authorized=False, latency_ms=_since(started), detail=refusal.message
        )
    except CallFailed as failure:
        if isinstance(failure, RateLimited) and failure.status is None:
            raise
        answered = failure.status is not None or isinstance(failure, Unusable)
        return ProviderCheck(
            reachable=answered, authorized=False, latency_ms=_since(started), detail=_told(failure)
        )
    latency_ms = _since(started)
    authorized, remark = _key(client, dialect, access, deadline)
    return ProviderCheck(
        reachable=True,
        authorized=authorized,
        model_count=count,
        latency_ms=latency_ms,
        detail=f"{count} models in the first page{remark}",
    )


def _first_page(client: GuardedClient, dialect: Dialect, access: Access, deadline: Deadline) -> int:
    count = 0
    with page(client, dialect, dialect.first(access), deadline) as stream:
        for item in dialect.entries(access, stream):
            if isinstance(item, dict) and dialect.parse(access, item, {}) is not None:
                count += 1
    return count


def _key(client: GuardedClient, dialect: Dialect, access: Access, deadline: Deadline) -> tuple[bool, str]:
    """Whether the key is good, and a remark."""
    call = dialect.key_check(access) if access.key is not None else None
    if call is None:
        return True, ""
    try:
        answer = client.get_json(call, deadline)
        require_no_error(answer if isinstance(answer, dict) else {})
    except CallFailed as failure:
        if failure.status in REFUSED:
            return False, ", which it shows to everybody; it refuses the key"
        return True, ", which it shows to everybody; whether the key is good it does not tell"
    return True, ""


def _told(failure: CallFailed) -> str:
    return failure.detail if failure.status is None else f"{failure.detail} (HTTP {failure.status})"


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
