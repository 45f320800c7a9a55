"""Asking those who keep models, in JSON: what they answer, and why they refuse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from imrs_server.adapters import json_stream
from imrs_server.adapters.failures import CallFailed, RateLimited, Unusable
from imrs_server.adapters.http import Call
from imrs_server.adapters.providers.dialect import Access, bearer, first_of, option_headers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline

ANSWER_BYTES = 4 << 20
_SAID_CHARACTERS = 300
_MOST_BYTES = 1 << 62


def ask(
    client: GuardedClient, access: Access, url: str, body: dict[str, Any] | None, deadline: Deadline
) -> Any:
    """The document of an answer. Raises CallFailed with what the answer says of a failure."""
    call = Call(
        url=url,
        headers={**option_headers(access), **bearer(access)},
        body=None if body is None else json.dumps(body).encode(),
    )
    with client.exchange(call, deadline, ANSWER_BYTES) as answer:
        if 200 <= answer.status < 300:
            return json_stream.document(answer.body)
        raise _refusal(answer.status, b"".join(answer.body), access)


def _refusal(status: int, body: bytes, access: Access) -> CallFailed:
    try:
        said = why(json_stream.parse(body))
    except Unusable:
        said = ""
    if access.key is not None:
        said = said.replace(access.key.reveal(), "***")
    detail = f"status {status}: {said}" if said else f"status {status}"
    if status == 429:
        return RateLimited(detail, status=status, again=True)
    return Unusable(detail, status=status)


def why(told: Any) -> str:
    """What an answer gives as the reason, on one line."""
    said = first_of(told, "error", "load_error", "last_error", "detail") if isinstance(told, dict) else None
    if isinstance(said, dict):
        said = said.get("message")
    if not isinstance(said, str):
        return ""
    return " ".join("".join(c if c.isprintable() else " " for c in said).split())[:_SAID_CHARACTERS]


def listed(told: Any, *members: str) -> Iterator[dict[str, Any]]:
    """The models of a list, bare or in one of these members. Raises Unusable where there is none."""
    items = told if isinstance(told, list) else None
    if isinstance(told, dict):
        items = first_of(told, *members)
    if not isinstance(items, list):
        raise Unusable("the answer has no list of models")
    return (each for each in items if isinstance(each, dict))


def count(value: object) -> int | None:
    """A number above 0; None for what is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return int(value) if 0 < value < _MOST_BYTES else None
