"""What a process tells of its calls at endpoints is told once the database is there."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from structlog.testing import capture_logs

from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.vault import Vault
from imrs_server.domain.endpoint import Endpoint
from imrs_server.index.warm import Index
from imrs_server.jobs.pool_calls import PoolCalls
from imrs_server.storage.database import Database
from imrs_server.use_cases.breakers import Breakers
from imrs_server.use_cases.loading import Loading
from imrs_server.use_cases.pool import Pool
from tests.support.schema import insert
from tests.support.state import model, state
from tests.support.tcp_relay import TcpRelay
from tests.support.waiting import eventually


def test_a_call_that_ended_while_the_database_was_away_is_told_when_it_is_back(database: str) -> None:
    with psycopg.connect(database) as connection:
        for table in ("providers", "models", "endpoints"):
            insert(connection, table)
    here = Endpoint(endpoint_id="e", model_id="p/m", base_url="http://10.0.0.1:8000")
    index = Index()
    index.confirm(state(model("m"), endpoints={"p/m": (here,)}))
    target = conninfo_to_dict(database)
    with ExitStack() as stack, TcpRelay((str(target["host"]), int(str(target["port"])))) as relay:
        away = Database(
            make_conninfo(database, host="127.0.0.1", port=relay.port),
            app_connections=1,
            system_connections=1,
        )
        away.open()
        stack.callback(away.close)
        vault = Vault("http://127.0.0.1:9", role_id=str, secret_id=str)
        pool = Pool(index, Loading(away, vault, GuardedClient()), Breakers(away, index))
        pool.begin("e")
        pool.end("e")
        logs = stack.enter_context(capture_logs())
        calls = PoolCalls(away, pool)
        calls.start()
        stack.callback(calls.stop)
        eventually(lambda: any(each["event"] == "pool_calls.failed" for each in logs))
        relay.open()
        eventually(lambda: told(database) == [("e", 0)])


def told(dsn: str) -> list[Any]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute("select endpoint_id, in_flight from endpoint_calls").fetchall()
