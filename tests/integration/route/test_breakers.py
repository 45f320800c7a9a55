"""Breakers of several servers on one database: written once, kept through outages, moved on by one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from imrs_server.domain.breaker import Cause, Phase, Subject, SubjectKind
from imrs_server.domain.chat import ChatFailure, FailureKind
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.index.refresher import Refresher
from imrs_server.index.warm import Index
from imrs_server.jobs.breakers import BreakerReports, BreakerSteps
from imrs_server.storage import breakers as rows
from imrs_server.storage.database import Database
from imrs_server.use_cases.breakers import Breakers
from tests.support import patience
from tests.support.state import state
from tests.support.tcp_relay import TcpRelay
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.index.state import State

MODEL = SelectedModel(model_id="p/m", provider_id="p")
OF_MODEL = Subject(SubjectKind.MODEL, "p/m")
LIMITED = ChatFailure(FailureKind.RATE_LIMITED, "too many calls", retry_after_seconds=30.0)
FAILING = ChatFailure(FailureKind.OVERLOADED, "it is overloaded")
SERVERS = 6


class Server:
    """What a server has of breakers; its calls are told by hand, and so is when it writes."""

    def __init__(self, dsn: str, stack: ExitStack) -> None:
        self.database = stack.enter_context(patience.database(dsn, app_connections=2, system_connections=1))
        self.index = Index()
        refresher = Refresher(dsn, self.index)
        refresher.start()
        stack.callback(refresher.stop)
        self.breakers = Breakers(self.database, self.index)
        self.steps = BreakerSteps(self.database, self.index)
        assert self.index.wait_for(1, 20)

    def fails(self, failure: ChatFailure, times: int = 1) -> None:
        for _ in range(times):
            self.breakers.failed(self.breakers.begin(MODEL, own_key=False), failure)

    def cause(self) -> Cause | None:
        rest = self.breakers.resting(OF_MODEL)
        return rest and rest.cause


@pytest.fixture
def servers(database: str) -> Iterator[list[Server]]:
    with ExitStack() as stack:
        yield [Server(database, stack) for _ in range(SERVERS)]


def asked(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchall() if found.description else []


def revision(dsn: str) -> int:
    ((found,),) = asked(dsn, "select rev from index_revision")
    return int(found)


def test_what_all_servers_report_at_once_is_written_once(servers: list[Server], database: str) -> None:
    before = revision(database)
    for each in servers:
        # Not of a wait that was told: it would be prolonged by who is held up for a second before he writes.
        each.fails(FAILING, times=20)
        assert each.cause() is Cause.OVERLOADED
    with ThreadPoolExecutor(SERVERS) as pool:
        written = list(pool.map(lambda each: each.breakers.write(), servers))
    assert sum(written) == 1
    assert revision(database) == before + 1
    assert asked(database, "select openings from breakers") == [(1,)]
    assert [each.breakers.write() for each in servers] == [0] * SERVERS


def test_thousands_of_failed_calls_are_one_report(servers: list[Server]) -> None:
    one, other, *_ = servers
    heard: list[None] = []
    one.breakers.listen(lambda: heard.append(None))
    one.fails(FAILING, times=5000)
    assert len(heard) == 1
    assert one.breakers.write() == 1
    eventually(lambda: other.cause() is Cause.OVERLOADED)


def test_reports_wait_while_the_database_is_away(database: str) -> None:
    """The server that saw it does not wait."""
    target = conninfo_to_dict(database)
    with ExitStack() as stack, TcpRelay((str(target["host"]), int(str(target["port"])))) as relay:
        way = make_conninfo(database, host="127.0.0.1", port=relay.port)
        away = Database(way, app_connections=1, system_connections=1)
        away.open()
        stack.callback(away.close)
        breakers = Breakers(away, Index())
        breakers.failed(breakers.begin(MODEL, own_key=False), LIMITED)
        with pytest.raises(DatabaseUnavailable):
            breakers.write()
        rest = breakers.resting(OF_MODEL)
        assert rest is not None
        assert rest.cause is Cause.RATE_LIMITED
        assert 10 < rest.seconds <= 30
        reports = BreakerReports(breakers)
        reports.start()
        stack.callback(reports.stop)
        relay.open()
        eventually(lambda: asked(database, "select cause from breakers") == [("rate_limited",)])


class Overtaken(Index):
    """The state that follows takes the place of the one in use as soon as somebody has looked at that."""

    def __init__(self) -> None:
        self._states: list[State | None] = [None]
        super().__init__()

    @property
    def current(self) -> State | None:
        return self._states.pop(0) if len(self._states) > 1 else self._states[0]

    @current.setter
    def current(self, state: State | None) -> None:
        self._states = [state]

    def turns(self, *states: State) -> None:
        self._states = list(states)


def test_what_a_server_saw_itself_counts_until_the_very_state_that_is_looked_at_knows_of_it(
    database: str,
) -> None:
    with patience.database(database, app_connections=1, system_connections=1) as opened:
        index = Overtaken()
        breakers = Breakers(opened, index)
        breakers.failed(breakers.begin(MODEL, own_key=False), LIMITED)
        assert breakers.write() == 1
    known = revision(database)
    index.turns(state(revision=known - 1), state(revision=known))
    rest = breakers.resting(OF_MODEL)
    assert rest is not None
    assert rest.cause is Cause.RATE_LIMITED


def test_a_server_that_reaches_nobody_keeps_it_to_itself(servers: list[Server], database: str) -> None:
    """Or all would leave providers alone that only one of them cannot reach."""
    one, other, *_ = servers
    elsewhere = SelectedModel(model_id="q/m", provider_id="q")
    away = ChatFailure(FailureKind.NETWORK, "no connection")
    for _ in range(3):
        for model in (MODEL, elsewhere):
            one.breakers.failed(one.breakers.begin(model, own_key=False), away)
    assert one.breakers.write() == 0
    for provider_id in "pq":
        assert one.breakers.resting(Subject(SubjectKind.PROVIDER, provider_id)) is not None
        assert other.breakers.resting(Subject(SubjectKind.PROVIDER, provider_id)) is None
    assert asked(database, "select * from breakers") == []


def test_a_server_that_stops_writes_what_it_knows(servers: list[Server], database: str) -> None:
    one, *_ = servers
    reports = BreakerReports(one.breakers)
    reports.start()
    one.fails(LIMITED)
    reports.stop()
    assert asked(database, "select subject_id from breakers") == [("p/m",)]


def test_one_server_moves_them_on_and_step_by_step(servers: list[Server], database: str) -> None:
    one, *_ = servers
    one.fails(LIMITED)
    one.breakers.write()
    shares = []
    for _ in range(4):
        # Long steps, so that the next one is not due for a server that comes late.
        asked(database, "update breakers set due_time = now(), step_seconds = 60")
        before = revision(database)
        with ThreadPoolExecutor(SERVERS) as pool:
            moved = list(pool.map(lambda each: each.steps.turn(), servers))
        assert sum(map(len, moved)) == 1
        assert revision(database) == before + 1
        shares += asked(database, "select share from breakers")
    assert shares == [(0.1,), (0.25,), (0.5,), (1.0,)]
    asked(database, "update breakers set due_time = now()")
    one.steps.turn()
    assert asked(database, "select * from breakers") == []


def test_a_leader_that_dies_in_the_middle_leaves_it_to_the_next(servers: list[Server], database: str) -> None:
    one, other, *_ = servers
    one.fails(LIMITED)
    one.breakers.write()
    asked(database, "update breakers set due_time = now()")
    dying = psycopg.connect(database)
    dying.execute("select pg_advisory_xact_lock(hashtextextended('imrs.breakers', 11))")
    dying.execute("update breakers set share = 0.9, phase = 'WATCHED'")
    assert other.steps.turn() == []
    asked(database, f"select pg_terminate_backend({dying.info.backend_pid})")
    dying.close()
    eventually(lambda: len(other.steps.turn()) == 1)
    assert asked(database, "select phase, share from breakers") == [(Phase.RETURNING, 0.1)]


def test_the_job_sleeps_until_the_next_is_due_and_is_woken_by_another_server(
    servers: list[Server], database: str
) -> None:
    one, other, *_ = servers
    other.steps.start()
    try:
        told = ChatFailure(FailureKind.RATE_LIMITED, "too many calls", retry_after_seconds=1.0)
        one.fails(told)
        one.breakers.write()
        eventually(lambda: asked(database, "select phase from breakers") == [("RETURNING",)])
    finally:
        other.steps.stop()


def test_a_call_that_began_before_it_opened_is_no_news_on_the_way_back(servers: list[Server]) -> None:
    one, other, *_ = servers
    slow = [one.breakers.begin(MODEL, own_key=False) for _ in range(10)]
    other.fails(FAILING, times=3)
    other.breakers.write()
    eventually(lambda: one.cause() is Cause.OVERLOADED)
    with other.database.transaction() as tx:
        asked(other.database.dsn, "update breakers set due_time = now()")
        assert rows.next_due_seconds(tx) == 0
    other.steps.turn()
    eventually(lambda: one.cause() is None)
    for trial in slow:
        one.breakers.failed(trial, FAILING)
    assert one.breakers.write() == 0
    one.fails(FAILING, times=2)
    assert one.breakers.write() == 1
    eventually(lambda: other.cause() is Cause.OVERLOADED)


def test_a_refused_key_that_was_replaced_meanwhile_says_nothing(servers: list[Server], database: str) -> None:
    one, *_ = servers
    trial = one.breakers.begin(MODEL, own_key=False)
    statement = """
        with added as (
            insert into providers (provider_id, provider_type, dialect, api_base)
            values ('p', 'CUSTOM', 'openai', 'https://llm.example/v1')
        ), next as (update index_revision set rev = rev + 1 returning rev)
        insert into change_log (rev, seq, kind, key) select rev, 1, 'provider', 'p' from next
    """
    asked(database, statement)
    asked(database, "notify imrs_index")
    assert one.index.wait_for(revision(database), 20)
    one.breakers.failed(trial, ChatFailure(FailureKind.AUTH, "it refuses the key", status=401))
    assert one.breakers.write() == 0


def test_an_agents_own_key_that_is_served_says_nothing_of_the_one_that_was_refused(
    servers: list[Server], database: str
) -> None:
    one, *_ = servers
    of_provider = Subject(SubjectKind.PROVIDER, "p")
    one.fails(ChatFailure(FailureKind.AUTH, "it refuses the key", status=401))
    assert one.breakers.write() == 1
    assert one.index.wait_for(revision(database), 20)

    one.breakers.succeeded(one.breakers.begin(MODEL, own_key=True))
    assert one.breakers.write() == 0
    assert one.breakers.resting(of_provider) is not None

    one.breakers.succeeded(one.breakers.begin(MODEL, own_key=False))
    assert one.breakers.write() == 1
    assert asked(database, "select phase from breakers") == [("RETURNING",)]
