"""Who watches again goes on where it was, or has the whole anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_client.snapshot import Snapshot, apply
from imrs_server.domain.vault_view import VaultView
from imrs_server.storage.changes import Change, Kind
from tests.support.schema import HERE
from tests.support.watching import (
    DELTA,
    FULL,
    HEARTBEAT,
    Serving,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.index.warm import Index
    from tests.support.world import World


class TestResume:
    def test_from_what_is_there_nothing_is_sent_again(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        serving = serve()
        stream = serving.watch()
        stream.next()
        stream.until(world.update_agent("b", display_name="B"))
        assert stream.snapshot is not None
        revision = stream.snapshot.revision
        for fingerprint in (stream.snapshot.fingerprint, b""):
            again = serving.watch(from_revision=revision, from_fingerprint=fingerprint)
            again.snapshot = stream.snapshot
            told = again.next()
            assert (told.kind, told.base_revision) == (HEARTBEAT, revision)

    def test_from_an_earlier_revision_the_difference_is_sent(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        serving = serve()
        stream = serving.watch()
        first = stream.next()
        stream.until(world.update_agent("b", display_name="B"))
        between = stream.snapshot
        stream.until(world.update_model("low", priority=90))
        stream.until(world.update_model("mid", priority=95))
        for snapshot in (apply(None, [first]), between):
            assert snapshot is not None
            fingerprint = snapshot.fingerprint if snapshot is not between else b""
            again = serving.watch(from_revision=snapshot.revision, from_fingerprint=fingerprint)
            again.snapshot = snapshot
            told = again.next()
            assert (told.kind, told.base_revision) == (DELTA, snapshot.revision)
            assert {each.model.model_id for each in told.models} == {"p/low", "p/mid"}
            assert again.best == "mid"

    def test_at_another_server_equal_content_is_not_sent_again(self, serve: Callable[..., Serving]) -> None:
        first = serve().watch().next()
        other = serve()
        again = other.watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        again.snapshot = apply(None, [first])
        assert again.next().kind == HEARTBEAT

    def test_what_is_not_known_is_answered_with_the_whole(
        self, serve: Callable[..., Serving], world: World, index: Index
    ) -> None:
        first = serve().watch().next()
        other = serve()
        assert other.watch(from_revision=first.revision - 1).next().kind == FULL
        wrong = other.watch(from_revision=first.revision, from_fingerprint=b"x" * 16)
        assert wrong.next().kind == FULL
        assert index.wait_for(world.update_model("low", priority=90), 20)
        late = serve().watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        assert late.next().kind == FULL

    def test_from_a_revision_that_is_to_come_it_is_waited_for(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        """A client may come from a server that is ahead by a moment."""
        serving = serve()
        first = serving.watch().next()
        again = serving.watch(from_revision=first.revision + 1, from_fingerprint=first.fingerprint)
        again.snapshot = replace_revision(first, first.revision + 1)
        revision = world.update_agent("b", display_name="B")
        assert revision == first.revision + 1
        told = again.next()
        assert (told.kind, told.base_revision, told.revision) == (HEARTBEAT, revision, revision)

    def test_where_vault_changed_a_revision_alone_does_not_tell_what_somebody_has(
        self, serve: Callable[..., Serving], index: Index
    ) -> None:
        serving = serve()
        stream = serving.watch()
        first = stream.next()
        index.see(VaultView(answers=False))
        assert stream.next().revision == first.revision
        assert serving.watch(from_revision=first.revision).next().kind == FULL
        told = serving.watch(from_revision=first.revision, from_fingerprint=first.fingerprint)
        told.snapshot = apply(None, [first])
        assert told.next().kind == DELTA

    def test_after_a_restored_database_a_change_is_told_with_the_whole(
        self, serve: Callable[..., Serving], world: World
    ) -> None:
        stream = serve().watch()
        first = stream.next()
        restored = """
            with restored as (update index_revision set epoch = gen_random_uuid())
            update models set priority = 90 where model_id = 'p/low'
        """
        revision = world.change(restored, Change(Kind.AGENT, "b", HERE))
        told = stream.next()
        assert (told.kind, told.revision) == (FULL, revision)
        assert told.fingerprint != first.fingerprint


def replace_revision(message: pb.AgentSnapshot, revision: int) -> Snapshot:
    other = pb.AgentSnapshot()
    other.CopyFrom(message)
    other.revision = revision
    return apply(None, [other])
