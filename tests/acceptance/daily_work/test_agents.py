"""Agents in a terminal: their models, decisions, feedback, budgets and settings, through a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.support.tables_of_cli import rows
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from imrs_client import v1 as pb
    from tests.support.service import Service


SECRET = "sk-never-to-be-seen"


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
    shared_service.caught_up()
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


def test_one_parameter_of_an_agent_is_changed_and_the_others_stay(done: Callable[..., Any]) -> None:
    done("agents", "add", "tuned", "--temperature", "0.5", "--top-p", "0.5", "--tag", "one")
    changed = done("agents", "update", "tuned", "--temperature", "0.25", "--use-case", "tests")
    assert changed["parameters"] == {"temperature": 0.25, "top_p": 0.5}
    assert (changed["use_case"], changed["tags"]) == ("tests", ["one"])


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
    run: Callable[..., Result], done: Callable[..., Any], to_be_rated: pb.Decision
) -> None:
    assert run("feedback", "submit", to_be_rated.decision_id).exit_code == 2
    words = ["--signal", "thumbs_down", "--user", "ann", "--comment", "=1+1"]
    given = done("feedback", "submit", to_be_rated.decision_id, *words)
    assert (given["rating"], given["model_id"]) == (0.0, "heard/only")
    [row] = rows(run("feedback", "list", "--agent", "hears", "--csv"))
    assert (row["feedback_id"], row["comment"]) == (given["feedback_id"], "'=1+1")
    assert done("feedback", "revoke", given["feedback_id"])["revoke_time"]
    again = run("feedback", "submit", to_be_rated.decision_id, "--rating", "0.5", "--user", "ann")
    assert "about heard/only, 0.5" in again.stdout


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
