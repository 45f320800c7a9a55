"""Route beside an empty handler of the same process, and what one decision costs alone and in a batch.

The server is kept on one core and those who call it on the other, where there are two.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc

from benchmarks.cores import cores, kept, pinned
from benchmarks.load import CHECKS, Calls, cpu_seconds, generator, rate
from benchmarks.route_server import AGENT
from benchmarks.rows import Row, faster, more
from benchmarks.world import logged_decisions, world
from imrs_client.v1 import BatchRouteRequest, Decision, RouteRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

# Short ones, for the speed of a virtual machine changes from one second to the next.
ROUNDS = 60
COUNT = 2000
BATCH = 100
BATCHES = 40
VARIED = 100
ROUTE = "/imrs.v1.RouteService/Route"
BATCH_ROUTE = "/imrs.v1.RouteService/BatchRoute"


@dataclass(frozen=True, slots=True)
class Server:
    """``full`` is the address of the whole server, ``bare`` that of handlers without interceptors."""

    process: subprocess.Popen[str]
    full: str
    bare: str

    def settle(self) -> int:
        """Let what was decided reach the log; nothing may be lost. Answers how many calls were answered."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("settle", file=self.process.stdin, flush=True)
        lost, answered = map(int, self.process.stdout.readline().split())
        assert not lost, f"{lost} decisions were not logged"
        return answered + logged_decisions(world())


def measure() -> list[Row]:
    """Calls a second and CPU; in each round all take turns, and who comes first changes: it matters."""
    with _server() as server:
        rates: dict[str, list[float]] = {}
        cpu: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            turns = _in_turn(list(_variants(server).items()), number)
            for name, calls in turns:
                answered = server.settle()
                before = cpu_seconds(server.process.pid)
                rates.setdefault(name, []).append(rate(calls, cores(1)))
                server.settle()
                used = cpu_seconds(server.process.pid) - before
                cpu.setdefault(name, []).append(used / calls.count * 1e6)
                made = (calls.count + CHECKS) * (BATCH if name == "batch" else 1)
                assert server.settle() - answered == made, f"{name}: calls were not answered"
            for name, calls in turns:
                if name in {"empty", "bare", "full"}:
                    cpu.setdefault(f"varied_{name}", []).append(_varied_us(server, calls))
    beside = f"an empty handler, calls by {generator()} from another core"
    decisions = {name: [each / BATCH for each in cpu[name]] for name in ("batch_bare", "batch")}
    return [
        more("route_bare", rates["bare"], rates["empty"], "calls/s", beside),
        more("route_full", rates["full"], rates["empty"], "calls/s", f"{beside}; with auth, log, metrics"),
        more(
            "route_full_pooled",
            rates["full"],
            rates["pooled"],
            "calls/s",
            f"{beside} on threads like Route's; with auth, log, metrics",
        ),
        faster("route_bare_cpu", cpu["bare"], cpu["empty"], "us", "an empty handler"),
        faster("route_full_cpu", cpu["full"], cpu["empty"], "us", "an empty handler"),
        faster(
            "route_varied_cpu",
            cpu["varied_full"],
            cpu["varied_empty"],
            "us",
            "an empty handler; one caller, no two requests alike",
        ),
        faster("batch_cpu", decisions["batch_bare"], cpu["bare"], "us", "a call for each, no interceptors"),
        faster(
            "batch_full_cpu", decisions["batch"], cpu["full"], "us", "a call for each; auth, log, metrics"
        ),
        Row(
            name="batch_decisions",
            value=BATCH * statistics.median(rates["batch"]),
            unit="decisions/s",
            beside=f"batches of {BATCH}, one core, with auth, log, metrics",
        ),
    ]


def _in_turn(variants: list[tuple[str, Calls]], number: int) -> list[tuple[str, Calls]]:
    first = number % len(variants)
    return variants[first:] + variants[:first]


def _variants(server: Server) -> dict[str, Calls]:
    one = AGENT.request(1)
    many = BatchRouteRequest(requests=[AGENT.request(number) for number in range(BATCH)])
    full = Calls(
        address=server.full, method=ROUTE, request=one.SerializeToString(), token=AGENT.token, count=COUNT
    )
    bare = replace(full, address=server.bare, method="/bench/Route", token="")
    batch = replace(full, method=BATCH_ROUTE, request=many.SerializeToString(), count=BATCHES, streams=1)
    return {
        "empty": replace(bare, method="/bench/Empty"),
        "pooled": replace(bare, method="/bench/Pooled"),
        "bare": bare,
        "full": full,
        "batch_bare": replace(batch, address=server.bare, method="/bench/BatchRoute", token=""),
        "batch": batch,
    }


def _varied_us(server: Server, calls: Calls) -> float:
    """CPU of the server for each of calls through a stub of which no two are alike, with texts to read."""
    with grpc.insecure_channel(calls.address) as channel:
        route = channel.unary_unary(
            calls.method,
            request_serializer=RouteRequest.SerializeToString,
            response_deserializer=Decision.FromString,
        )
        route(AGENT.request(0), metadata=calls.metadata)
        before = cpu_seconds(server.process.pid)
        for _ in range(VARIED):
            request = RouteRequest(
                message=f"Write a function that parses line {uuid4()}", required_capabilities=["text"]
            )
            assert route(request, metadata=calls.metadata).selected.model_id
        server.settle()
        return (cpu_seconds(server.process.pid) - before) / VARIED * 1e6


@contextmanager
def _server() -> Iterator[Server]:
    command = [sys.executable, "-m", "benchmarks.route_server"]
    environment = dict(world().environment)
    with pinned(cores(0)):
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    with process:
        assert process.stdout is not None
        # What PostgreSQL does for it is on the core of those who call: it connects while it starts.
        with kept(world().pid, cores(1)):
            full, bare = process.stdout.readline().split()
        yield Server(process, full, bare)
        process.communicate()
