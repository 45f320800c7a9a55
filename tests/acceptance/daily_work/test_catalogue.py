"""Providers and models in a terminal, through a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.tables_of_cli import rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


SECRET = "sk-never-to-be-seen"


def test_a_provider_from_its_first_day_to_its_last(
    run: Callable[..., Result], done: Callable[..., Any], api_base: str
) -> None:
    added = run("providers", "add", "daily", "--type", "custom", "--api-base", api_base)
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
    # Only now, for a provider with an interval that never was synced is due at once.
    assert done("providers", "update", "daily", "--sync-every", "6h")["sync_interval"] == "21600s"
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
    words = ["--type", "ollama", "--api-base", "http://127.0.0.1:9/v1", "--sync-every", "6h"]
    assert done("providers", "add", "hand", *words)["sync_interval"] == "21600s"
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
