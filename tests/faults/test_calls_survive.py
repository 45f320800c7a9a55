"""Calls of models through outages of the database and kills of the server: each token counts, and once."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from threading import Event
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from google.protobuf.duration_pb2 import Duration
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import dict_row

from imrs_client import ResourceExhausted, Unavailable
from imrs_client import v1 as pb
from imrs_server.domain.errors import DatabaseUnavailable
from imrs_server.domain.principal import Role
from imrs_server.transport import pools
from tests.support import patience
from tests.support.chatting import refuses, says
from tests.support.child import child
from tests.support.provider import FakeProvider
from tests.support.service import Service, serving
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault

SHORT = pb.Parameters(max_output_tokens=1000)
COST_USD = Decimal("0.0019")


@pytest.fixture
def service(database: str, vault: Vault) -> Iterator[Service]:
    with serving(database, vault) as found:
        yield found


@pytest.fixture
def upstream(service: Service) -> Iterator[FakeProvider]:
    """Two models of a known price, for the agent `bot`."""
    with FakeProvider(b"") as found:
        platform, tenant = service.platform, service.tenant
        provider = pb.Provider(
            provider_id="p",
            provider_type=pb.Provider.Type.CUSTOM,
            api_base=f"{found.url}/v1",
            api_key="sk",
        )
        platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        for name in ("m", "n"):
            model = pb.Model(
                provider_id="p",
                external_id=name,
                priority=90 if name == "m" else 10,
                price_state=pb.Model.PriceState.PRICE_KNOWN,
                input_price_usd="1",
                output_price_usd="2",
                cached_input_price_usd="0.5",
            )
            platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", model_ids=["p/m", "p/n"]))
        service.settled(tenant)
        yield found


@dataclass(frozen=True, slots=True)
class Silence:
    """Tells when the provider was asked, and it says nothing until it is ``over``."""

    asked: Event = field(default_factory=Event)
    over: Event = field(default_factory=Event)

    def __call__(self, _handler: Any) -> None:
        self.asked.set()
        # Longer than anybody here waits for what it holds up.
        self.over.wait(3 * patience.SECONDS)


@pytest.fixture
def silence(upstream: FakeProvider) -> Iterator[Silence]:
    """What the next call meets."""
    found = Silence()
    upstream.script(found)
    yield found
    found.over.set()


def set_budget(service: Service, **limits: Any) -> None:
    tenant = service.tenant
    budget = pb.Budget(window=Duration(seconds=3600), **limits)
    tenant.admin.SetBudget(pb.SetBudgetRequest(budget=budget))
    service.settled(tenant)


@contextmanager
def admin(database: str) -> Iterator[psycopg.Connection]:
    """The server of a database, by another door."""
    with psycopg.connect(make_conninfo(database, dbname="postgres"), autocommit=True) as connection:
        yield connection


def shut(database: str, *, out: bool) -> None:
    """Let nobody into the database, and whoever is in it out; or open it again."""
    name = str(conninfo_to_dict(database)["dbname"])
    with admin(database) as connection:
        statement = sql.SQL("alter database {} allow_connections {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(not out)))
        leaving = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s"
        # Also who was just coming in, and until the last has gone.
        eventually(lambda: not out or not connection.execute(leaving, [name]).rowcount)


def rows(database: str, statement: str) -> list[dict[str, Any]]:
    with psycopg.connect(database, row_factory=dict_row, autocommit=True) as connection:
        return connection.execute(statement.encode()).fetchall()


def reaches_the_database(service: Service) -> bool:
    """Whether it has noticed that it is back, on every way that it has."""
    with suppress(DatabaseUnavailable):
        for begin in (service.app.database.transaction, service.app.database.system):
            with begin() as tx:
                tx.execute("select")
        return service.app.index.connected
    return False


def test_what_was_called_while_the_database_went_away_is_stored_when_it_is_back(
    service: Service, upstream: FakeProvider, database: str
) -> None:
    """All attempts of it, once, and paid from the budget; the caller hears that it is not stored yet."""
    set_budget(service, limit_usd="1")
    failing, answering = refuses(503), says("Hi")

    def goes_away(handler: Any) -> None:
        shut(database, out=True)
        failing(handler)

    upstream.script(goes_away, answering)
    with pytest.raises(Unavailable) as caught:
        # The first attempt was paid for, the second asks what is left.
        service.agent("bot").complete("x", parameters=SHORT)
    assert caught.value.reason == "DATABASE_UNAVAILABLE"
    shut(database, out=False)
    eventually(lambda: len(rows(database, "select * from messages")) == 1)

    def goes_away_again(handler: Any) -> None:
        shut(database, out=True)
        answering(handler)

    upstream.calm()
    upstream.script(goes_away_again)
    eventually(lambda: reaches_the_database(service))
    with pytest.raises(Unavailable):
        service.agent("bot").complete("x", parameters=SHORT)
    assert service.app.late_messages.waiting == 1
    shut(database, out=False)
    eventually(lambda: service.app.late_messages.waiting == 0)
    first, second = rows(database, "select * from messages order by create_time")
    assert (first["outcome"], first["token_count"]) == ("ERROR", 0)
    assert (second["outcome"], second["token_count"], second["cost_usd"]) == ("OK", 1500, COST_USD)
    assert second["message_id"] == second["decision_id"]
    [budget] = rows(database, "select * from budgets")
    assert (budget["spent_usd"], budget["spent_tokens"]) == (COST_USD, 1500)
    assert (budget["reserved_usd"], budget["reserved_tokens"]) == (0, 0)


def test_what_a_killed_server_held_is_given_back_when_it_expires(
    service: Service, upstream: FakeProvider, silence: Silence, database: str, tmp_path: Path
) -> None:
    set_budget(service, limit_tokens=2000)
    token = service.token(Role.AGENT, agent_id="bot")
    with child(service.settings, tmp_path) as (process, address), patience.client(address, token) as bot:
        answer = bot.stream("x", parameters=SHORT)
        assert silence.asked.wait(20), answer
        process.kill()
        process.wait()
    silence.over.set()
    [held] = rows(database, "select * from budget_reservations")
    assert held["tokens"] == 1005
    with pytest.raises(ResourceExhausted) as caught:
        service.agent("bot").complete("x", parameters=SHORT)
    assert caught.value.reason == "BUDGET_EXCEEDED"
    assert (caught.value.retry_after_seconds or 9) <= 1, "nothing is spent: it is a matter of a moment"
    rows(database, "update budget_reservations set expire_time = now() returning 1")
    upstream.script(says("Hi"))
    assert service.agent("bot").complete("x", parameters=SHORT).content == "Hi"


def test_what_is_in_hand_when_the_server_ends_is_stored_and_paid(
    service: Service, silence: Silence, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last act, before the database is closed and the process goes."""
    monkeypatch.setattr(pools, "_LAST_SECONDS", patience.SECONDS)
    set_budget(service, limit_tokens=2000)
    answer = service.agent("bot").stream("x", parameters=SHORT)
    assert silence.asked.wait(20), answer
    service.app._server.stop(0)
    silence.over.set()
    [message] = rows(database, "select * from messages")
    assert (message["outcome"], message["message_id"]) == ("CANCELLED", message["decision_id"])
    assert not rows(database, "select * from budget_reservations")
    [budget] = rows(database, "select * from budgets")
    assert (budget["spent_tokens"], budget["reserved_tokens"]) == (message["token_count"], 0)
