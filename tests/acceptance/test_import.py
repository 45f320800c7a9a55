"""``imrs import``: a history from elsewhere, through a real server: learning does not start at zero."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from click.testing import CliRunner
from psycopg.rows import dict_row

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.cli import main
from imrs_server.domain.principal import Role
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from click.testing import Result

    from imrs_client import ImrsClient
    from tests.support.service import Service

MODELS = {"first": 60, "second": 40}
BEGIN = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=100)

_agents = count(1)


@pytest.fixture(scope="module")
def admin(shared_service: Service) -> ImrsClient:
    """A tenant's admin, where the model ``p/first`` has the higher priority."""
    platform = shared_service.platform
    for provider_id in ("p", "q"):
        provider = pb.Provider(
            provider_id=provider_id, provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
        )
        platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
        for name, priority in {**MODELS, "twin": 10}.items():
            model = pb.Model(provider_id=provider_id, external_id=name, priority=priority)
            if provider_id == "p" or name == "twin":
                platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    return shared_service.tenant


@pytest.fixture
def agent_id(shared_service: Service, admin: ImrsClient) -> str:
    return created_agent(shared_service, admin)


def created_agent(service: Service, admin: ImrsClient) -> str:
    """A new agent that may use both."""
    agent_id = f"bot-{next(_agents)}"
    admin.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=agent_id)))
    ids = [f"p/{name}" for name in MODELS]
    admin.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=ids))
    service.settled(admin)
    return agent_id


@pytest.fixture
def imports(shared_service: Service) -> Callable[..., Result]:
    """Run ``imrs import`` as the tenant's admin, or with another token."""

    def run(file: Path, *words: str, token: str = "", address: str = "") -> Result:
        variables = {
            "IMRS_ADDRESS": address or shared_service.app.address,
            "IMRS_TOKEN": token or shared_service.token(Role.TENANT_ADMIN),
        }
        return CliRunner().invoke(main, ["import", str(file), *words], env=variables)

    return run


def write(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    rows = list(rows)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def history(agent_id: str, number: int = 40) -> list[dict[str, Any]]:
    """What the system of the SRS would have: its names, its ids, a model by its name at the provider."""
    return [
        {
            "id": str(new_id(BEGIN + timedelta(days=day))).replace("-7", "-4", 1),
            "agent_id": agent_id,
            "role": "assistant",
            "content": "what was said",
            "model": "second" if day % 2 else "p/first",
            "task_type": "code",
            "rating": 1.0 if day % 2 else 0.0,
            "feedback_type": "explicit",
            "latency_ms": 100 + day,
            "token_count": 50,
            "tools_used": '["code_execute"]',
            "created_at": (BEGIN + timedelta(days=day)).isoformat(sep=" "),
        }
        for day in range(number)
    ]


def stored(service: Service, agent_id: str) -> list[dict[str, Any]]:
    """Everything that the database has of an agent's calls and votes."""
    found: list[dict[str, Any]] = []
    dsn = service.settings.database_url.get_secret_value()
    with psycopg.connect(dsn, row_factory=dict_row) as connection:
        for table, key in (("messages", "message_id"), ("feedback", "feedback_id")):
            query = (
                f"select *, tableoid::regclass::text as home from {table} where agent_id = %s order by {key}"
            )
            found += connection.execute(query.encode(), [agent_id]).fetchall()
    return found


@pytest.mark.usefixtures("admin")
def test_route_prefers_what_history_says(
    shared_service: Service, imports: Callable[..., Result], tmp_path: Path
) -> None:
    # Of a tenant of its own: a new agent begins with what others of its tenant have learned.
    tenant_id = new_id()
    admin = shared_service.client(Role.TENANT_ADMIN, tenant_id=tenant_id)
    agent_id = created_agent(shared_service, admin)
    agent = shared_service.client(Role.AGENT, tenant_id=tenant_id, agent_id=agent_id)
    assert agent.choose(task_type="code").selected.model_id == "p/first"

    token = shared_service.token(Role.TENANT_ADMIN, tenant_id=tenant_id)
    done = imports(write(tmp_path / "m.csv", history(agent_id)), token=token)

    assert (done.exit_code, done.stdout) == (0, "40 rows: 40 calls and 40 ratings imported\n")
    assert done.stderr == "not imported: content\n"
    eventually(lambda: agent.choose(task_type="code").selected.model_id == "p/second")
    request = pb.ListPerformanceRequest(agent_id=agent_id, model_id="p/second")
    (row,) = admin.feedback.ListPerformance(request).performance
    assert (row.usage_count, row.rating_count, row.avg_rating) == (20, 20, 1.0)
    days = [point.start_time.ToDatetime(UTC).date() for point in row.trend]
    assert days == [(BEGIN + timedelta(days=day)).date() for day in range(1, 40, 2)]
    assert row.trend[0].avg_latency_ms == 101


def test_history_is_kept_in_its_own_months(
    shared_service: Service, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    """Partitions of the months are made when they are needed, for calls and for votes."""
    rows = history(agent_id, 26)
    for month, row in enumerate(rows[2:]):
        row["created_at"] = f"{2021 + month // 12}-{month % 12 + 1:02}-06T07:08:09Z"
    # Before there are partitions, it is kept by when it came.
    rows[0]["created_at"] = rows[1]["created_at"] = "2019-05-06"
    began = datetime.now(UTC)
    done = imports(write(tmp_path / "m.csv", rows))
    assert done.stdout == "26 rows: 26 calls and 26 ratings imported\n", done.stderr
    homes = {each["home"] for each in stored(shared_service, agent_id)}
    # A month may end meanwhile.
    now = {f"{each:%Y_%m}" for each in (began, datetime.now(UTC))}
    months = [f"{2021 + month // 12}_{month % 12 + 1:02}" for month in range(24)]
    for table in ("messages", "feedback"):
        kept = {each.removeprefix(f"{table}_") for each in homes if each.startswith(table)}
        assert kept - now == set(months)
        assert kept & now


def test_a_second_import_changes_nothing(
    shared_service: Service, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    """Neither with ids of its own, nor with foreign ones, nor without any, where rows may be equal."""
    rows = history(agent_id, 9)
    for row in rows[:3]:
        row["id"] = f"chat/{row['id'][:4]}"
    for row in rows[3:6]:
        row.update(id="", created_at=rows[3]["created_at"], latency_ms=7, model="p/first", rating="0.5")
    file = write(tmp_path / "m.csv", rows)
    first = json.loads(imports(file, "--json").stdout)
    assert (first["messages"], first["votes"], first["derived_ids"]) == (9, 9, 6)
    before = stored(shared_service, agent_id)
    assert len({each["message_id"] for each in before}) == 9

    second = json.loads(imports(file, "--json").stdout)

    assert second == first
    assert stored(shared_service, agent_id) == before


def test_a_vote_that_was_taken_back_stays_so(
    shared_service: Service, admin: ImrsClient, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    """Also when the server has forgotten the keys of the first import."""
    file = write(tmp_path / "m.csv", history(agent_id, 2))
    assert imports(file).exit_code == 0
    vote, _ = admin.feedback.ListFeedback(pb.ListFeedbackRequest(agent_id=agent_id)).feedback
    admin.feedback.RevokeFeedback(pb.RevokeFeedbackRequest(feedback_id=vote.feedback_id))
    before = stored(shared_service, agent_id)
    with psycopg.connect(shared_service.settings.database_url.get_secret_value()) as connection:
        connection.execute("delete from idempotency_keys")
    assert imports(file).exit_code == 0
    assert stored(shared_service, agent_id) == before


def test_what_is_rejected_loses_nothing_else_and_can_be_mended(
    shared_service: Service, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    rows = history(agent_id, 12)
    faults: dict[int, tuple[str, str, str]] = {
        1: ("rating", "4", "must be a number from 0 (bad) to 1 (good), not '4'"),
        2: (
            "model",
            "gpt-0",
            "there is no model gpt-0: sync its provider, or create it, or give --map-model",
        ),
        3: ("agent_id", "nobody", "there is no agent nobody: create it, or give --map-agent nobody=AGENT_ID"),
        4: ("created_at", "yesterday", "must be a time such as 2026-01-14T09:30:00Z"),
        5: ("task_type", "Code Review", "must be 1 to 64 of a-z 0-9 _ . -"),
        6: ("model", "twin", "twin may be p/twin or q/twin: give --map-model twin=MODEL_ID"),
        7: ("created_at", "2099-01-01", "must not be in the future"),
        8: ("feedback_type", "kind", "must be one of EXPLICIT, IMPLICIT, SELF_EVAL, not 'kind'"),
    }
    for place, (column, value, _) in faults.items():
        rows[place][column] = value
    rows[9]["role"] = "user"
    file, rejects = write(tmp_path / "m.csv", rows), tmp_path / "rejects.csv"

    checked = imports(file, "--validate-only", "--json")
    assert not stored(shared_service, agent_id)
    done = imports(file, "--rejects", str(rejects), "--json")

    assert (done.exit_code, checked.exit_code) == (1, 1)
    told = json.loads(done.stdout)
    counts = {"rows": 12, "messages": 3, "votes": 3, "skipped": 1, "rejected": 8}
    assert {name: told[name] for name in counts} == counts
    assert json.loads(checked.stdout) == told | {"validate_only": True}
    for each, (place, (column, _, description)) in zip(told["errors"], faults.items(), strict=True):
        assert (each["line"], each["column"]) == (place + 2, column)
        assert description in each["error"]
    with rejects.open(encoding="utf-8", newline="") as opened:
        refused = list(csv.DictReader(opened))
    assert [each["import_line"] for each in refused] == [str(place + 2) for place in faults]
    assert refused[0]["import_error"] == f"rating: {faults[1][2]}"

    for each, (place, (column, _, _)) in zip(refused, faults.items(), strict=True):
        if column not in {"model", "agent_id"}:
            each[column] = history(agent_id)[place][column]
    maps = [f"--map-model={old}=p/first" for old in ("gpt-0", "twin")]
    mended = imports(write(rejects, refused), *maps, f"--map-agent=nobody={agent_id}")
    assert mended.stdout == "8 rows: 8 calls and 8 ratings imported\n", mended.output
    assert len(stored(shared_service, agent_id)) == 22


def test_it_goes_on_where_it_stopped(
    shared_service: Service, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    """Rows before the line are read, so that rows without ids keep theirs."""
    rows = [{**row, "id": "", "created_at": BEGIN.isoformat()} for row in history(agent_id, 6)]
    file = write(tmp_path / "m.csv", rows)
    later = imports(file, "--from-line", "5")
    assert later.stdout.startswith("3 rows: 3 calls and 3 ratings imported\n")
    half = stored(shared_service, agent_id)
    assert imports(file).exit_code == 0
    whole = stored(shared_service, agent_id)
    assert (len(half), len(whole)) == (6, 12)
    assert [each for each in whole if each in half] == half


def test_who_may_not_is_told_so(
    shared_service: Service, agent_id: str, imports: Callable[..., Result], tmp_path: Path
) -> None:
    file = write(tmp_path / "m.csv", history(agent_id, 1))
    refused = imports(file, token=shared_service.token(Role.USER))
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr.startswith("Error: ROLE_REQUIRED")
    away = imports(file, address="127.0.0.1:9")
    assert away.exit_code == 1
    assert "127.0.0.1:9" in away.stderr
    platform = imports(
        file, "--tenant", str(shared_service.tenant_id), token=shared_service.token(Role.PLATFORM_ADMIN)
    )
    assert platform.exit_code == 0, platform.output


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "the file begins with an empty line"),
        ("agent_id,created_at", "the header has no column model_id; it has agent_id, created_at"),
        ("model,model_id,agent_id,created_at", "the columns model and model_id are both model_id"),
        ("model,rating", "no column agent_id, none event_time"),
    ],
)
def test_a_file_that_no_row_can_come_from_is_refused(
    imports: Callable[..., Result], tmp_path: Path, header: str, said: str
) -> None:
    file = tmp_path / "m.csv"
    file.write_text(f"{header}\n", encoding="utf-8")
    done = imports(file)
    assert done.exit_code == 1
    assert said in done.stderr
