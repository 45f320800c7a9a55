"""The guarded client against servers that misbehave: bounded in time and memory, and clear about why."""

from __future__ import annotations

import time
import tracemalloc
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from typing import TYPE_CHECKING

import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.failures import CallFailed, RateLimited, Unreachable, Unusable
from imrs_server.adapters.http import Call, GuardedClient, Timing
from imrs_server.domain.errors import AddressForbidden, InvalidRequest
from tests.support import patience
from tests.support import provider as act
from tests.support.provider import FakeProvider
from tests.support.tcp_relay import nobody
from tests.support.threads import no_more_threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.network import Deadline
    from tests.support.provider import Behaviour

LOOPBACK = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
SENTINEL = "sk-sentinel-0123456789"
PATIENT = Timing(connect_seconds=patience.SECONDS, read_seconds=patience.SECONDS)


class Pauses(list[float]):
    """Stands for time.sleep: remembers how long the client wanted to wait."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@pytest.fixture
def pauses() -> Pauses:
    return Pauses()


@pytest.fixture
def client(pauses: Pauses) -> GuardedClient:
    return GuardedClient(LOOPBACK, timing=PATIENT, sleep=pauses, jitter=lambda: 1.0)


@pytest.fixture
def provider() -> Iterator[FakeProvider]:
    with FakeProvider(body=b'{"data": []}') as started:
        yield started


def get(client: GuardedClient, url: str, seconds: float = 60.0, deadline: Deadline | None = None) -> object:
    call = Call(url=url, headers={"authorization": f"Bearer {SENTINEL}"})
    return client.get_json(call, deadline or client.deadline(seconds))


@contextmanager
def fails(kind: type[CallFailed], words: str) -> Iterator[None]:
    """The failure is of the kind, in our words, and repeats neither the key nor the address."""
    with pytest.raises(kind, match=words) as caught:
        yield
    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert SENTINEL not in told
    assert "127.0.0.1" not in told


def test_the_client_sends_nothing_but_what_it_must(client: GuardedClient, provider: FakeProvider) -> None:
    provider.script(act.answer(b'{"data": []}', headers={"set-cookie": "session=1; path=/"}))
    get(client, provider.url)
    assert get(client, provider.url) == {"data": []}

    for request in provider.requests:
        assert set(request.headers) == {
            "host",
            "connection",
            "accept",
            "accept-encoding",
            "user-agent",
            "authorization",
        }
        assert request.headers["accept-encoding"] == "identity"


def test_a_body_makes_it_a_post_of_json(client: GuardedClient, provider: FakeProvider) -> None:
    client.get_json(Call(url=provider.url + "/api/show", body=b'{"model": "m"}'), client.deadline(60))

    (request,) = provider.requests
    assert (request.method, request.path, request.body) == ("POST", "/api/show", b'{"model": "m"}')
    assert request.headers["content-type"] == "application/json"


HOSTILE: dict[str, tuple[Behaviour, type[CallFailed], str]] = {
    "hang": (act.hang, Unreachable, "no answer in time"),
    "drip_body": (act.drip_body, Unreachable, "no answer in time"),
    "drip_headers": (act.drip_headers, Unreachable, "no answer in time"),
    "header_flood": (act.flood_headers, Unusable, "rules of HTTP"),
    "gzip_bomb": (act.gzip_bomb, Unusable, "compressed"),
    "cut": (act.cut_body, Unusable, "cut off"),
    "endless_garbage": (act.endless_garbage, Unusable, "1 MiB"),
    "html": (act.answer(b"<!doctype html><h1>Sign in</h1>", kind="text/html"), Unusable, "HTML"),
    "garbage": (act.answer(b"\x00\x01\x02 garbage"), Unusable, "not JSON"),
    "empty": (act.answer(b""), Unusable, "not JSON"),
    "deep_json": (act.answer(b"[" * 200_000), Unusable, "nested"),
    "nan": (act.answer(b'{"a": NaN}'), Unusable, "not finite"),
    "huge_integer": (act.answer(b'{"a": ' + b"1" * 5000 + b"}"), Unusable, "far too long"),
    "not_http": (lambda handler: handler.raw(b"SSH-2.0-OpenSSH_9.9\r\n"), Unusable, "rules of HTTP"),
    "redirect": (act.fail(301, location="https://elsewhere.example/"), Unusable, "redirects"),
    "400": (act.fail(400), Unusable, "understands"),
    "google_400": (
        act.answer(b'{"error": {"details": [{"reason": "API_KEY_INVALID"}]}}', status=400),
        Unusable,
        "refuses the key",
    ),
    "401": (act.fail(401), Unusable, "refuses the key"),
    "403": (act.fail(403), Unusable, "refuses the key"),
    "404": (act.fail(404), Unusable, "understands"),
    "408": (act.fail(408), Unreachable, "failure of its own"),
    "500": (act.fail(500), Unreachable, "failure of its own"),
    "529": (act.fail(529), Unreachable, "failure of its own"),
}
# These say nothing, or nothing that ends: only the clock stops them.
SLOW = (act.hang, act.drip_body, act.drip_headers)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_answers_end_soon_with_a_reason_and_are_not_asked_for_again(
    client: GuardedClient, provider: FakeProvider, name: str
) -> None:
    behaviour, kind, words = HOSTILE[name]
    deadline = client.deadline(60)
    heard_at = 0.0

    def note() -> None:
        nonlocal heard_at
        heard_at = time.monotonic()
        if behaviour in SLOW:
            deadline.move(1.0)

    provider.script(act.after(note, behaviour))

    with fails(kind, words):
        get(client, provider.url, deadline=deadline)

    assert time.monotonic() - heard_at < 20  # who hangs does so for 30 s
    assert len(provider.requests) == 1


@pytest.mark.parametrize(
    "behaviour", [act.endless_garbage, act.gzip_bomb, act.endless_items, act.flood_headers]
)
def test_memory_stays_bounded(client: GuardedClient, provider: FakeProvider, behaviour: Behaviour) -> None:
    provider.script(behaviour)
    tracemalloc.start()
    try:
        with (
            pytest.raises(Unusable),
            client.items(Call(url=provider.url), client.deadline(60), ("data",), 16 << 20) as items,
        ):
            for _ in items:
                pass
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_a_redirect_to_a_metadata_address_is_not_followed(
    client: GuardedClient, provider: FakeProvider
) -> None:
    provider.script(act.fail(302, location="http://169.254.169.254/latest/meta-data"))

    with fails(Unusable, "redirects"):
        get(client, provider.url)

    with FakeProvider(body=b"{}") as target:
        provider.script(act.fail(307, location=target.url))
        with fails(Unusable, "redirects"):
            get(client, provider.url)
        assert target.requests == []


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_passing_failure_is_tried_three_times_with_jitter(
    client: GuardedClient, provider: FakeProvider, pauses: Pauses, status: int
) -> None:
    provider.script(*[act.fail(status)] * 3)

    with fails(RateLimited if status == 429 else Unreachable, "too many|of its own"):
        get(client, provider.url)

    assert len(provider.requests) == 3
    assert pauses == [0.5, 1.0]


def test_a_call_that_works_in_the_end_has_worked(
    client: GuardedClient, provider: FakeProvider, pauses: Pauses
) -> None:
    provider.script(act.fail(503), act.fail(502))

    assert get(client, provider.url) == {"data": []}
    assert len(pauses) == 2


def test_retry_after_in_seconds_is_waited_for(
    client: GuardedClient, provider: FakeProvider, pauses: Pauses
) -> None:
    provider.script(act.fail(429, retry_after="3"))

    assert get(client, provider.url) == {"data": []}
    assert pauses == [3.0]


def test_retry_after_as_a_date_is_waited_for(
    client: GuardedClient, provider: FakeProvider, pauses: Pauses
) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=20)
    provider.script(act.fail(503, retry_after=format_datetime(soon, usegmt=True)))

    assert get(client, provider.url) == {"data": []}
    assert 5 < pauses[0] <= 20


@pytest.mark.parametrize("wait", ["30", "Sun, 01 Jan 2099 00:00:00 GMT"])
def test_a_wait_beyond_the_deadline_is_left_to_the_caller(
    client: GuardedClient, provider: FakeProvider, pauses: Pauses, wait: str
) -> None:
    provider.script(act.fail(429, retry_after=wait))

    with pytest.raises(RateLimited) as caught:
        get(client, provider.url, seconds=10)

    assert pauses == []
    assert caught.value.retry_after_seconds in (30, 60)


@pytest.mark.parametrize(
    "refusal",
    [
        act.answer(b'{"error": {"details": {"error_code": "enforced_spend_limit_reached"}}}', status=429),
        act.answer(b'{"error": {"code": "insufficient_quota"}}', status=429),
        act.fail(429, x_should_retry="false"),
    ],
    ids=["anthropic", "openai", "header"],
)
def test_spent_money_is_not_waited_for(
    client: GuardedClient, provider: FakeProvider, refusal: Behaviour
) -> None:
    provider.script(refusal)

    with fails(RateLimited, "too many"):
        get(client, provider.url)

    assert len(provider.requests) == 1


def test_a_refused_connection_is_tried_again(client: GuardedClient, pauses: Pauses) -> None:
    with nobody() as address, fails(Unreachable, "no connection"):
        get(client, f"http://{address}")

    assert len(pauses) == 2


def test_a_key_that_no_header_can_hold_is_told_so(client: GuardedClient, provider: FakeProvider) -> None:
    with pytest.raises(Unusable, match="characters"):
        client.get_json(Call(url=provider.url, headers={"authorization": "a\r\nb: c"}), client.deadline(2))

    assert provider.requests == []


def test_environment_proxies_are_not_used(
    client: GuardedClient, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FakeProvider(body=b'"proxy"') as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)

        assert get(client, provider.url) == {"data": []}


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "169.254.169.254",
        "127.0.0.1",
        "::1",
        "::ffff:192.168.0.1",
        "64:ff9b::a9fe:a9fe",
        "fd00:ec2::254",
        "fe80::1%eth0",
    ],
)
def test_a_name_that_leads_to_a_forbidden_address_is_refused_at_the_connect(address: str) -> None:
    client = GuardedClient(timing=PATIENT, resolver=lambda host, port: ["93.184.215.14", address])

    with pytest.raises(AddressForbidden) as caught:
        get(client, "https://models.example/v1")

    # Which address it was is the network's secret.
    assert caught.value.metadata["address"] == "models.example"
    assert "10.0" not in str(caught.value)


def test_a_name_is_resolved_once_so_that_rebinding_comes_too_late(provider: FakeProvider) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    asked: list[tuple[str, int]] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return next(answers)

    client = GuardedClient(LOOPBACK, timing=PATIENT, resolver=rebinding)

    assert get(client, f"http://models.example:{provider.port}/") == {"data": []}
    assert asked == [("models.example", provider.port)]
    assert provider.requests[0].headers["host"] == f"models.example:{provider.port}"
    with pytest.raises(AddressForbidden):
        get(client, f"http://models.example:{provider.port}/")


@pytest.mark.parametrize("found", [[], ["not an address"]])
def test_a_name_without_an_address_is_unreachable(found: list[str], pauses: Pauses) -> None:
    client = GuardedClient(resolver=lambda host, port: found, sleep=pauses)

    with fails(Unreachable, "no connection"):
        get(client, "https://models.example/v1")


def test_a_look_up_that_hangs_ends_with_the_connect_timeout(pauses: Pauses, provider: FakeProvider) -> None:
    def hangs(host: str, port: int) -> list[str]:
        provider.stopping.wait(30)
        return []

    client = GuardedClient(resolver=hangs, sleep=pauses, timing=Timing(connect_seconds=0.1))
    started = time.monotonic()

    with fails(Unreachable, "no connection"):
        get(client, "https://models.example/v1")

    assert time.monotonic() - started < 20


def test_look_ups_that_no_thread_could_be_started_for_take_no_place(
    pauses: Pauses, provider: FakeProvider
) -> None:
    client = GuardedClient(LOOPBACK, timing=PATIENT, resolver=lambda host, port: ["127.0.0.1"], sleep=pauses)
    url = f"http://models.example:{provider.port}/"
    with no_more_threads():
        for _ in range(20):
            with fails(Unreachable, "no connection"):
                get(client, url)

    assert get(client, url) == {"data": []}


def test_plain_http_to_a_public_address_is_refused_when_the_name_is_known() -> None:
    client = GuardedClient(LOOPBACK, timing=PATIENT, resolver=lambda host, port: ["93.184.215.14"])

    with pytest.raises(AddressForbidden, match="https"):
        get(client, "http://models.example/v1")


@pytest.mark.parametrize("url", ["http://[::1", "https://", "models.example/v1"])
def test_what_is_no_url_is_not_called(client: GuardedClient, url: str) -> None:
    with pytest.raises(InvalidRequest):
        get(client, url)


def test_a_client_whose_guard_is_not_asked_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AddressRules, "check_address", lambda *args, **kwargs: None)
    with pytest.raises(RuntimeError, match="guard"):
        GuardedClient()
