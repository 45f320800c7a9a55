"""WatchAgent as a caller sees it: the whole first, and then what changes."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING

from imrs_client.ranked import RemovedBy
from imrs_server.domain.vault_view import VaultView
from imrs_server.transport.watch.hub import Pace
from tests.support.schema import HERE
from tests.support.waiting import eventually
from tests.support.watching import (
    DELTA,
    FULL,
    HEARTBEAT,
    NEVER,
    QUICK,
    Serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.index.warm import Index
    from tests.support.world import World


def test_the_whole_comes_first_and_then_what_a_change_of_configuration_makes(
    serve: Callable[..., Serving], world: World
) -> None:
    stream = serve().watch()
    first = stream.next()
    assert (first.kind, first.agent.tenant_id, first.agent.agent_id) == (FULL, str(HERE), "a")
    assert {each.model.model_id for each in first.models} == {"p/low", "p/mid", "p/high"}
    assert first.create_time.seconds > 0
    assert stream.best == "high"
    revision = world.update_model("low", priority=90)
    [change] = stream.until(revision)
    assert (change.kind, change.revision, change.base_revision) == (DELTA, revision, first.revision)
    assert [each.model.model_id for each in change.models] == ["p/low"]
    assert not change.HasField("agent")
    assert stream.best == "low"
    stream.until(world.update_provider(state="DISABLED"))
    assert {each.state_removal[0] for each in stream.ranked if each.state_removal} == {RemovedBy.PROVIDER}
    stream.until(world.update_agent_model("mid", priority_override=99))
    assert stream.best == "mid"


def test_ratings_come_as_tables_alone(serve: Callable[..., Serving], world: World) -> None:
    stream = serve().watch()
    stream.next()
    *_, change = stream.until(world.rate("low", 1.0))
    assert change.kind == DELTA
    # A model that does well at one task is expected to do well at others.
    assert [each.task_type for each in change.tables] == ["*", "code"]
    assert not change.models
    assert not change.HasField("agent")
    assert stream.best == "low"


def test_ratings_wait_for_their_time_and_configuration_takes_them_along(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    serving = serve(Pace(evidence_seconds=NEVER, beat_seconds=NEVER))
    stream = serving.watch()
    first = stream.next()
    rated = world.rate("low", 1.0)
    assert index.wait_for(rated, 20)
    revision = world.update_agent(default_model_id="p/mid")
    change = stream.next()
    assert (change.kind, change.base_revision, change.revision) == (DELTA, first.revision, revision)
    assert change.HasField("agent")
    assert {each.task_type for each in change.tables} == {"*", "code"}
    assert stream.best == "low"


def test_where_there_is_no_time_for_ratings_there_is_for_configuration(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    serving = serve(replace(QUICK, evidence_share=0.0))
    stream = serving.watch()
    stream.next()
    # What was saved up is used up.
    serving.hub._leisure.spend(1.0)
    assert index.wait_for(world.rate("low", 1.0), 20)
    revision = world.update_model("mid", priority=51)
    change = stream.next()
    assert (change.revision, stream.best) == (revision, "low")


def test_ratings_make_one_difference_in_their_time(
    serve: Callable[..., Serving], world: World, index: Index
) -> None:
    stream = serve(Pace(evidence_seconds=0.4, beat_seconds=NEVER)).watch()
    stream.next()
    start, revision = monotonic(), 0
    for number in range(30):
        revision = world.rate("low", 0.5 + number / 100)
    changes = stream.until(revision)
    assert {each.kind for each in changes} == {DELTA}
    assert len(changes) <= 1 + (monotonic() - start) / 0.4


def test_what_is_not_the_agents_moves_its_revision_alone(serve: Callable[..., Serving], world: World) -> None:
    stream = serve().watch()
    first = stream.next()
    revision = world.update_agent("b", display_name="B")
    told = stream.next()
    assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, first.revision, revision)
    assert told.fingerprint == first.fingerprint
    assert stream.snapshot is not None
    assert stream.snapshot.revision == revision


def test_two_watchers_get_one_message(serve: Callable[..., Serving], world: World) -> None:
    serving = serve()
    streams = [serving.watch() for _ in range(2)]
    firsts = [each.next() for each in streams]
    # Who is still in a sender's hands may be told later, and then with a message of its own.
    eventually(lambda: not any(each.busy for each in serving.streams))
    made = serving.room.payloads_made
    revision = world.update_model("low", priority=90)
    told = [each.next() for each in streams]
    assert told[0] == told[1]
    assert told[0].revision == revision
    assert serving.room.payloads_made == made + 1
    assert firsts[0].fingerprint == firsts[1].fingerprint


def test_where_nothing_happens_there_is_a_heartbeat(serve: Callable[..., Serving]) -> None:
    stream = serve(replace(QUICK, beat_seconds=0.1)).watch()
    first = stream.next()
    for _ in range(3):
        told = stream.next()
        assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, first.revision, first.revision)
        assert not told.stale
        assert told.create_time.ToNanoseconds() > first.create_time.ToNanoseconds()


def test_a_server_that_hears_nothing_says_so(serve: Callable[..., Serving], index: Index) -> None:
    stream = serve().watch()
    assert not stream.next().stale
    index.poll_seconds = 0.0
    told = stream.next()
    assert (told.kind, told.stale) == (HEARTBEAT, True)
    index.poll_seconds = NEVER
    told = stream.next()
    assert (told.kind, told.stale) == (HEARTBEAT, False)


def test_what_is_seen_of_vault_comes_at_once(serve: Callable[..., Serving], index: Index) -> None:
    stream = serve().watch()
    first = stream.next()
    assert all(each.credentials_ok for each in stream.ranked)
    index.see(VaultView(answers=False))
    told = stream.next()
    assert (told.kind, told.base_revision, told.revision) == (DELTA, first.revision, first.revision)
    assert not any(each.credentials_ok for each in stream.ranked)
