"""The index follows the database, whatever happens to its connection."""

from __future__ import annotations

import random
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import psycopg
import pytest
from psycopg.types.json import Jsonb

from imrs_server.domain import scoring
from imrs_server.domain.cells import COMMON, RARE, SERVED, Cells
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.index import loader, rows
from imrs_server.index.refresher import EVIDENCE_PAUSE_SECONDS, Refresher
from imrs_server.index.state import Made
from imrs_server.index.tables import AgentTables
from imrs_server.index.warm import Index
from imrs_server.storage import changes, migrate
from imrs_server.storage import index as rows_of
from imrs_server.storage.changes import Change, Kind
from imrs_server.storage.index import Key
from imrs_server.storage.listener import Listener
from tests.integration.route.conftest import NEVER_SECONDS
from tests.support.schema import HERE, insert
from tests.support.threads import no_more_threads
from tests.support.waiting import eventually
from tests.support.world import MODELS, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.index.state import State
    from imrs_server.storage.database import Tx


TASKS = ("code", "law")


@contextmanager
def following(dsn: str, poll_seconds: float = 0.05, *, index: Index | None = None) -> Iterator[Index]:
    found = index or Index(poll_seconds=poll_seconds)
    refresher = Refresher(dsn, found)
    refresher.start()
    try:
        yield found
    finally:
        refresher.stop()


def current(index: Index) -> State:
    assert index.current is not None
    return index.current


def priority(index: Index, name: str) -> int:
    return current(index).models[f"p/{name}"].priority


def test_a_change_is_in_use_long_before_a_poll(world: World, index: Index) -> None:
    for turn in range(5):
        assert index.wait_for(world.update_model("low", priority=turn), NEVER_SECONDS / 3)
        assert priority(index, "low") == turn


def test_a_lost_notification_is_found_by_the_poll(world: World) -> None:
    with following(world.database.dsn, poll_seconds=0.05) as index:
        assert index.wait_for(1, 20)
        with world.silently() as tx:
            tx.execute("update models set priority = 99 where model_id = 'p/low'")
            tx.execute("insert into change_log (rev, seq, kind, key) values (2, 1, 'model', 'p/low')")
        assert index.wait_for(2, 20)
        assert priority(index, "low") == 99
        eventually(lambda: not index.stale)


def test_a_gap_in_the_log_means_everything_anew(world: World) -> None:
    with following(world.database.dsn, poll_seconds=0.05) as index:
        assert index.wait_for(1, 20)
        with world.silently() as tx:
            tx.execute("update models set priority = 99 where model_id = 'p/low'")
        assert index.wait_for(2, 20)
        assert priority(index, "low") == 99


def test_a_restored_database_means_everything_anew(world: World) -> None:
    for turn in range(3):
        world.update_model("low", priority=turn)
    with following(world.database.dsn, poll_seconds=0.05) as index:
        assert index.wait_for(4, 20)
        with psycopg.connect(world.database.dsn) as connection:
            connection.execute("update models set priority = 77 where model_id = 'p/low'")
            connection.execute("truncate change_log")
            connection.execute("update index_revision set rev = 2, epoch = gen_random_uuid()")
        eventually(lambda: current(index).revision == 2)
        assert priority(index, "low") == 77


def test_a_killed_connection_comes_back_with_what_it_missed(world: World, index: Index) -> None:
    with psycopg.connect(world.database.dsn, autocommit=True) as connection:
        its = "from pg_stat_activity where application_name = 'imrs-index' and datname = current_database()"
        for turn in range(3):
            # Those that read beside it take a moment to go.
            eventually(lambda: connection.execute(f"select count(*) {its}").fetchall() == [(1,)])
            assert connection.execute(f"select pg_terminate_backend(pid) {its}").fetchall() == [(True,)]
            assert index.wait_for(world.update_model("mid", priority=turn), 20)
            eventually(lambda: index.connected)
    assert priority(index, "mid") == 2


def test_a_database_that_is_not_there_yet_is_waited_for(empty_database: str) -> None:
    with following(empty_database, poll_seconds=0.05) as index:
        eventually(lambda: index.stale)
        assert index.current is None
        migrate.apply(empty_database)
        assert index.wait_for(1, 20)
        assert current(index).agents == {}
        eventually(lambda: not index.stale)


def test_stopping_does_not_wait_for_the_poll(world: World) -> None:
    index = Index(poll_seconds=NEVER_SECONDS)
    refresher = Refresher(world.database.dsn, index)
    refresher.start()
    assert index.wait_for(1, 20)
    started = time.monotonic()
    refresher.stop()
    assert time.monotonic() - started < NEVER_SECONDS / 3


@contextmanager
def silent_server(greeting: bytes) -> Iterator[tuple[int, threading.Event]]:
    """Takes connections, greets and says nothing more; its port, and whether somebody has come."""
    came = threading.Event()
    peers: list[socket.socket] = []

    def take() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listening.accept()
                peers.append(peer)
                if greeting:
                    peer.recv(4096)
                    peer.sendall(greeting)
                came.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take)
        thread.start()
        yield listening.getsockname()[1], came
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in peers:
            each.close()


# AuthenticationOk, ReadyForQuery.
@pytest.mark.parametrize("greeting", [b"", b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"], ids=["no word", "greeted"])
def test_stopping_does_not_wait_for_a_connect_that_hangs(greeting: bytes) -> None:
    with silent_server(greeting) as (port, came):
        # Each of them is waited for in turn: two minutes.
        hosts = ",".join(["127.0.0.1"] * 40)
        dsn = f"host={hosts} port={port} user=u dbname=d sslmode=disable gssencmode=disable"
        refresher = Refresher(dsn, Index(poll_seconds=NEVER_SECONDS))
        refresher.start()
        assert came.wait(20)
        started = time.monotonic()
        refresher.stop()
        assert time.monotonic() - started < 40


def test_what_is_interrupted_before_it_begins_does_not_begin(world: World) -> None:
    listener = Listener(world.database.dsn)
    listener.interrupt()
    with pytest.raises(DatabaseUnavailable):
        listener.open()
    listener.close()


def test_without_room_for_a_thread_there_is_no_database(world: World) -> None:
    listener = Listener(world.database.dsn)
    with no_more_threads(), pytest.raises(DatabaseUnavailable):
        listener.open()
    listener.close()


def test_what_no_thread_is_left_to_read_is_not_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connections were made; then the system has no more."""
    listener = Listener(world.database.dsn)
    listener.open()
    monkeypatch.setattr(ThreadPoolExecutor, "submit", no_room)
    with pytest.raises(DatabaseUnavailable), listener.snapshot(), listener.meanwhile(changes.current):
        pytest.fail("it began")
    listener.close()


def no_room(*_: object) -> NoReturn:
    msg = "can't start new thread"
    raise RuntimeError(msg)


def test_a_database_that_says_nothing_any_more_is_given_up(world: World) -> None:
    listener = Listener(world.database.dsn)
    listener.open()
    listener._read_seconds = 0.2
    with psycopg.connect(world.database.dsn) as connection:
        connection.execute("lock table index_revision")
        with pytest.raises(DatabaseUnavailable), listener.snapshot() as tx:
            tx.execute("select rev from index_revision")
    with pytest.raises(DatabaseUnavailable):
        listener.wait(0)
    listener.close()


def test_what_is_read_meanwhile_is_of_the_same_moment(world: World) -> None:
    listener = Listener(world.database.dsn)
    listener.open()

    def revision(tx: Tx) -> int:
        return changes.current(tx).rev

    with listener.snapshot() as tx:
        known = revision(tx)
        assert world.update_model("low", priority=1) > known
        with listener.meanwhile(revision, revision) as beside:
            assert [*beside(), revision(tx)] == [known] * 3
    assert loader.read(listener, scoring.score).revision > known
    listener.close()


def test_the_halves_of_the_evidence_are_all_of_it(world: World) -> None:
    for name in MODELS:
        world.rate(name, 0.5, task_type="code")
    with world.database.system() as tx:
        halves = [dict(rows_of.evidence(tx, owners)) for owners in rows_of.halves(tx)]
        everything = dict(rows_of.evidence(tx))
    assert len(halves) == 2
    assert everything
    assert halves[0] | halves[1] == everything
    assert not halves[0].keys() & halves[1].keys()


def test_what_cannot_be_read_meanwhile_ends_both(world: World) -> None:
    listener = Listener(world.database.dsn)
    listener.open()

    def wait_for_ever(tx: Tx) -> None:
        tx.execute("select pg_sleep(3600)")

    with pytest.raises(LookupError), listener.snapshot(), listener.meanwhile(wait_for_ever, wait_for_ever):
        raise LookupError
    with pytest.raises(DatabaseUnavailable):
        listener.wait(0)
    listener.close()


def test_the_last_good_state_stays_in_use_and_is_called_stale(world: World) -> None:
    with following(world.database.dsn, poll_seconds=0.05) as index:
        assert index.wait_for(1, 20)
        with psycopg.connect(world.database.dsn, autocommit=True) as connection:
            connection.execute("alter table index_revision rename to elsewhere")
            eventually(lambda: index.stale)
            assert set(current(index).models) == {f"p/{name}" for name in MODELS}
            connection.execute("alter table elsewhere rename to index_revision")
        eventually(lambda: not index.stale)


def test_a_model_enters_the_index_when_an_agent_may_use_it(world: World, index: Index) -> None:
    with psycopg.connect(world.database.dsn) as connection:
        insert(connection, "models", model_id="p/new", external_id="new")
    assert index.wait_for(world.change("select 1", Change(Kind.MODEL, "p/new")), 20)
    assert "p/new" not in current(index).models
    with psycopg.connect(world.database.dsn) as connection:
        insert(connection, "agent_models", agent_id="b", model_id="p/new")
    assert index.wait_for(world.change("select 1", Change(Kind.AGENT, "b", HERE)), 20)
    assert "p/new" in current(index).models


def test_a_rule_gives_its_priority_to_the_models_it_caught(world: World, index: Index) -> None:
    with psycopg.connect(world.database.dsn) as connection:
        insert(connection, "agent_rules", priority_override=5)
        connection.execute(
            "update agent_models set source = 'RULE', rule_id = (select rule_id from agent_rules)"
            " where tenant_id = %s and model_id <> 'p/low'",
            [HERE],
        )
    revision = world.update_agent_model("high", priority_override=80)
    assert index.wait_for(revision, 20)
    tables = current(index).agent(HERE, "a")
    assert tables is not None
    found = {each.external_id: each.priority for each in tables.table("").ranked.candidates}
    assert found == {"low": 40, "mid": 5, "high": 80}


def test_after_any_changes_the_state_is_what_a_fresh_load_gives(world: World, index: Index) -> None:
    """And so are the tables made from it, whichever of them were kept."""
    dice = random.Random(20)
    acts = [
        lambda: world.update_model(dice.choice(list(MODELS)), priority=dice.randrange(101)),
        lambda: world.update_model(dice.choice(list(MODELS)), available=dice.random() < 0.5),
        lambda: world.update_provider(state=dice.choice(["ACTIVE", "DISABLED"])),
        lambda: world.update_agent(dice.choice("ab"), agent_class=dice.choice(["", "coder"])),
        lambda: world.update_agent("a", state=dice.choice(["ACTIVE", "DISABLED"])),
        lambda: world.update_agent("b", state="DELETED", delete_time="now()"),
        lambda: world.update_agent("b", state="ACTIVE", delete_time=None),
        lambda: world.update_agent_model(dice.choice(list(MODELS)), enabled=dice.random() < 0.5),
        lambda: world.update_agent_model(dice.choice(list(MODELS)), priority_override=dice.randrange(101)),
        lambda: world.rate(dice.choice(list(MODELS)), dice.random(), task_type=dice.choice(TASKS)),
        lambda: world.prefer(dice.choice(["coder", "*"]), dice.choice(list(MODELS))),
        lambda: world.set_defaults(default_model_id=f"p/{dice.choice(list(MODELS))}"),
        lambda: world.set_defaults(HERE, parameters=Jsonb({"temperature": dice.random()})),
        lambda: world.place("one", dice.choice(list(MODELS)), dice.choice(["HOT", "COLD", "DOWN"])),
        lambda: world.place("two", dice.choice(list(MODELS)), dice.choice(["HOT", "LOADING", "DOWN"])),
        lambda: world.unplace(dice.choice(["one", "two"])),
        lambda: world.fail(dice.choice(["one", "two"]), dice.choice(["COOLING", "RETURNING"])),
        lambda: world.change("delete from breakers", Change(Kind.COOLDOWN)),
        lambda: world.change("select 1", Change(Kind.MODEL), Change(Kind.AGENT), Change(Kind.EVIDENCE)),
    ]
    for _ in range(120):
        revision = dice.choice(acts)()
        if dice.random() < 0.5:
            continue  # so that differences span several revisions
        assert index.wait_for(revision, 20)
        with world.database.system() as tx:
            truth = loader.whole(tx, scoring.score)
        followed = current(index)
        assert comparable(followed) == comparable(truth)
        assert tables(followed) == tables(truth)


def test_evidence_that_moves_waits_where_it_is_told_to_and_configuration_does_not(world: World) -> None:
    def after(state: State, *, learn: bool) -> State:
        with world.database.system() as tx:
            return loader.next_state(tx, state, learn=learn)

    with world.database.system() as tx:
        before = loader.whole(tx, scoring.score)
    rated = world.rate("low", 0.9)
    assert after(before, learn=False) is before
    assert after(before, learn=True).revision == rated

    configured = world.update_model("low", priority=3)
    state = after(before, learn=False)
    assert state.revision == configured
    assert state.evidence[Key(HERE, "a")].keys() == {"code"}


class SlowIndex(Index):
    """Takes longer over each state than evidence waits."""

    def confirm(self, state: State) -> None:
        super().confirm(state)
        time.sleep(2 * EVIDENCE_PAUSE_SECONDS)


def test_evidence_that_was_left_has_its_turn_however_long_the_reading_took(world: World) -> None:
    index = SlowIndex(poll_seconds=NEVER_SECONDS)
    with following(world.database.dsn, index=index):
        for turn in range(4):
            assert index.wait_for(world.rate("low", 0.1 * turn), NEVER_SECONDS / 3)


def test_what_configuration_made_of_an_agent_outlives_its_evidence(world: World) -> None:
    with world.database.system() as tx:
        before = loader.whole(tx, scoring.score)
    agent = before.agent(HERE, "a")
    assert agent is not None
    assert agent.table("code").ranked.candidates[0].rating_count == 0
    world.rate("low", 1.0)
    with world.database.system() as tx:
        state = loader.next_state(tx, before)
    found = state.agent(HERE, "a")
    assert found is not None
    assert found is not agent
    assert found.sources.offers is agent.sources.offers
    assert tables(state) == tables(replace(state, made=Made()))
    assert found.table("code").ranked.candidates[0].rating_count == 20


def test_what_a_reader_renews_while_the_next_state_is_made_is_not_lost(world: World) -> None:
    with world.database.system() as tx:
        before = loader.whole(tx, scoring.score)
    key = Key(HERE, "a")
    assert before.agent(*key)
    world.rate("low", 1.0)
    with world.database.system() as tx:
        state = loader.next_state(tx, before)
    renewed = []

    class Asked(AgentTables):
        """Of before the rating; while they are looked at, somebody asks for those of after it."""

        def names(self, model_ids: frozenset[str]) -> bool:
            renewed.append(state.agent(*key))
            return super().names(model_ids)

    state.made.outdated[key] = Asked(state.made.outdated[key].sources)
    world.change("select 1", Change(Kind.MODEL, "p/of-nobody"))
    with world.database.system() as tx:
        later = loader.next_state(tx, state)
    assert [each and each.table("code").ranked.candidates[0].rating_count for each in renewed] == [20]
    assert tables(later) == tables(replace(later, made=Made()))


def comparable(state: State) -> State:
    """The state without what was made from it; the order of an agent's models is the database's whim."""
    names = state.numbered.by_number
    agents = {
        key: replace(
            each, models=tuple(sorted(each.settings(names), key=lambda own: own.model_id)), plain=b""
        )
        for key, each in state.agents.items()
    }
    learned = {
        key: {task: _sorted(cells) for task, cells in tasks.items()} for key, tasks in state.evidence.items()
    }
    return replace(state, agents=rows.given(agents), evidence=learned, made=Made())


def _sorted(cells: Cells) -> Cells:
    """The rows of cells come in any order."""
    common, served, rare = (
        np.frombuffer(packed, kind)
        for packed, kind in ((cells.common, COMMON), (cells.served, SERVED), (cells.rare, RARE))
    )
    rising = np.argsort(common, order="model")
    return Cells(
        common[rising].tobytes(),
        served[rising].tobytes() if cells.served else b"",
        np.sort(rare, order="model").tobytes(),
    )


def tables(state: State) -> list[object]:
    found: list[object] = []
    for key in sorted(state.agents):
        made = state.agent(*key)
        assert made is not None
        for task in ("", "code", "law"):
            table = made.table(task, "coder")
            models = [table.model(i) for i in range(len(table.ranked.candidates))]
            found.append((key, task, replace(table.ranked, revision=0)))
            found.append([(each.parameters, each.endpoint) for each in models])
        found.append(made.limits)
    return found
