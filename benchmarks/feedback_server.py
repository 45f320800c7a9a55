"""A server to measure feedback on: ``python -m benchmarks.feedback_server MOST``, so many votes a commit.

With MOST 0 a vote is answered by a handler that does nothing: what gRPC itself costs on this machine.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc

from imrs_client.v1 import Feedback, SubmitFeedbackRequest
from imrs_server.settings import Settings
from imrs_server.telemetry import logs
from imrs_server.transport.pools import FEEDBACK_THREADS
from imrs_server.wiring import App


def main() -> None:
    """Print the address, then serve until standard input ends. Settings come from the environment."""
    most = int(sys.argv[1])
    if not most:
        _serve_nothing()
        return
    logs.configure(json=True, level="WARNING")
    with App(Settings(), most_votes_at_once=most) as app:
        app.wait_ready(30)
        print(app.address, flush=True)
        sys.stdin.read()


def _serve_nothing() -> None:
    answer = Feedback(feedback_id="01930000-0000-7000-8000-000000000001")
    handler = grpc.unary_unary_rpc_method_handler(
        lambda _request, _context: answer,
        request_deserializer=SubmitFeedbackRequest.FromString,
        response_serializer=Feedback.SerializeToString,
    )
    server = grpc.server(ThreadPoolExecutor(FEEDBACK_THREADS))
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("imrs.v1.FeedbackService", {"SubmitFeedback": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"127.0.0.1:{port}", flush=True)
    sys.stdin.read()
    server.stop(None).wait()


if __name__ == "__main__":
    main()
