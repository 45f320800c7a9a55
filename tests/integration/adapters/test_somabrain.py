"""What goes to SomaBrain, and what each of its answers means."""

from __future__ import annotations

import json
import time
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import pytest

from imrs_client.ids import new_id
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.somabrain import Away, BatchFailed, BatchRefused, NotTaken, Rejection, SomaBrain
from imrs_server.domain.errors import AddressForbidden
from tests.support import patience
from tests.support import provider as act
from tests.support.clock import Clock
from tests.support.somabrain import PATH, TOKEN, FakeSomaBrain
from tests.support.tcp_relay import nobody

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
TENANT = new_id()
MEMORIES: dict[str, dict[str, Any]] = {
    "k1": {"value": {"rating": 1.0}, "tags": ["rating"], "importance": 1.0},
    "k2": {"value": {}},
}


@pytest.fixture
def sink() -> Iterator[FakeSomaBrain]:
    with FakeSomaBrain() as started:
        yield started


def connected(url: str, token: str = TOKEN, clock: Clock | None = None) -> SomaBrain:
    client = GuardedClient(LOOPBACK, timing=patience.TIMING, clock=clock or time.monotonic)
    return SomaBrain(client, url, token=lambda: token, namespace="ratings", seconds=60)


def test_one_request_carries_a_batch_of_one_tenant(sink: FakeSomaBrain) -> None:
    assert connected(sink.url + "/").remember(TENANT, MEMORIES) == {}
    (request,) = sink.requests
    assert (request.method, request.path) == ("POST", PATH)
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert json.loads(request.body) == {
        "tenant": str(TENANT),
        "namespace": "ratings",
        "items": [{"key": key, **memory} for key, memory in MEMORIES.items()],
    }


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
@pytest.mark.parametrize("body", [b"", b"thank you", b'{"ok": true}'])
def test_any_good_status_means_taken(sink: FakeSomaBrain, status: int, body: bytes) -> None:
    sink.script(act.answer(b"" if status == 204 else body, status=status))
    assert connected(sink.url).remember(TENANT, MEMORIES) == {}


@pytest.mark.parametrize("behaviour", [act.cut_body, act.gzip_bomb, act.endless_garbage])
def test_a_bad_receipt_does_not_take_back_what_was_taken(sink: FakeSomaBrain, behaviour: Behaviour) -> None:
    sink.script(behaviour)
    assert connected(sink.url).remember(TENANT, MEMORIES) == {}


def test_a_part_may_be_rejected(sink: FakeSomaBrain) -> None:
    sink.script(act.answer(b'{"results": [{"key": "k1"}, {"key": "k2", "status": 422}]}', status=207))
    found = connected(sink.url).remember(TENANT, MEMORIES)
    assert found == {"k2": Rejection("it refuses this memory (status 422)")}


@pytest.mark.parametrize(
    ("status", "meaning"),
    [(status, BatchRefused) for status in (400, 413, 422)]
    + [(status, BatchFailed) for status in (408, 500, 502, 504)]
    + [(status, Away) for status in (301, 401, 403, 404, 405, 429, 503)],
)
def test_each_status_has_one_meaning(sink: FakeSomaBrain, status: int, meaning: type[NotTaken]) -> None:
    sink.status = status
    with pytest.raises(NotTaken) as caught:
        connected(sink.url).remember(TENANT, MEMORIES)
    assert type(caught.value) is meaning
    assert len(sink.requests) == 1
    assert TOKEN not in repr(caught.value)


@pytest.mark.parametrize("status", [429, 503])
def test_it_says_how_long_to_wait(sink: FakeSomaBrain, status: int) -> None:
    sink.script(act.fail(status, retry_after="7"))
    with pytest.raises(Away) as caught:
        connected(sink.url).remember(TENANT, MEMORIES)
    assert caught.value.retry_after_seconds == 7.0


@pytest.mark.parametrize("behaviour", [act.hang, act.drip_headers, lambda _: None])
def test_no_answer_may_have_to_do_with_the_batch(sink: FakeSomaBrain, behaviour: Behaviour) -> None:
    clock = Clock()
    sink.script(act.after(lambda: clock.pass_by(60), behaviour))
    with pytest.raises(BatchFailed):
        connected(sink.url, clock=clock).remember(TENANT, MEMORIES)


def test_who_does_not_listen_is_away() -> None:
    with nobody() as address, pytest.raises(Away):
        connected(f"http://{address}").remember(TENANT, MEMORIES)


def test_a_token_that_cannot_be_sent_or_read_is_no_fault_of_the_batch(sink: FakeSomaBrain) -> None:
    def unreadable() -> str:
        raise FileNotFoundError("/run/token")

    client = GuardedClient(LOOPBACK)
    with pytest.raises(Away, match="its token cannot be read"):
        SomaBrain(client, sink.url, token=unreadable, namespace="n").remember(TENANT, MEMORIES)
    with pytest.raises(Away, match="characters that HTTP forbids"):
        connected(sink.url, token="a\r\nb: c").remember(TENANT, MEMORIES)
    assert sink.requests == []


def test_only_an_allowed_address_may_be_configured() -> None:
    with pytest.raises(AddressForbidden):
        SomaBrain(GuardedClient(), "http://10.1.2.3:9696", token=lambda: "t", namespace="n")
