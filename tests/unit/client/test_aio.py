from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import grpc
import pytest

import imrs_client
from imrs_client import AsyncImrsClient, v1
from tests.support import patience
from tests.unit.client.conftest import status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.unit.client.conftest import Service

TIMEOUTS_SECONDS = patience.TIMEOUTS_SECONDS | {"Route": 50, "RecordMessage": 40}


def run(service: Service, test: Callable[[AsyncImrsClient], Awaitable[None]], tenant_id: str = "") -> None:
    async def fetch_token() -> str:
        return "secret"

    async def main() -> None:
        async with AsyncImrsClient(
            service.address, token=fetch_token, tenant_id=tenant_id, timeouts_seconds=TIMEOUTS_SECONDS
        ) as client:
            await client.wait_until_ready(20)
            await test(client)

    asyncio.run(main())


def test_choosing_recording_and_rating(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        decision = await client.choose(agent_id="a")
        assert (decision.agent_id, decision.tenant_id) == ("a", "t1")
        message = await client.record(decision_id="d1", latency_ms=3)
        assert message.latency_ms == 3
        service.revision = 9
        feedback = await client.rate("d1", signal=v1.Feedback.THUMBS_UP)
        assert feedback.signal == v1.Feedback.THUMBS_UP
        assert client.last_revision == 9

    start = time.monotonic()
    run(service, test, tenant_id="t1")
    assert {metadata["authorization"] for _, metadata in service.seen} == {"Bearer secret"}
    assert service.seen[1][0].request_id
    # The deadline travels rounded, and part of it has passed on arrival.
    late_seconds = time.monotonic() - start + 0.5
    for expected, told in zip((50, 40, patience.SECONDS), service.deadlines_seconds, strict=True):
        assert expected - late_seconds < told < 1.01 * expected + 0.5


def test_failures_are_typed_in_calls_and_streams(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        service.failures.append(status(grpc.StatusCode.FAILED_PRECONDITION, "NO_ELIGIBLE_MODEL", BUDGET="2"))
        with pytest.raises(imrs_client.FailedPrecondition) as caught:
            await client.choose(agent_id="a")
        assert caught.value.metadata == {"BUDGET": "2"}
        events = aiter(client.route.Complete(v1.CompleteRequest()))
        assert (await anext(events)).delta.content == "half"
        with pytest.raises(imrs_client.Unavailable):
            await anext(events)

    run(service, test)


def test_what_may_be_repeated_is_and_what_acts_twice_is_not(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        failure = status(grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        service.failures.extend([failure, failure])
        await client.choose()
        assert len(service.seen) == 3
        service.failures.append(failure)
        with pytest.raises(imrs_client.Unavailable):
            await client.admin.CreateAgent(v1.CreateAgentRequest())
        assert len(service.seen) == 4

    run(service, test)


def test_streams_take_both_kinds_of_iterables_and_single_writes(service: Service) -> None:
    requests = [v1.RouteRequest(agent_id="a"), v1.RouteRequest(agent_id="b")]

    async def asked() -> AsyncIterator[v1.RouteRequest]:
        for each in requests:
            yield each

    async def test(client: AsyncImrsClient) -> None:
        for given in (asked(), iter(requests)):
            answers = [(d.agent_id, d.tenant_id) async for d in client.route.StreamRoutes(given)]
            assert answers == [("a", "t1"), ("b", "t1")]
        stream = client.route.StreamRoutes()
        await stream.write(requests[1])
        first = await stream.read()
        assert isinstance(first, v1.Decision)
        assert (first.agent_id, first.tenant_id) == ("b", "t1")
        await stream.done_writing()

    run(service, test, tenant_id="t1")


def test_calls_run_side_by_side_and_streams_tell_their_revision(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        asked = [v1.RouteRequest(agent_id=f"a{number}") for number in range(20)]
        answers = await asyncio.gather(*(client.route.Route(each) for each in asked))
        assert [answer.agent_id for answer in answers] == [each.agent_id for each in asked]
        service.revision = 5
        stages = [step.stage async for step in client.admin.SyncProvider(v1.SyncProviderRequest())]
        assert stages == v1.SyncProgress.Stage.values()
        assert client.last_revision == 5

    run(service, test)


def test_a_token_that_cannot_be_had_fails_the_call(service: Service) -> None:
    def fetch_token() -> str:
        raise LookupError("no token")

    async def main() -> None:
        async with AsyncImrsClient(service.address, token=fetch_token) as client:
            with pytest.raises(LookupError, match="no token"):
                await client.choose(agent_id="a")

    asyncio.run(main())
    assert service.seen == []


def test_pages_are_read_when_needed(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        models = client.paginate(client.catalog.ListModels, v1.ListModelsRequest(page_size=3))
        found = [(await anext(models)).model_id]
        assert len(service.seen) == 1
        found += [model.model_id async for model in models]
        assert found == [f"p/{number}" for number in range(7)]
        assert len(service.seen) == 3

    run(service, test)


def test_a_cancelled_task_is_cancelled_not_failed(service: Service) -> None:
    async def test(client: AsyncImrsClient) -> None:
        task = asyncio.create_task(client.choose(agent_id="slow"))
        assert await asyncio.to_thread(service.arrived.wait, 20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        service.release.set()

    run(service, test)


def test_no_connection_in_time() -> None:
    async def main() -> None:
        async with AsyncImrsClient("127.0.0.1:1", token="t") as client:
            with pytest.raises(TimeoutError):
                await client.wait_until_ready(0.1)

    asyncio.run(main())
