"""The commands of every day, through a real server: what they say, what they answer, how they end."""

from __future__ import annotations

import csv
import json
import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
from io import StringIO
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.cli import main
from imrs_server.domain.principal import Role
from tests.support.model_server import model_server
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from tests.support.service import Service

SECRET = "sk-never-to-be-seen"


@pytest.fixture(scope="module")
def api_base() -> Iterator[str]:
    with model_server() as address:
        yield f"{address}/v1"


@pytest.fixture
def run(shared_service: Service) -> Callable[..., Result]:
    """Run ``imrs`` as a platform admin of the tenant, or with another token."""

    def run(*words: str, token: str = "", typed: str | None = None) -> Result:
        variables = {
            "IMRS_ADDRESS": shared_service.app.address,
            "IMRS_TOKEN": token or shared_service.token(Role.PLATFORM_ADMIN),
            "IMRS_TENANT_ID": str(shared_service.tenant_id),
        }
        return CliRunner().invoke(main, words, env=variables, input=typed)

    return run


@pytest.fixture
def done(run: Callable[..., Result]) -> Callable[..., Any]:
    """Run ``imrs`` with ``--json``; what it answers."""

    def done(*words: str, **more: Any) -> Any:
        result = run(*words, "--json", **more)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return done


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(StringIO(result.stdout)))


def test_a_provider_from_its_first_day_to_its_last(
    run: Callable[..., Result], done: Callable[..., Any], api_base: str
) -> None:
    added = run("providers", "add", "daily", "--type", "custom", "--api-base", api_base, "--sync-every", "6h")
    assert (added.exit_code, added.stdout) == (0, "added daily\n")
    assert "imrs providers set-key daily" in added.stderr
    keyed = run("providers", "set-key", "daily", typed=f"{SECRET}\n")
    assert keyed.exit_code == 0
    assert SECRET not in keyed.output
    assert done("providers", "show", "daily")["credentials_ok"] is True
    assert "daily answers in" in run("providers", "check", "daily").stdout
    planned = run("providers", "sync", "daily", "--dry-run")
    assert "2 new" in planned.stdout
    assert rows(run("models", "list", "--provider", "daily", "--csv")) == []
    synced = run("providers", "sync", "daily")
    assert synced.stdout == "daily has 2 models: 2 new\n"
    assert "imrs agents enable-models AGENT_ID --provider daily" in synced.stderr
    [provider] = [each for each in rows(run("providers", "list", "--csv")) if each["provider_id"] == "daily"]
    assert (provider["model_count"], provider["sync_interval"]) == ("2", "21600s")
    changed = done("providers", "update", "daily", "--name", "Daily", "--rate-limit", "30")
    assert (changed["display_name"], changed["rate_limit_rpm"]) == ("Daily", 30)
    assert "sync_interval" not in done("providers", "update", "daily", "--sync-every", "0")
    assert done("providers", "disable", "daily")["state"] == "DISABLED"
    assert done("providers", "enable", "daily")["state"] == "ACTIVE"
    assert run("providers", "delete", "daily", typed="n\n").exit_code == 1
    assert done("providers", "delete", "daily", "--yes")["state"] == "DELETED"
    assert done("providers", "undelete", "daily")["state"] == "ACTIVE"


def test_what_a_provider_does_not_answer_ends_with_1(run: Callable[..., Result]) -> None:
    run("providers", "add", "away", "--type", "ollama", "--api-base", "http://127.0.0.1:9/v1")
    checked = run("providers", "check", "away")
    assert (checked.exit_code, checked.stdout.startswith("away does not answer")) == (1, True)
    assert json.loads(run("providers", "check", "away", "--json").stdout)["reachable"] is False


def test_models_by_hand(run: Callable[..., Result], done: Callable[..., Any]) -> None:
    run("providers", "add", "hand", "--type", "ollama", "--api-base", "http://127.0.0.1:9/v1")
    for name, tier in (("big", "premium"), ("small", "free")):
        words = ["--context", "8192", "--tier", tier, "--input-price", "2.5", "--output-price", "9"]
        assert run("models", "add", f"hand/{name}", *words).exit_code == 0
    assert "PROVIDER_ID/EXTERNAL_ID" in run("models", "add", "big").stderr
    assert done("models", "update", "hand/big", "--priority", "80")["priority"] == 80
    assert run("models", "update", "hand/big").exit_code == 2
    planned = run("models", "disable", "--provider", "hand", "--tier", "free", "--dry-run")
    assert planned.stdout == "1 models are like that, 1 would be changed\n"
    assert done("models", "disable", "--provider", "hand", "--tier", "free")["updated_count"] == 1
    found = rows(run("models", "list", "--provider", "hand", "--unavailable", "--csv"))
    assert [each["model_id"] for each in found] == ["hand/small"]
    [enabled] = done("models", "enable", "hand/small")["models"]
    assert enabled["available"] is True
    assert run("models", "enable").exit_code == 2
    assert run("models", "enable", "hand/small", "--tier", "free").exit_code == 2
    assert done("models", "delete", "hand/small", "--yes")["delete_time"]
    assert "delete_time" not in done("models", "undelete", "hand/small")


def test_an_agent_its_models_and_what_it_would_get(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    run("providers", "add", "own", "--type", "ollama", "--api-base", "http://127.0.0.1:9/v1")
    run("models", "add", "own/a", "--priority", "80")
    run("models", "add", "own/b")
    made = done(
        "agents", "add", "daily", "--tag", "one", "--tag", "two", "--label", "team=x", "--top-p", "0.5"
    )
    assert (made["tags"], made["labels"], made["parameters"]["top_p"]) == (["one", "two"], {"team": "x"}, 0.5)
    assert run("agents", "models", "daily").stderr.startswith("This agent may use no model")
    enabled = run("agents", "enable-models", "daily", "--provider", "own", "--standing")
    assert enabled.stdout == "daily may use 2 more models\n"
    [rule] = rows(run("agents", "rules", "daily", "--csv"))
    assert rule["filter.provider_id"] == "own"
    assert done("agents", "default", "daily", "own/b")["default_model_id"] == "own/b"
    assert done("agents", "default", "daily", "--none")["default_model_id"] == ""
    assert done("agents", "set-priority", "daily", "own/b", "90")["effective_priority"] == 90
    assert done("agents", "set-priority", "daily", "own/b")["effective_priority"] == 50
    assert done("agents", "pin", "daily", "own/b")["override"]["model_id"] == "own/b"
    shared_service.settled(shared_service.tenant)
    effective = rows(run("agents", "models", "daily", "--effective", "--csv"))
    assert {each["model_id"]: each["eligible"] for each in effective} == {"own/a": "true", "own/b": "true"}
    assert "override" not in done("agents", "unpin", "daily")
    assert done("agents", "disable", "daily")["state"] == "DISABLED"
    assert done("agents", "enable", "daily")["state"] == "ACTIVE"
    assert done("agents", "clone", "daily", "second")["agent_id"] == "second"
    assert done("agents", "disable-models", "second", "own/a")["disabled_count"] == 1
    assert run("agents", "disable-models", "second").exit_code == 2
    assert done("agents", "delete-rule", "daily", rule["rule_id"])["rule_id"] == rule["rule_id"]
    keyed = run("agents", "set-key", "second", "own", typed=SECRET)
    assert keyed.exit_code == 0
    assert SECRET not in keyed.output
    assert run("agents", "delete-key", "second", "own", "--yes").exit_code == 0
    assert done("agents", "delete", "second", "--yes")["state"] == "DELETED"
    assert {each["agent_id"] for each in rows(run("agents", "list", "--tag", "two", "--csv"))} == {"daily"}
    assert done("agents", "undelete", "second")["state"] == "ACTIVE"


@pytest.fixture(scope="module")
def decided(shared_service: Service) -> pb.Decision:
    """A decision for an agent ``asks`` that may use the model ``seen/only``."""
    platform, tenant = shared_service.platform, shared_service.tenant
    provider = pb.Provider(
        provider_id="seen", provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    model = pb.Model(provider_id="seen", external_id="only")
    platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="asks")))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="asks", model_ids=["seen/only"]))
    shared_service.settled(tenant)
    decision = tenant.choose(agent_id="asks", task_type="code")
    tenant.record(decision_id=decision.decision_id, latency_ms=80)
    return decision


def test_decisions_and_why(
    run: Callable[..., Result], done: Callable[..., Any], decided: pb.Decision
) -> None:
    explained = run("decisions", "explain", "asks", "write a function")
    assert explained.exit_code == 0
    lines = [" ".join(line.split()) for line in explained.stdout.splitlines()]
    assert lines[:2] == ["selected seen/only", "reason SCORE"]
    assert any(line.startswith("seen/only yes 0.5") for line in lines)
    assert done("decisions", "explain", "asks")["candidates"][0]["model_id"] == "seen/only"
    refused = run("decisions", "explain", "asks", "--capability", "vision")
    assert refused.exit_code == 0
    lines = [" ".join(line.split()) for line in refused.stdout.splitlines()]
    assert lines[:2] == ["selected -", "reason -"]
    assert "candidates 0 of 1 are usable" in lines
    assert lines[-1].startswith("seen/only no ")
    assert lines[-1].endswith(" CAPABILITY lacks vision")
    assert run("agents", "add", "bare").exit_code == 0
    eventually(lambda: run("decisions", "explain", "bare").exit_code == 0)
    empty = run("decisions", "explain", "bare")
    assert "candidates 0 of 0 are usable" in [" ".join(line.split()) for line in empty.stdout.splitlines()]
    assert "imrs agents enable-models bare" in empty.stderr
    shown = done("decisions", "show", decided.decision_id)
    assert shown["selected"]["model_id"] == "seen/only"
    [row] = rows(run("decisions", "list", "--agent", "asks", "--since", "2026-01-01", "--csv"))
    assert (row["decision_id"], row["task.task_type"]) == (decided.decision_id, "code")
    assert run("decisions", "list", "--reason", "override").stderr.startswith("No decision is like that.")


def test_feedback_given_listed_and_taken_back(
    run: Callable[..., Result], done: Callable[..., Any], decided: pb.Decision
) -> None:
    assert run("feedback", "submit", decided.decision_id).exit_code == 2
    words = ["--signal", "thumbs_down", "--user", "ann", "--comment", "=1+1"]
    given = done("feedback", "submit", decided.decision_id, *words)
    assert (given["rating"], given["model_id"]) == (0.0, "seen/only")
    [row] = rows(run("feedback", "list", "--agent", "asks", "--csv"))
    assert (row["feedback_id"], row["comment"]) == (given["feedback_id"], "'=1+1")
    assert done("feedback", "revoke", given["feedback_id"])["revoke_time"]
    again = run("feedback", "submit", decided.decision_id, "--rating", "0.5", "--user", "ann")
    assert "about seen/only, 0.5" in again.stdout


def test_budgets(run: Callable[..., Result], done: Callable[..., Any], decided: pb.Decision) -> None:
    assert run("budgets", "list").stderr.startswith("No budgets")
    assert run("budgets", "set", "--window", "1d").exit_code == 2
    assert run("budgets", "set", "--usd", "1", "--window", "week").exit_code == 2
    made = done("budgets", "set", "--agent", "asks", "--usd", "50", "--window", "30d")
    assert (made["limit_usd"], made["window"]) == ("50", "2592000s")
    changed = done(
        "budgets", "set", made["budget_id"], "--agent", "asks", "--tokens", "9000", "--window", "1d"
    )
    assert changed["limit_tokens"] == "9000"
    [row] = rows(run("budgets", "list", "--csv"))
    assert (row["budget_id"], row["agent_id"]) == (made["budget_id"], "asks")
    assert run("budgets", "delete", made["budget_id"], "--yes").exit_code == 0
    assert "imrs budgets list" in run("budgets", "delete", made["budget_id"], "--yes").stderr


def test_endpoints(run: Callable[..., Result], done: Callable[..., Any], decided: pb.Decision) -> None:
    assert run("endpoints", "list").stderr.startswith("No endpoints")
    words = ["--model", "seen/only", "--url", "http://127.0.0.1:9/v1", "--ttl", "10m", "--weight", "2"]
    assert done("endpoints", "set", "gpu-1", *words)["ttl"] == "600s"
    [row] = rows(run("endpoints", "list", "--model", "seen/only", "--csv"))
    assert (row["endpoint_id"], row["weight"]) == ("gpu-1", "2")
    assert run("endpoints", "delete", "gpu-1", typed="n\n").exit_code == 1
    assert run("endpoints", "delete", "gpu-1", "--yes").exit_code == 0
    assert "imrs endpoints list" in run("endpoints", "delete", "gpu-1", "--yes").stderr


def test_what_is_refused_says_what_to_do(run: Callable[..., Result], shared_service: Service) -> None:
    unknown = run("providers", "show", "nobody")
    assert unknown.exit_code == 1
    assert unknown.stderr.splitlines()[-1] == "See `imrs providers list`."
    user = shared_service.token(Role.USER)
    assert "ROLE_REQUIRED" in run("models", "list", token=user).stderr
    assert run("agents", "list", "--state", "purple").exit_code == 2
    assert run("providers", "set-key", "x", typed="").exit_code == 2


def test_without_a_token_it_is_said_where_one_is() -> None:
    for variables, said in (
        ({"IMRS_TOKEN_TENANT_ADMIN": "t"}, "IMRS_TOKEN=$IMRS_TOKEN_TENANT_ADMIN"),
        ({}, "IMRS_TOKEN=$(imrs token --role platform_admin)"),
    ):
        empty = dict.fromkeys(("IMRS_TOKEN", "IMRS_TOKEN_TENANT_ADMIN"))
        result = CliRunner().invoke(main, ["models", "list"], env=empty | variables)
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.split())


def test_a_stranger_sees_nothing_of_another_tenant(
    run: Callable[..., Result], shared_service: Service, decided: pb.Decision
) -> None:
    other = new_id()
    token = shared_service.token(Role.TENANT_ADMIN, tenant_id=other)
    for words in (["agents", "list"], ["decisions", "list"], ["feedback", "list"]):
        assert rows(run(*words, "--csv", "--tenant", str(other), token=token)) == []


def on_a_terminal(service: Service, *words: str, stdout: bool) -> tuple[str, str]:
    """What a command writes to its two outputs, standard error a terminal, standard output one or not."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    variables = {
        "IMRS_ADDRESS": service.app.address,
        "IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN),
        "TERM": "xterm",
    }
    with subprocess.Popen(
        [sys.executable, "-m", "imrs_server", *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        env=os.environ | variables,
    ) as process:
        os.close(theirs)
        written = process.stdout.read().decode() if process.stdout else ""
        seen = b""
        # Linux ends a terminal that nobody writes to any more with EIO.
        with suppress(OSError):
            while more := os.read(ours, 65_536):
                seen += more
    os.close(ours)
    return written, seen.decode()


def test_a_terminal_gets_colours_and_rows_of_one_line(shared_service: Service, decided: pb.Decision) -> None:
    _, seen = on_a_terminal(shared_service, "providers", "list", stdout=True)
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in seen.splitlines()]
    assert "\x1b[32mACTIVE\x1b[0m" in seen
    assert any(row.startswith("seen ") for row in rows)
    assert all(len(row) <= 80 for row in rows)


def test_an_export_shows_its_progress_beside(shared_service: Service, decided: pb.Decision) -> None:
    written, seen = on_a_terminal(shared_service, "models", "list", "--csv", stdout=False)
    assert "seen/only" in written
    assert "reading" in seen
    assert "reading" not in written


def test_every_command_has_help() -> None:
    runner = CliRunner()
    listed = runner.invoke(main, ["--help"]).stdout
    context = main.make_context("imrs", ["usage"])
    for name in main.list_commands(context):
        assert f"  {name} " in listed
        assert runner.invoke(main, [name, "--help"]).exit_code == 0


def test_one_parameter_of_an_agent_is_changed_and_the_others_stay(done: Callable[..., Any]) -> None:
    done("agents", "add", "tuned", "--temperature", "0.5", "--top-p", "0.5", "--tag", "one")
    changed = done("agents", "update", "tuned", "--temperature", "0.25", "--use-case", "tests")
    assert changed["parameters"] == {"temperature": 0.25, "top_p": 0.5}
    assert (changed["use_case"], changed["tags"]) == ("tests", ["one"])


def test_tenants_have_names(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    tenant_id = str(shared_service.tenant_id)
    assert done("tenants", "set", tenant_id, "--name", "Daily Inc.")["display_name"] == "Daily Inc."
    found = {each["tenant_id"]: each["display_name"] for each in rows(run("tenants", "list", "--csv"))}
    assert found[tenant_id] == "Daily Inc."
    assert run("tenants", "set", "nobody", "--name", "x").exit_code == 2


def test_a_token_is_issued_seen_and_revoked(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    admin = shared_service.token(Role.TENANT_ADMIN)
    issued = run("tokens", "issue", "--role", "agent", "--agent", "daily-token", "--ttl", "1d", token=admin)
    assert issued.exit_code == 0, issued.output
    token, told = issued.stdout.strip(), issued.stderr
    [listed] = rows(run("tokens", "list", "--agent", "daily-token", "--csv", token=admin))
    assert listed["token_id"] in told
    assert token not in str(listed)
    assert "TOKEN_INVALID" not in run("decisions", "explain", "daily-token", "hi", token=token).stderr
    assert run("tokens", "revoke", listed["token_id"], token=admin, typed="n\n").exit_code == 1
    assert done("tokens", "revoke", listed["token_id"], "--yes", token=admin) == {
        "token_id": listed["token_id"]
    }
    assert rows(run("tokens", "list", "--agent", "daily-token", "--csv", token=admin)) == []
    [ended] = rows(run("tokens", "list", "--agent", "daily-token", "--revoked", "--csv", token=admin))
    assert ended["revoke_time"]
    eventually(
        lambda: "TOKEN_INVALID" in run("decisions", "explain", "daily-token", "hi", token=token).stderr
    )
    refused = run("tokens", "issue", "--role", "platform_admin", token=admin)
    assert (refused.exit_code, "ROLE_REQUIRED" in refused.stderr) == (1, True)


def test_a_class_of_agents_prefers_models(run: Callable[..., Result], done: Callable[..., Any]) -> None:
    run("providers", "add", "prefer", "--type", "ollama", "--api-base", "http://127.0.0.1:9/v1")
    for name in ("a", "b"):
        run("models", "add", f"prefer/{name}")
    made = done("preferences", "set", "daily", "prefer/b", "prefer/a", "--temperature", "0.5")
    assert (made["model_ids"], made["parameters"]["temperature"]) == (["prefer/b", "prefer/a"], 0.5)
    assert done("preferences", "show", "daily")["model_ids"] == ["prefer/b", "prefer/a"]
    again = run("preferences", "set", "daily", "prefer/a")
    assert again.stdout == "daily prefers prefer/a\n"
    [found] = [each for each in rows(run("preferences", "list", "--csv")) if each["agent_class"] == "daily"]
    assert (json.loads(found["model_ids"]), found["parameters.temperature"]) == (["prefer/a"], "")
    assert run("preferences", "delete", "daily", "--yes").stdout == "daily prefers nothing of its own\n"
    gone = run("preferences", "show", "daily")
    assert (gone.exit_code, "imrs preferences list" in gone.stderr) == (1, True)


def test_defaults_of_the_tenant_and_of_all(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    admin = shared_service.token(Role.TENANT_ADMIN)
    words = ["--temperature", "0.25", "--half-life", "30d", "--max-tier", "standard", "--no-affinity"]
    made = done("defaults", "set", *words, token=admin)
    assert made["parameters"]["temperature"] == 0.25
    policy = made["routing"]
    assert (policy["half_life"], policy["max_cost_tier"], policy["session_affinity"]) == (
        "2592000s",
        "STANDARD",
        False,
    )
    shown = run("defaults", "show", token=admin).stdout
    assert re.search(r"^parameters.temperature +0.250$", shown, re.MULTILINE)
    fields = [
        "parameters.temperature",
        "routing.half_life",
        "routing.max_cost_tier",
        "routing.session_affinity",
    ]
    assert "no longer set for the tenant" in run("defaults", "unset", *fields, token=admin).stdout
    left = done("defaults", "show", token=admin)
    assert "temperature" not in left["parameters"]
    assert "half_life" not in left["routing"]
    assert run("defaults", "set", token=admin).exit_code == 2
    refused = run("defaults", "unset", "routing.nothing", token=admin)
    assert (refused.exit_code, "not one of routing.{cost_preference, " in refused.stderr) == (1, True)
    assert "ROLE_REQUIRED" in run("defaults", "set", "--global", "--top-p", "0.5", token=admin).stderr
    assert done("defaults", "set", "--global", "--top-p", "0.5")["scope"] == "GLOBAL"
    done("defaults", "unset", "--global", "parameters.top_p")


def test_all_that_defaults_have_is_set_shown_and_unset(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    admin = shared_service.token(Role.TENANT_ADMIN)
    words = [
        *("--stop", "END", "--extra", "seed=7", "--extra", "user=x", "--temperature", "0"),
        *("--signal-rating", "COPY=0.9", "--feedback-weight", "CONTINUE=0.5"),
        *("--tool", "deploy=ops", "--tool", "sql=", "--mime", ".tf=ops"),
        *("--words", "ops=terraform", "--words", "ops=roll ... back"),
    ]
    done("defaults", "set", *words, token=admin)
    trial = run("defaults", "set-shadow", "--scoring", "srs", "--signal-rating", "COPY=1", token=admin)
    assert "`imrs defaults unset routing.shadow` ends the trial" in trial.stderr
    told = {
        "parameters.temperature": "0.000", "parameters.stop": "END",
        "parameters.extra": '{"seed":7.0,"user":"x"}',
        "routing.signal_ratings.COPY": "0.900", "routing.feedback_weights.CONTINUE": "0.500",
        "routing.shadow.scoring": "SRS", "routing.shadow.signal_ratings.COPY": "1.000",
        "task_rules.tools.deploy": "ops", "task_rules.tools.sql": "-", "task_rules.mime_types..tf": "ops",
        "task_rules.words.ops": "terraform, roll ... back",
    }  # fmt: skip

    def shown() -> dict[str, str]:
        lines = run("defaults", "show", token=admin).stdout.splitlines()
        return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}

    assert told.items() <= shown().items()
    kept = done("defaults", "set", "--tool", "plan=planning", "--extra", "user=", token=admin)
    assert kept["task_rules"]["tools"] == {"deploy": "ops", "sql": "", "plan": "planning"}
    assert kept["parameters"]["extra"] == {"seed": 7.0}
    one = done("defaults", "unset", "routing.shadow.scoring", "task_rules.mime_types..tf", token=admin)
    assert (one["routing"]["shadow"]["signal_ratings"], one["task_rules"]["mime_types"]) == (
        {"COPY": 1.0},
        {},
    )
    wrong = run("defaults", "set", "--signal-rating", "COPY=much", token=admin)
    assert (wrong.exit_code, "COPY: 'much' must be a number" in wrong.stderr) == (2, True)
    run("defaults", "unset", "parameters", "routing", "task_rules", token=admin)
    assert shown().keys() == {"scope", "etag"}


def test_an_agents_policy_is_set_and_unset_by_its_fields(
    run: Callable[..., Result], done: Callable[..., Any]
) -> None:
    done("agents", "add", "ranked", "--label", "team=x", "--label", "cost.centre=7", "--extra", "seed=7")
    done("agents", "set-policy", "ranked", "--max-tier", "standard", "--feedback-weight", "COPY=2")
    policy = done("agents", "set-policy", "ranked", "--scoring", "srs")["routing"]
    assert (policy["max_cost_tier"], policy["scoring"]) == ("STANDARD", "SRS")
    left = done("agents", "unset", "ranked", "routing.feedback_weights.COPY", "labels.cost.centre")
    assert (left["routing"]["feedback_weights"], left["labels"]) == ({}, {"team": "x"})
    changed = done("agents", "update", "ranked", "--label", "floor=2", "--label", "team=")
    assert (changed["labels"], changed["parameters"]["extra"]) == ({"floor": "2"}, {"seed": 7.0})
    assert run("agents", "set-policy", "ranked").exit_code == 2


def test_who_changed_what(run: Callable[..., Result], shared_service: Service) -> None:
    admin = shared_service.token(Role.TENANT_ADMIN)
    run("agents", "add", "audited", "--use-case", "old", token=admin)
    run("agents", "update", "audited", "--use-case", "new", token=admin)
    run("agents", "delete", "audited", "--yes", token=admin)
    asked = ["audit", "--type", "agent", "--id", "audited"]
    found = rows(run(*asked, "--csv", token=admin))
    assert [each["method"].partition("/")[2] for each in found] == [
        "DeleteAgent",
        "UpdateAgent",
        "CreateAgent",
    ]
    assert json.loads(found[1]["before"])["use_case"] == "old"
    table = run(*asked, token=admin).stdout.splitlines()
    assert table[0].split() == ["time", "actor", "method", "type", "id", "changed"]
    assert [row.endswith("created") for row in table[1:]] == [False, False, True]
    assert 'use_case: "old" -> "new"' in table[2]
    run("agents", "undelete", "audited", token=admin)
    run("agents", "update", "audited", "--temperature", "0.5", token=admin)
    assert run(*asked, "--limit", "1", token=admin).stdout.endswith("  parameters.temperature: - -> 0.5\n")
    run("agents", "update", "audited", "--use-case", "long " * 50, "--max-output", "900", token=admin)
    last = run(*asked, "--limit", "1", token=admin).stdout
    assert last.endswith(f'parameters.max_output_tokens: - -> 900, use_case: "new" -> "{"long " * 15}lon…\n')
    assert rows(run(*asked, "--since", "2100-01-01", "--csv", token=admin)) == []
