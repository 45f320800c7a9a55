"""A memory store on loopback that keeps what it is told, and can be as bad as a test wants it."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from tests.support.provider import FakeProvider, answer, fail

if TYPE_CHECKING:
    from tests.support.provider import Behaviour, Received

PATH = "/memory/remember/batch"
TOKEN = "sb-sentinel-0123456789abcdef"


class FakeSomaBrain(FakeProvider):
    """Keeps memories by (tenant, key), and every telling in the order in which it was taken.

    A batch with a key of ``spoilt`` is answered with its status, all with ``status`` where that is set. Of
    the next ``cut`` batches it keeps everything and hangs up without an answer.
    """

    def __init__(self) -> None:
        super().__init__(b"{}")
        self.memories: dict[tuple[str, str], dict[str, Any]] = {}
        self.tellings: list[tuple[str, Any]] = []
        self.spoilt: dict[str, int] = {}
        self.status: int | None = None
        self.cut = 0
        self._taking = threading.Lock()

    def next_behaviour(self, received: Received) -> Behaviour:
        if self._script:
            return super().next_behaviour(received)
        if received.path != PATH or received.headers.get("authorization") != f"Bearer {TOKEN}":
            return fail(401)
        told = json.loads(received.body)
        spoilt = [self.spoilt[each["key"]] for each in told["items"] if each["key"] in self.spoilt]
        if self.status is not None or spoilt:
            return fail(self.status or spoilt[0])
        with self._taking:
            for each in told["items"]:
                self.memories[told["tenant"], each["key"]] = each
                self.tellings.append((each["key"], each["value"]))
            if self.cut:
                self.cut -= 1
                return lambda _: None
        results = [{"key": each["key"], "persisted_to_ltm": True} for each in told["items"]]
        return answer(json.dumps({"ok": True, "results": results}).encode())

    def value(self, key: str) -> Any:
        """What it knows under a key, whoever told it; None where it knows nothing."""
        with self._taking:
            return next((each["value"] for (_, known), each in self.memories.items() if known == key), None)
