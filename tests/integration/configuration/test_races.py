"""What somebody else writes after an apply has made its plan, and before it writes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.rows import dict_row

from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.vault import Vault
from imrs_server.domain.configuration import Action
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.preference import Preference
from imrs_server.storage import endpoints
from imrs_server.use_cases.endpoints import Endpoints
from imrs_server.use_cases.loading import Loading
from imrs_server.use_cases.preferences import Preferences
from tests.integration.configuration.conftest import PLATFORM, TENANT, Files
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.configuration import Plan

CATALOGUE = """\
providers: {p: {provider_type: CUSTOM, api_base: 'http://127.0.0.1:9'}}
models: {p/one: {}, p/two: {}, p/three: {}}
"""
PREFERENCE = "preferences: {c: {model_ids: [p/one]}}"
BUDGET = "budgets: [{window: 24h, limit_usd: 1}]"
ENDPOINT = "endpoints: {e: {model_id: p/one, base_url: 'http://127.0.0.1:9/e', ttl: 10m}}"
RULE = "agents: {bot: {}}\nrules: {bot: [{search: one}]}"
MODEL = "agents: {bot: {models: {p/one: {priority_override: 5}}}}"
NOTHING = "agents: {bot: {}}"

LOCK_AGENT = "select from agents where agent_id = 'bot' for update"


@pytest.fixture
def files(files: Files) -> Files:
    files.apply(CATALOGUE, source="catalogue")
    return files


def apply_beside(files: Files, text: str, *statements: str) -> Plan:
    """Apply a file; its plan does not see what the statements do, and its writes wait for them."""
    return beside(files, lambda: files.apply(text), *statements)


def beside(files: Files, work: Callable[[], Plan], *statements: str) -> Plan:
    """Do something that has to wait for what the statements do."""
    with ThreadPoolExecutor(1) as thread, psycopg.connect(files.database.dsn) as other:
        for each in statements:
            other.execute(each)
        working = thread.submit(work)
        wait_until_blocked_by(files, other)
        other.commit()
        return working.result()


def wait_until_blocked_by(files: Files, other: psycopg.Connection[Any]) -> None:
    waits = "select exists (select from pg_stat_activity where %s = any (pg_blocking_pids(pid)))"
    with psycopg.connect(files.database.dsn, autocommit=True) as watching:
        eventually(lambda: row(watching.execute(waits, [other.info.backend_pid])) == (True,))


def row(cursor: psycopg.Cursor[Any]) -> Any:
    return cursor.fetchone()


def only(files: Files, query: str) -> tuple[Any, ...]:
    with psycopg.connect(files.database.dsn) as connection:
        [found] = connection.execute(query).fetchall()
        return tuple(found)


def audited(files: Files, target_type: str) -> int:
    with psycopg.connect(files.database.dsn) as connection:
        query = "select count(*) from audit_events where target_type = %s"
        return int(row(connection.execute(query, [target_type]))[0])


def test_the_parameters_of_a_preference_stay_where_a_file_changes_its_models(files: Files) -> None:
    files.apply(PREFERENCE)
    edit = """update preferences set parameters = '{"temperature": 0.5}'"""
    apply_beside(files, PREFERENCE.replace("p/one", "p/two"), edit)
    assert only(files, "select model_ids, parameters ->> 'temperature' from preferences") == (
        ["p/two"],
        "0.5",
    )


def test_one_limit_of_a_budget_stays_where_a_file_changes_the_other(files: Files) -> None:
    files.apply(BUDGET)
    apply_beside(files, BUDGET.replace("usd: 1", "usd: 2"), "update budgets set limit_tokens = 77")
    assert only(files, "select limit_usd, limit_tokens from budgets") == (2, 77)


def test_the_weight_of_an_endpoint_stays_where_a_file_changes_its_idle_time(files: Files) -> None:
    files.apply(ENDPOINT)
    apply_beside(files, ENDPOINT.replace("10m", "20m"), "update endpoints set weight = 7")
    assert only(files, "select weight, ttl::text from endpoints") == (7, "00:20:00")


@pytest.mark.parametrize(
    ("text", "table", "changed"),
    [
        (PREFERENCE, "preferences", PREFERENCE.replace("p/one", "p/two")),
        (BUDGET, "budgets", BUDGET.replace("usd: 1", "usd: 2")),
        (ENDPOINT, "endpoints", ENDPOINT.replace("10m", "20m")),
    ],
    ids=["preferences", "budgets", "endpoints"],
)
def test_what_has_gone_is_made_anew_as_the_file_says(
    files: Files, text: str, table: str, changed: str
) -> None:
    files.apply(text)
    apply_beside(files, changed, f"delete from {table}")
    assert only(files, f"select count(*) from {table}") == (1,)
    assert not files.plan(changed).changing


@pytest.mark.parametrize(
    ("text", "table", "target_type"),
    [
        (PREFERENCE, "preferences", "preference"),
        (BUDGET, "budgets", "budget"),
        (ENDPOINT, "endpoints", "endpoint"),
        (RULE, "agent_rules", "agent_rule"),
    ],
    ids=["preferences", "budgets", "endpoints", "rules"],
)
def test_what_has_gone_and_was_to_go_is_gone(files: Files, text: str, table: str, target_type: str) -> None:
    """And the audit log does not say that the file took it away."""
    files.apply(text)
    before = audited(files, target_type)
    apply_beside(files, NOTHING, f"delete from {table}")
    assert only(files, f"select count(*) from {table}") == (0,)
    assert audited(files, target_type) == before
    assert not files.plan(NOTHING).changing


def test_what_was_said_of_a_model_stays_where_a_file_withdraws_it(files: Files) -> None:
    files.apply(MODEL)
    edit = "update agent_models set input_price_usd = 3"
    apply_beside(files, NOTHING, LOCK_AGENT, edit)
    kept = "select enabled, priority_override, input_price_usd from agent_models"
    assert only(files, kept) == (False, None, 3)


def test_a_model_that_has_gone_and_was_to_be_withdrawn_is_gone(files: Files) -> None:
    files.apply(MODEL)
    apply_beside(files, NOTHING, LOCK_AGENT, "delete from agent_models")
    assert only(files, "select count(*) from agent_models") == (0,)
    assert files.agents.get(TENANT, None, "bot").agent_id == "bot"


CHANGED = [
    (PREFERENCE, PREFERENCE.replace("p/one", "p/two"), "preferences", "model_ids"),
    (BUDGET, BUDGET.replace("usd: 1", "usd: 2"), "budgets", "limit_usd"),
    (ENDPOINT, ENDPOINT.replace("10m", "20m"), "endpoints", "ttl"),
]
KINDS = ["preferences", "budgets", "endpoints"]


@pytest.mark.parametrize(("text", "changed", "table", "field"), CHANGED, ids=KINDS)
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_somebody_deletes_no_undo_makes_anew_but_it_is_told(
    files: Files, text: str, changed: str, table: str, field: str, when: str
) -> None:
    files.apply(text)
    files.apply(changed)
    if when == "before":
        with psycopg.connect(files.database.dsn) as connection:
            connection.execute(f"delete from {table}")
        plan = files.undo()
    else:
        plan = beside(files, files.undo, f"delete from {table}")
    assert only(files, f"select count(*) from {table}") == (0,)
    assert not plan.changing
    assert [(each.target.section, each.drifted) for each in plan.changes] == [(table, (field,))]


def test_what_somebody_edits_meanwhile_an_undo_leaves_and_tells(files: Files) -> None:
    files.apply(PREFERENCE)
    files.apply(PREFERENCE.replace("p/one", "p/two"))
    plan = beside(files, files.undo, """update preferences set model_ids = '["p/two", "p/one"]'""")
    assert only(files, "select model_ids from preferences") == (["p/two", "p/one"],)
    assert [(each.action, each.drifted) for each in plan.changes] == [(Action.UNCHANGED, ("model_ids",))]


def set_preference(files: Files) -> object:
    return Preferences(files.database).put(PLATFORM, Preference(agent_class="d", model_ids=("p/two",)))


def set_endpoint(files: Files) -> object:
    nobody = Vault("http://127.0.0.1:9", role_id=str, secret_id=str)
    loading = Loading(files.database, nobody, GuardedClient())
    rules = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
    place = Endpoint(endpoint_id="d", model_id="p/two", base_url="http://127.0.0.1:9/d")
    return Endpoints(files.database, loading, rules).put(PLATFORM, place)


TWO_ENDPOINTS = """\
endpoints:
  c: {model_id: p/one, base_url: 'http://127.0.0.1:9/c'}
  d: {model_id: p/one, base_url: 'http://127.0.0.1:9/d'}
"""
MADE_ANEW = [
    (
        "preferences: {c: {model_ids: [p/one]}, d: {model_ids: [p/one]}}",
        "insert into preferences (agent_class, model_ids) values ('c', '[]')",
        set_preference,
        "select model_ids ->> 0 from preferences where agent_class = 'd'",
    ),
    (
        TWO_ENDPOINTS,
        "insert into endpoints select 'c', 'p/three', 'http://127.0.0.1:9/c'",
        set_endpoint,
        "select model_id from endpoints where endpoint_id = 'd'",
    ),
]


@pytest.mark.parametrize(("text", "hold", "make", "kept"), MADE_ANEW, ids=["preferences", "endpoints"])
def test_what_somebody_makes_anew_meanwhile_no_undo_writes_over(
    files: Files, text: str, hold: str, make: Callable[[Files], object], kept: str
) -> None:
    """It has found both gone, and waits before it makes the first, when somebody makes the second."""
    files.apply(text)
    files.apply(NOTHING)
    with ThreadPoolExecutor(2) as threads, psycopg.connect(files.database.dsn) as other:
        other.execute(hold)
        undoing = threads.submit(files.undo)
        wait_until_blocked_by(files, other)
        making = threads.submit(make, files)
        eventually(lambda: making.done() or waiting(files) > 1)
        other.rollback()
        making.result()
        assert undoing.result().changing
    assert only(files, kept) == ("p/two",)


def waiting(files: Files) -> int:
    """How many wait for a lock."""
    query = """
        select count(*) from pg_stat_activity
        where datname = current_database() and cardinality(pg_blocking_pids(pid)) > 0
    """
    return int(only(files, query)[0])


def test_an_endpoint_that_is_set_while_a_file_changes_its_model_is_no_deadlock(files: Files) -> None:
    """Who sets one has taken the model's endpoints, and then refers to the model."""
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(files.database.dsn, row_factory=dict_row) as other,
    ):
        endpoints.claim_model(other, "p/one")
        applying = thread.submit(files.apply, "models: {p/one: {priority: 7}}\n" + ENDPOINT)
        wait_until_blocked_by(files, other)
        other.execute(
            "insert into endpoints (endpoint_id, model_id, base_url, state)"
            " values ('other', 'p/one', 'http://127.0.0.1:9/other', 'HOT')"
        )
        other.commit()
        assert applying.result().changing
    assert only(files, "select count(*) from endpoints where model_id = 'p/one'") == (2,)


def test_an_endpoint_that_moves_to_other_models_meanwhile_is_no_deadlock(files: Files) -> None:
    """Who moves it takes the model first, and then the row."""
    files.apply(ENDPOINT)
    with (
        ThreadPoolExecutor(1) as thread,
        psycopg.connect(files.database.dsn, row_factory=dict_row) as first,
        psycopg.connect(files.database.dsn, row_factory=dict_row) as second,
    ):
        endpoints.claim_model(first, "p/one")
        first.execute("update endpoints set model_id = 'p/two'")
        endpoints.claim_model(second, "p/two")
        applying = thread.submit(files.apply, ENDPOINT.replace("10m", "20m"))
        wait_until_blocked_by(files, first)
        first.commit()
        wait_until_blocked_by(files, second)
        second.execute("update endpoints set model_id = 'p/three', weight = 7")
        second.commit()
        assert applying.result().changing
    kept = "select model_id, weight, ttl::text from endpoints"
    assert only(files, kept) == ("p/three", 7, "00:20:00")
