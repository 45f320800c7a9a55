"""The same kind of server with a handler that does nothing: what gRPC itself costs on this machine."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from imrs_client.v1 import Decision, RouteRequest
from imrs_server.transport.pools import ROUTE_THREADS

ROUTE = "/imrs.v1.RouteService/Route"


def main() -> None:
    """Print the port, then serve until standard input ends."""
    answer = Decision(decision_id="01930000-0000-7000-8000-000000000001")
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: answer,
        request_deserializer=RouteRequest.FromString,
        response_serializer=Decision.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(ROUTE_THREADS))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("imrs.v1.RouteService", {"Route": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
