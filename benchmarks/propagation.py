"""From a change to the first decision by it on every worker, seen by callers on many connections.

The system spreads connections over workers by chance, so that a dozen of them reach each of two workers but
once in two thousand runs.
"""

from __future__ import annotations

import random
import statistics
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from benchmarks import world
from benchmarks.rows import Row, percentile
from benchmarks.served import served
from benchmarks.world import Agent
from imrs_client import ImrsClient
from imrs_client.v1 import (
    Decision,
    ListAgentModelsRequest,
    Provider,
    RouteRequest,
    RouteServiceStub,
    SetModelOverrideRequest,
    StringList,
    UpdateProviderRequest,
)
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKERS = 2
CONNECTIONS = 12
CHANGES = 300
SWITCHES = 7
LONGEST_PAUSE_SECONDS = 0.02
PAUSE_SECONDS = 0.002
TIMEOUT_SECONDS = 30
AGENT = Agent(1)
# Of the fifth of the catalogue that p0 has.
LARGE_PROVIDER = "p0"


def measure() -> list[Row]:
    """Milliseconds from sending the change."""
    with served(WORKERS) as address, _watchers(address) as watchers:
        admin = ImrsClient(address, token=world.token(Role.TENANT_ADMIN, AGENT.tenant_id))
        platform = ImrsClient(address, token=world.token(Role.PLATFORM_ADMIN))
        with admin, platform:
            pins = _pins(admin, watchers)
            switches = [_switched(platform, watchers, number) for number in range(2 * SWITCHES)]
    beside = f"a model pinned to an agent, {WORKERS} workers"
    return [
        Row(name="propagation_p99_ms", value=percentile(pins, 99), unit="ms", beside=beside),
        Row(name="propagation_p50_ms", value=statistics.median(pins), unit="ms", beside=beside),
        Row(
            name="provider_off_ms",
            value=statistics.median(switches[::2]),
            unit="ms",
            beside=f"a provider of 10,000 models, {WORKERS} workers",
        ),
    ]


class _Watchers:
    """The same request over and over on connections of their own."""

    def __init__(self, stubs: list[RouteServiceStub]) -> None:
        self._stubs = stubs
        self._metadata = (("authorization", f"Bearer {AGENT.token}"),)

    def wait(self, request: RouteRequest, seen: Callable[[Any], bool]) -> None:
        """Until every connection was answered as it must be."""
        waiting = self._stubs
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while waiting:
            # Callers that ask without pause would be the load that they wait for.
            time.sleep(PAUSE_SECONDS)
            assert time.monotonic() < deadline, "the change did not arrive"
            calls = [(each, each.Route.future(request, metadata=self._metadata)) for each in waiting]
            waiting = [stub for stub, call in calls if not seen(_result(call))]


def _result(call: Any) -> Decision | str:
    """The answer, or the reason for which there is none."""
    try:
        decision: Decision = call.result()
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.FAILED_PRECONDITION:
            raise
        return "no model"
    return decision


@contextmanager
def _watchers(address: str) -> Iterator[_Watchers]:
    options = (("grpc.use_local_subchannel_pool", 1),)
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(address, options)) for _ in range(CONNECTIONS)]
        yield _Watchers([RouteServiceStub(each) for each in channels])


def _pins(admin: ImrsClient, watchers: _Watchers) -> list[float]:
    models = admin.admin.ListAgentModels(ListAgentModelsRequest(agent_id=AGENT.agent_id)).models
    draw = random.Random(7)
    taken = []
    for number in range(CHANGES):
        model_id = models[number % 2].model_id
        start = time.perf_counter()
        admin.admin.SetModelOverride(SetModelOverrideRequest(agent_id=AGENT.agent_id, model_id=model_id))
        watchers.wait(RouteRequest(), partial(_selects, model_id))
        taken.append((time.perf_counter() - start) * 1000)
        time.sleep(draw.uniform(0, LONGEST_PAUSE_SECONDS))
    return taken


def _switched(platform: ImrsClient, watchers: _Watchers, number: int) -> float:
    """Off with even numbers, on with odd ones."""
    off = number % 2 == 0
    request = RouteRequest(allowed_models=StringList(values=[f"{LARGE_PROVIDER}/*"]))
    provider = Provider(provider_id=LARGE_PROVIDER, state=Provider.DISABLED if off else Provider.ACTIVE)
    start = time.perf_counter()
    platform.admin.UpdateProvider(
        UpdateProviderRequest(provider=provider, update_mask=FieldMask(paths=["state"]))
    )
    watchers.wait(request, lambda answer: isinstance(answer, str) == off)
    return (time.perf_counter() - start) * 1000


def _selects(model_id: str, answer: Decision | str) -> bool:
    return isinstance(answer, Decision) and answer.selected.model_id == model_id
