"""Ollama and the manager of a model pool on loopback, in their documented shapes, and places that serve."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from imrs_client import v1 as pb
from tests.support.chatting import says, streams
from tests.support.provider import FakeProvider, answer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.provider import Behaviour, Received

NEEDS_MEMORY = "model requires more system memory (5.6 GiB) than is available (2.0 GiB)"
GIB = 1 << 30
NOBODY = "http://127.0.0.1:9/v1"
OLLAMA: dict[str, Any] = {"provider_type": pb.Provider.Type.OLLAMA, "dialect": "ollama"}
# Longer than any test holds anything up.
LONGEST_SECONDS = 120.0


class Gate:
    """What comes to it goes on at once, but while it is ``closed``."""

    def __init__(self) -> None:
        self._open = threading.Event()
        self._open.set()

    def pass_through(self) -> None:
        self._open.wait(LONGEST_SECONDS)

    @contextmanager
    def closed(self) -> Iterator[None]:
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()


class Service(FakeProvider):
    """One place that serves models as OpenAI does; ``says`` tells which place answered.

    ``behaviour`` stands for every answer while it is set; ``delay_seconds`` passes before each, and all wait
    while ``answers`` is closed.
    """

    def __init__(self, says: str = "") -> None:
        super().__init__(b"")
        self.says = says
        self.behaviour: Behaviour | None = None
        self.delay_seconds = 0.0
        self.answers = Gate()
        self.most_at_once = 0
        self._at_once = 0
        self._counting = threading.Lock()

    @property
    def base_url(self) -> str:
        return f"{self.url}/v1"

    @property
    def chats(self) -> int:
        return len([each for each in self.requests if each.path.endswith("/chat/completions")])

    def next_behaviour(self, received: Received) -> Behaviour:
        if received.path.endswith("/chat/completions"):
            return self.chat(json.loads(received.body))
        if received.path.endswith("/embeddings"):
            return _embeddings(json.loads(received.body))
        return self.other(received)

    def other(self, received: Received) -> Behaviour:
        return answer(b'{"object": "list", "data": []}') if received.method == "GET" else _refuse(404, "no")

    def chat(self, request: dict[str, Any]) -> Behaviour:
        found = self.behaviour
        if found is None:
            found = streams(self.says, usage=None) if request.get("stream") else says(self.says, usage=None)
        return self._counted(found)

    def _counted(self, behaviour: Behaviour) -> Behaviour:
        def behave(handler: Any) -> None:
            with self._counting:
                self._at_once += 1
                self.most_at_once = max(self.most_at_once, self._at_once)
            try:
                self.stopping.wait(self.delay_seconds)
                self.answers.pass_through()
                behaviour(handler)
            finally:
                with self._counting:
                    self._at_once -= 1

        return behave


class FakeOllama(Service):
    """Ollama: it loads what it is asked for, also by a chat, which takes ``load_seconds``.

    ``loads`` are the orders to load, as they came, ``loaded`` what is in memory; ``error`` is what it answers
    to orders while it is set. Nothing is loaded while ``loading`` is closed.
    """

    def __init__(self, says: str = "", *, load_seconds: float = 0.0) -> None:
        super().__init__(says)
        self.load_seconds = load_seconds
        self.loading = Gate()
        self.error = ""
        self.loaded: dict[str, Any] = {}
        self.loads: list[dict[str, Any]] = []
        self.unloads: list[str] = []

    def chat(self, request: dict[str, Any]) -> Behaviour:
        self.loaded.setdefault(_tagged(request["model"]), None)
        return super().chat(request)

    def other(self, received: Received) -> Behaviour:
        match received.method, received.path:
            case "GET", "/api/ps":
                return _json({"models": [_running(name) for name in tuple(self.loaded)]})
            case "POST", "/api/generate" | "/api/embed":
                return self._order(json.loads(received.body))
            case "GET", "/api/tags":
                return _json({"models": []})
        return _refuse(404, "404 page not found")

    def _order(self, order: dict[str, Any]) -> Behaviour:
        if self.error:
            return _refuse(500, self.error)
        name = _tagged(order["model"])
        if order.get("keep_alive") == 0:
            self.unloads.append(name)
            self.loaded.pop(name, None)
            return _json({"model": order["model"], "response": "", "done": True, "done_reason": "unload"})
        self.loads.append(order)

        def load(handler: Any) -> None:
            self.stopping.wait(self.load_seconds)
            self.loading.pass_through()
            self.loaded[name] = order["keep_alive"]
            _json({"model": order["model"], "response": "", "done": True, "done_reason": "load"})(handler)

        return load


class FakeManager(FakeProvider):
    """The manager of a pool: by name the state of each model and the port where it is, or would be.

    Loading takes ``load_seconds``; with ``waits`` the order is answered after that. ``error`` is what becomes
    of orders while it is set.
    """

    def __init__(self, ports: dict[str, int], *, load_seconds: float = 0.0, waits: bool = True) -> None:
        super().__init__(b"")
        self.ports = ports
        self.states = dict.fromkeys(ports, "COLD")
        self.load_seconds = load_seconds
        self.waits = waits
        self.error = ""
        self.orders: list[str] = []
        self._ready: dict[str, float] = {}

    def next_behaviour(self, received: Received) -> Behaviour:
        if received.path == "/models":
            return _json({"models": [self._model(name) for name in self.ports], "available_ports": 47})
        _, _, name, order = received.path.split("/")
        name = unquote(name)
        self.orders.append(f"{order} {name}")
        if self.error:
            return _refuse(503, self.error, member="detail")
        if name not in self.ports:
            return _refuse(404, f"Model {name} not registered", member="detail")
        return self._load(name) if order == "load" else self._unload(name)

    def _model(self, name: str) -> dict[str, Any]:
        if self.states[name] == "WARMING" and time.monotonic() >= self._ready.get(name, 0):
            self.states[name] = "HOT"
        is_on = self.states[name] != "COLD"
        return {
            "model_id": name,
            "display_name": name.title(),
            "port": self.ports[name] if is_on else None,
            "state": self.states[name],
            "ttl_remaining_minutes": 12.0,
            "request_count": 3,
            "memory_mb": 4200 if is_on else None,
            "warmup": False,
            "endpoint": f"http://localhost:{self.ports[name]}" if is_on else None,
        }

    def _load(self, name: str) -> Behaviour:
        if self.states[name] == "COLD":
            self.states[name] = "WARMING"
            self._ready[name] = time.monotonic() + self.load_seconds

        def behave(handler: Any) -> None:
            if self.waits:
                self.stopping.wait(self.load_seconds)
                self.states[name] = "HOT"
            _json({"model_id": name, "state": self.states[name], "port": self.ports[name]})(handler)

        return behave

    def _unload(self, name: str) -> Behaviour:
        self.states[name] = "COLD"
        return _json({"model_id": name, "state": "COLD", "message": "Model unloaded successfully"})


def _embeddings(request: dict[str, Any]) -> Behaviour:
    vectors = [{"index": i, "embedding": [0.5, 0.25]} for i, _ in enumerate(request["input"])]
    return _json({"object": "list", "data": vectors, "usage": {"prompt_tokens": 2, "total_tokens": 2}})


def _running(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "model": name,
        "size": 5 * GIB,
        "digest": "2ae6f6dd7a3dd734790bbbf58b8909a606e0e7e97e94b7604e0aa7ae4490e6d8",
        "details": {"family": "llama", "parameter_size": "7.2B", "quantization_level": "Q4_0"},
        "expires_at": "2318-03-22T14:38:31.83753-07:00",
        "size_vram": 5 * GIB,
        "context_length": 4096,
    }


def _tagged(name: str) -> str:
    return name if ":" in name else f"{name}:latest"


def _json(value: Any) -> Behaviour:
    return answer(json.dumps(value).encode())


def _refuse(status: int, said: str, *, member: str = "error") -> Behaviour:
    return answer(json.dumps({member: said}).encode(), status=status)
