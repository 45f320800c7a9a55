"""Many who watch at once, and who come and go."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from imrs_server.domain.vault_view import VaultView
from tests.support.watching import (
    DELTA,
    QUICK,
    Serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client.snapshot import Snapshot
    from imrs_server.index.warm import Index
    from tests.support.world import World


def test_many_streams_take_no_threads_of_their_own(serve: Callable[..., Serving], world: World) -> None:
    serving = serve()
    before = threading.active_count()
    # The client's own consumer threads are not started: nothing iterates.
    streams = [serving.watch() for _ in range(200)]
    for each in streams:
        each.next()
    assert serving.hub.streams == 200
    assert threading.active_count() - before < 40
    revision = world.update_model("low", priority=90)
    assert {each.until(revision)[-1].kind for each in streams} == {DELTA}


def change(world: World, random: Random) -> int:
    """Something."""
    name, value = random.choice(["low", "mid", "high"]), random.random()
    match random.randrange(6):
        case 0:
            return world.rate(name, value, task_type=random.choice(["code", "chat"]))
        case 1:
            return world.update_model(name, priority=int(100 * value))
        case 2:
            return world.update_agent_model(name, enabled=value < 0.7)
        case 3:
            return world.update_agent(default_model_id=f"p/{name}")
        case 4:
            return world.update_agent("b", display_name=name)
        case _:
            return world.prefer("*", name)


def test_whoever_comes_and_goes_ends_with_what_a_newcomer_is_told(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    """Watchers of two servers, who leave at random and go on at either, through changes of every kind.

    Who goes on at the same one need not say what his revision was.
    """
    servers = [serve(replace(QUICK, evidence_seconds=0.02, memory_seconds=0.1)) for _ in range(2)]
    settled, last = threading.Event(), [0]

    def watch(seed: int) -> Snapshot:
        random = Random(seed)
        known: Snapshot | None = None
        server = servers[0]
        while known is None or not settled.is_set() or known.revision < last[0]:
            before, server = server, random.choice(servers)
            named = known is not None and (server is not before or random.random() < 0.5)
            stream = server.watch(
                from_revision=known.revision if known else 0,
                from_fingerprint=known.fingerprint if known and named else b"",
            )
            stream.snapshot = known
            for _ in range(random.randint(1, 8)):
                known = stream.next() and stream.snapshot
                if settled.is_set() and known is not None and known.revision >= last[0]:
                    break
            stream.call.cancel()
        return known

    with ThreadPoolExecutor(12) as watchers:
        found = [watchers.submit(watch, seed) for seed in range(12)]
        random = Random(99)
        for _ in range(120):
            change(world, random)
            index.see(VaultView(answers=random.random() < 0.8))
        last[0] = world.update_model("low", priority=1)
        settled.set()
        newcomer = servers[0].watch()
        newcomer.until(last[0])
        whole = newcomer.snapshot
        assert whole is not None
        for each in found:
            snapshot = each.result(60)
            assert snapshot.fingerprint == whole.fingerprint
            assert (snapshot.agent, snapshot.models, snapshot.tables) == (
                whole.agent, whole.models, whole.tables
            )  # fmt: skip
