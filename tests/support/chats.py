"""Chats with a provider on loopback, and what came of them."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

from imrs_server.adapters import chat
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.domain.chat import ChatFailure, ChatRequest, Delta, Ended, Piece, Thought, ToolCall
from tests.support import chat_shapes as shapes
from tests.support import patience
from tests.support.chat_shapes import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.network import Deadline
    from tests.support.provider import Behaviour, FakeProvider

CLIENT = GuardedClient(AddressRules(allowed=(ip_network("127.0.0.0/8"),)), timing=patience.TIMING)


def talk(
    upstream: FakeProvider,
    *behaviours: Behaviour,
    dialect: str = "openai",
    request: ChatRequest | None = None,
    rest_seconds: float | None = None,
) -> list[Piece | Ended]:
    """What comes; ``rest_seconds`` are left when the first piece has come."""
    upstream.script(*behaviours)
    access, deadline = shapes.access(f"{upstream.url}/v1", dialect), CLIENT.deadline(60)
    return list(
        _heard(chat.stream(CLIENT, access, request or shapes.request(), deadline), deadline, rest_seconds)
    )


def fails(
    upstream: FakeProvider,
    behaviour: Behaviour,
    *,
    dialect: str = "openai",
    request: ChatRequest | None = None,
    client: GuardedClient = CLIENT,
    deadline: Deadline | None = None,
    rest_seconds: float | None = None,
) -> tuple[ChatFailure, list[Piece | Ended]]:
    """The failure, which tells neither key nor prompt nor address, and what came before it.

    ``rest_seconds`` are left when the first piece has come.
    """
    upstream.script(behaviour)
    deadline = deadline or client.deadline(60)
    access = shapes.access(f"{upstream.url}/v1", dialect)
    request = request or shapes.request("the prompt of a sentinel")
    came: list[Piece | Ended] = []
    failure = None
    try:
        for piece in _heard(chat.stream(client, access, request, deadline), deadline, rest_seconds):
            came.append(piece)  # noqa: PERF402 (what came before the failure counts)
    except ChatFailure as raised:
        failure = raised
    assert failure is not None, came
    told = f"{failure!r} {failure} {failure.detail} {failure.__cause__!r}"
    assert KEY not in told + failure.said
    assert KEY[3:15] not in told + failure.said
    assert "sentinel" not in told
    assert "127.0.0.1" not in told
    return failure, came


def _heard(
    pieces: Iterator[Piece | Ended], deadline: Deadline, rest_seconds: float | None
) -> Iterator[Piece | Ended]:
    for number, piece in enumerate(pieces):
        if number == 0 and rest_seconds is not None:
            deadline.move(rest_seconds)
        yield piece


def text_of(came: list[Piece | Ended]) -> str:
    return "".join(each.content for each in came if isinstance(each, Delta))


def calls_of(came: list[Piece | Ended]) -> list[ToolCall]:
    return [call for each in came if isinstance(each, Delta) for call in each.tool_calls]


def end_of(came: list[Piece | Ended]) -> Ended:
    *others, last = came
    assert isinstance(last, Ended)
    assert all(isinstance(each, Delta | Thought) for each in others)
    return last
