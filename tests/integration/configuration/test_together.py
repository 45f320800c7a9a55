"""Files are applied while others apply, edit and undo: one after the other, and never half."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from imrs_client.ids import new_id
from imrs_server.adapters.addresses import AddressRules
from imrs_server.adapters.http import GuardedClient
from imrs_server.adapters.vault import Vault
from imrs_server.domain.configuration import Action
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.errors import AgentNotFound, InvalidRequest, ModelNotFound, Violation
from imrs_server.storage import changes, configuration, endpoints
from imrs_server.use_cases.endpoints import Endpoints
from imrs_server.use_cases.loading import Loading
from tests.integration.configuration.conftest import PLATFORM, TENANT, Files, summary
from tests.support.config_files import DOCUMENT_003, EVERYTHING
from tests.support.schema import HERE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROUNDS = 6
NOTHING_TO_UNDO = Violation("source", "default has no apply that could be undone")


def test_applies_edits_and_undos_at_once(files: Files) -> None:
    other = DOCUMENT_003.replace("llama3-8b-instruct", "codellama-13b")
    files.apply(DOCUMENT_003)

    def applying(text: str) -> Callable[[], None]:
        def work() -> None:
            for _ in range(ROUNDS):
                files.apply(text)

        return work

    def editing() -> None:
        model_id = "gradient/codellama-13b"
        for number in range(ROUNDS * 3):
            # An undo that comes before the other applies takes away what the first one made: the agents, and
            # with them, in the same moment, the model. Who asks for both is told of the agent.
            with suppress(AgentNotFound):
                files.agents.update(TENANT, None, "cicd", {"display_name": f"{number}"})
                files.agent_models.enable(TENANT, None, "documentation", model_ids=[model_id])
                files.agent_models.disable(TENANT, None, "documentation", model_ids=[model_id])
            with suppress(ModelNotFound):
                files.catalog.update(PLATFORM, model_id, {"priority": number})

    def undoing() -> None:
        for _ in range(ROUNDS):
            try:
                files.undo()
            except InvalidRequest as error:
                # Nothing is left to undo where it comes more often than applies that change something.
                if error.violations != (NOTHING_TO_UNDO,):
                    raise

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(each) for each in (applying(DOCUMENT_003), applying(other), editing, undoing)]
        for each in running:
            each.result()
    files.apply(DOCUMENT_003)
    assert summary(files.plan(DOCUMENT_003)) == {}


def test_two_servers_with_the_same_file(files: Files) -> None:
    with ThreadPoolExecutor(2) as pool:
        plans = list(pool.map(files.apply, [EVERYTHING] * 2))
    created = sorted(sum(each.action is Action.CREATE for each in plan.changes) for plan in plans)
    assert created[0] == 0 < created[1]


def test_one_apply_is_one_revision_and_one_line_a_change(files: Files) -> None:
    revision = files.revision()
    plan = files.apply(EVERYTHING)
    assert files.revision() == revision + 1
    with files.database.system() as tx:
        lines = tx.execute("select method, actor, target_type from audit_events").fetchall()
        told = [each.kind for _, each in changes.since(tx, revision)]
    assert len(lines) == len(plan.changing)
    assert {(line["method"], line["actor"]) for line in lines} == {("ApplyConfig", "root")}
    assert {"provider", "model", "agent", "preference", "defaults", "budget", "endpoint"} <= set(told)


@pytest.mark.parametrize("table", ["agents", "models", "config_owned", "config_applies", "index_revision"])
def test_what_fails_in_the_middle_leaves_nothing(files: Files, table: str) -> None:
    with psycopg.connect(files.database.dsn, autocommit=True) as connection:
        connection.execute(
            "create function fail() returns trigger language plpgsql as $$ begin raise 'no'; end $$"
        )
        connection.execute(
            f"create trigger fail before insert or update on {table} for each row execute function fail()"
        )
        with pytest.raises(psycopg.Error):
            files.apply(EVERYTHING)
        connection.execute("drop function fail cascade")
    with files.database.system() as tx:
        for each in (
            "providers",
            "models",
            "agents",
            "agent_models",
            "budgets",
            "config_owned",
            "audit_events",
        ):
            assert tx.execute(f"select count(*) as rows from {each}").fetchone() == {"rows": 0}
    assert files.apply(EVERYTHING).changing


def test_twenty_applies_are_remembered(files: Files) -> None:
    for number in range(25):
        files.apply(f"agents: {{x: {{display_name: 'number {number}'}}}}")
    for number in range(23, 3, -1):
        files.undo()
        assert files.agents.get(TENANT, None, "x").display_name == f"number {number}"
    with files.database.transaction(HERE) as tx:
        assert configuration.last(tx, HERE, "default") is None


def test_the_last_apply_is_the_one_that_came_last_whatever_the_clocks_of_servers_say(files: Files) -> None:
    names = ["first", "second", "third"]
    for number, name in enumerate(names):
        files.apply(f"agents: {{x: {{display_name: {name}}}}}")
        # The earlier it was, the further ahead is the clock of the server.
        ahead = new_id(datetime.now(UTC) + timedelta(hours=len(names) - number))
        newest = "select max(create_time) from config_applies"
        with files.database.transaction(HERE) as tx:
            tx.execute(f"update config_applies set apply_id = %s where create_time = ({newest})", [ahead])
    for name in ("second", "first"):
        files.undo()
        assert files.agents.get(TENANT, None, "x").display_name == name


def test_an_edit_of_other_fields_at_the_same_moment_is_kept(files: Files) -> None:
    """A file and somebody write different fields of one agent again and again; both are always there."""
    files.apply("agents: {x: {labels: {file: '0'}}}")

    def applying() -> None:
        for number in range(1, 20):
            files.apply(f"agents: {{x: {{labels: {{file: '{number}'}}}}}}")

    def editing() -> None:
        for number in range(1, 20):
            files.agents.update(TENANT, None, "x", {"use_case": str(number)})

    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(applying), pool.submit(editing)]:
            each.result()
    agent = files.agents.get(TENANT, None, "x")
    assert (agent.labels, agent.use_case) == ({"file": "19"}, "19")


def test_endpoints_are_applied_and_set_at_once(files: Files) -> None:
    """Whoever sets one holds its model, then its row, then the breakers: so does who applies many."""
    rules = AddressRules(allowed=(ip_network("127.0.0.0/8"),))
    nobody = Vault("http://127.0.0.1:9", role_id=str, secret_id=str)
    pool = Endpoints(files.database, Loading(files.database, nobody, GuardedClient()), rules)
    provider = "providers: {p: {provider_type: CUSTOM, api_base: 'http://127.0.0.1:9'}}"
    files.apply(f"{provider}\nmodels: {{p/one: {{}}, p/two: {{}}, p/three: {{}}}}", source="catalogue")
    names = ("one", "two", "three")

    def text(order: Sequence[str], number: int) -> str:
        lines = (
            f"  {name}: {{model_id: p/{name}, base_url: 'http://127.0.0.1:9/{name}', weight: {number}}}"
            for name in order
        )
        return "\n".join(("endpoints:", *lines))

    def applying(source: str, order: Sequence[str]) -> None:
        for number in range(1, ROUNDS * 3):
            files.apply(text(order, number), source=source)

    def setting(name: str) -> None:
        for number in range(ROUNDS * 6):
            place: dict[str, Any] = {"model_id": f"p/{name}", "base_url": f"http://127.0.0.1:9/{name}"}
            pool.put(PLATFORM, Endpoint(endpoint_id=name, weight=number + 100, **place))

    def counting() -> None:
        """As servers do of the calls that run, and of those of servers that are gone."""
        for _ in range(ROUNDS * 6):
            with files.database.transaction() as tx:
                endpoints.count_calls(tx, new_id(), dict.fromkeys(names, 0))
            with files.database.transaction() as tx:
                tx.execute("update endpoint_calls set update_time = now() - interval '2 hours'")
            with files.database.transaction() as tx:
                endpoints.fold_calls(tx)

    files.apply(text(names, 1), source="a")
    with ThreadPoolExecutor(6) as threads:
        running = [threads.submit(setting, name) for name in names]
        running.append(threads.submit(counting))
        running += [threads.submit(applying, "a", names), threads.submit(applying, "b", names[::-1])]
        for each in running:
            each.result()
