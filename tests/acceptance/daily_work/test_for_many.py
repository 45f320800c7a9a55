"""What holds for many, who may call, and who changed what, in a terminal, through a real server."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support.schema import ELSEWHERE
from tests.support.tables_of_cli import rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from tests.support.service import Service


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
    again = run("tokens", "revoke", listed["token_id"], "--yes", token=admin)
    assert (again.exit_code, "was revoked already" in again.stdout) == (0, True)
    eventually(
        lambda: "TOKEN_INVALID" in run("decisions", "explain", "daily-token", "hi", token=token).stderr
    )
    refused = run("tokens", "issue", "--role", "platform_admin", token=admin)
    assert (refused.exit_code, "ROLE_REQUIRED" in refused.stderr) == (1, True)


def test_what_was_never_issued_here_is_not_said_to_be_revoked(
    run: Callable[..., Result], done: Callable[..., Any], shared_service: Service
) -> None:
    elsewhere = ("--tenant", str(ELSEWHERE))
    issued = done("tokens", "issue", "--role", "user", *elsewhere)["token_id"]
    for token_id in (str(new_id()), issued):
        found = run("tokens", "revoke", token_id, token=shared_service.token(Role.TENANT_ADMIN))
        assert (found.exit_code, found.stdout) == (1, "")
        assert f"no token {token_id} was issued here" in found.stderr
    assert issued in run("tokens", "list", "--csv", *elsewhere).stdout


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
