"""A server to measure Route on, and beside it in the same process what its cost is compared with.

Prints the addresses of both. ``settle`` on standard input writes the decisions that wait for the log, and
says how many were lost and how many calls the second server answered; the end of the input ends it. The
second server is one as everybody makes it, without interceptors: ``/bench/Empty`` answers every request with
one decision that was made before, ``/bench/Route`` and ``/bench/BatchRoute`` decide and convert as the first
one does, without log, metrics and authentication. ``/bench/Pooled`` is the empty one on threads like those of
the first server.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import grpc

from benchmarks.world import Agent
from imrs_client import v1 as pb
from imrs_server.domain.principal import Principal, Role
from imrs_server.settings import Settings
from imrs_server.telemetry import logs
from imrs_server.transport.convert import route_queries, routes
from imrs_server.transport.pool import Pool
from imrs_server.transport.pools import ROUTE_THREADS
from imrs_server.use_cases.route import Router
from imrs_server.wiring import App

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.decision import RouteQuery

AGENT = Agent(0)
WHO = Principal(
    subject="bench", tenant_id=AGENT.tenant_id, roles=frozenset({Role.AGENT}), agent_id=AGENT.agent_id
)
START_SECONDS = 120

# Its length is the count: to append is one step, whatever the threads do.
_answered: list[None] = []


def main() -> None:
    """Serve until standard input ends. Settings come from the environment."""
    logs.configure(json=True, level="ERROR")
    with App(Settings()) as app:
        if not app.wait_ready(START_SECONDS):
            sys.exit("the index was not read")
        with Pool("empty", ROUTE_THREADS, None) as pool:
            bare, address = _bare(Router(app.index, lambda _: None), pool)
            print(app.address, address, flush=True)
            for _ in sys.stdin:
                app.decisions.flush()
                print(app.decisions.dropped, len(_answered), flush=True)
            bare.stop(None).wait()


def _bare(router: Router, pool: Pool) -> tuple[grpc.Server, str]:
    def route(request: RouteQuery, _context: grpc.ServicerContext) -> bytes:
        return routes.to_bytes(router.route(WHO, request))

    def batch(request: pb.BatchRouteRequest, _context: grpc.ServicerContext) -> bytes:
        asked = map(route_queries.checked, request.requests)
        return routes.to_batch([routes.to_bytes(router.route(WHO, each)) for each in asked])

    def empty(_request: pb.RouteRequest, _context: grpc.ServicerContext) -> pb.Decision:
        return ready

    def pooled(_request: pb.RouteRequest, _context: grpc.ServicerContext) -> pb.Decision:
        return ready

    pooled.experimental_thread_pool = pool  # type: ignore[attr-defined]
    ready = routes.to_proto(router.route(WHO, route_queries.query(AGENT.request(0))))
    handlers = {
        "Route": _handler(route, route_queries.read, _as_it_is),
        "BatchRoute": _handler(batch, pb.BatchRouteRequest.FromString, _as_it_is),
        "Empty": _handler(empty, pb.RouteRequest.FromString),
        "Pooled": _handler(pooled, pb.RouteRequest.FromString),
    }
    server = grpc.server(ThreadPoolExecutor(ROUTE_THREADS))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"


def _handler(
    behaviour: Callable[[Any, grpc.ServicerContext], Any],
    decode: Callable[[bytes], Any],
    encode: Callable[[Any], bytes] = methodcaller("SerializeToString"),
) -> Any:
    def serialise(answer: Any) -> bytes:
        _answered.append(None)
        return encode(answer)

    return grpc.unary_unary_rpc_method_handler(
        behaviour, request_deserializer=decode, response_serializer=serialise
    )


def _as_it_is(answer: bytes) -> bytes:
    return answer


if __name__ == "__main__":
    main()
