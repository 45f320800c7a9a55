"""The HTTP process ends when it is told to, whatever its callers do."""

from __future__ import annotations

import json
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from imrs_server.cli import silence
from imrs_server.console import process
from imrs_server.console.process import Console
from imrs_server.domain.principal import Role
from tests.support.chatting import event
from tests.support.door import employ, furnish, opened
from tests.support.provider import FakeProvider
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import pytest

    from tests.support.service import Service

PIECE = event({"choices": [{"index": 0, "delta": {"content": "x" * 65_536}}]})


def speaks_on(handler: Any) -> None:
    """Until nobody listens any more."""
    handler.raw(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while True:
        handler.raw(PIECE)


def test_it_does_not_wait_for_a_caller_who_takes_nothing(
    shared_service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 30.0)
    with FakeProvider(b"") as upstream, ExitStack() as stack:
        furnish(shared_service, "floods", f"{upstream.url}/v1", "m")
        employ(shared_service, "patient", "floods/m")
        upstream.script(speaks_on)
        door = stack.enter_context(opened(shared_service))
        host, _, port = door.url.removeprefix("http://").rpartition(":")
        asked = {"model": "agent:patient", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        body = json.dumps(asked).encode()
        token = shared_service.token(Role.AGENT, agent_id="patient")
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
        with ThreadPoolExecutor(1) as pool, socket.create_connection((host, int(port))) as caller:
            caller.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            assert caller.recv(15) == b"HTTP/1.1 200 OK"
            with structlog.testing.capture_logs() as lines:
                pool.submit(stack.close).result(60)
    assert "console.killed" not in [each["event"] for each in lines]


def test_it_ends_when_it_is_told_to_and_not_by_a_signal_to_all() -> None:
    """A service manager sends SIGTERM to every process at once, while calls have time to end."""
    with Console("127.0.0.1:0", "127.0.0.1:9") as console:
        pid = console._process.pid
        assert pid is not None
        url = f"http://{console.address}/healthz"
        assert httpx.get(url, timeout=60).status_code == 200
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: is_pending(pid, signal.SIGTERM) or not console._process.is_alive())
        assert httpx.get(url, timeout=60).status_code == 200
    assert console._process.exitcode == 0


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a signal was sent that the process does not take."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [pending] = (line.split()[1] for line in lines if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) >> (number - 1) & 1)


def test_one_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "STOP_SECONDS", 0.5)
    with structlog.testing.capture_logs() as lines, Console("127.0.0.1:0", "127.0.0.1:9") as console:
        pid = console._process.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        # Of two signals that wait the system would take the other first.
        eventually(lambda: silence.state(pid).startswith("T"))
    said = [each["event"] for each in lines]
    assert [each for each in said if each.startswith("console.")] == ["console.killed"]
    assert not console._process.is_alive()
