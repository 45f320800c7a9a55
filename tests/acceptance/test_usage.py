"""What calls added up to, through a real server: ``GetUsage``, and ``imrs usage`` in a terminal."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from imrs_client import ImrsError
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.cli import main
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result

    from tests.support.service import Service

NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=2)
CALLS = [
    # Model, tokens of the prompt and of the answer, days after the first, estimated.
    ("p/known", 1000, 100, 0, False),
    ("p/known", 3000, 0, 1, False),
    ("p/unknown", 500, 50, 1, True),
    ("q/free", 70, 7, 1, False),
]


@pytest.fixture(scope="module")
def used(shared_service: Service) -> Service:
    """A tenant whose agents made the calls above: of known price, of unknown price, and free."""
    platform, tenant = shared_service.platform, shared_service.tenant
    for provider_id in ("p", "q"):
        provider = pb.Provider(
            provider_id=provider_id, provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
        )
        platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    for model in (
        pb.Model(provider_id="p", external_id="known", input_price_usd="2", output_price_usd="10"),
        pb.Model(provider_id="p", external_id="unknown"),
        pb.Model(provider_id="q", external_id="free", price_state=pb.Model.PriceState.PRICE_FREE),
    ):
        platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
    for model_id, prompt, answer, day, estimated in CALLS:
        message = pb.Message(
            agent_id="bot", model_id=model_id, task_type="code", prompt_tokens=prompt,
            completion_tokens=answer, latency_ms=100, tokens_estimated=estimated,
        )  # fmt: skip
        message.create_time.FromDatetime(NOON + timedelta(days=day))
        tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=message))
    return shared_service


@pytest.fixture
def usage(used: Service) -> Callable[..., Result]:
    """Run ``imrs usage`` as the tenant's admin, or with another token."""

    def run(*words: str, token: str = "") -> Result:
        variables = {
            "IMRS_ADDRESS": used.app.address,
            "IMRS_TOKEN": token or used.token(Role.TENANT_ADMIN),
        }
        return CliRunner().invoke(main, ["usage", *words], env=variables)

    return run


def test_money_tokens_and_what_has_no_price_by_model(used: Service) -> None:
    found = used.tenant.feedback.GetUsage(pb.GetUsageRequest(group_by=["model", "provider"]))
    told = [(each.group["model"], each.cost_usd, each.unpriced_calls) for each in found.usages]
    assert told == [("p/known", "0.009", 0), ("p/unknown", "", 1), ("q/free", "0", 0)]
    assert (found.totals.calls, found.totals.total_tokens, found.totals.cost_usd) == (4, 4727, "0.009")
    assert (found.totals.unpriced_calls, found.totals.estimated_calls) == (1, 1)


def test_all_tenants_for_a_platform_admin_and_the_own_for_everybody_else(used: Service) -> None:
    stranger = used.client(Role.TENANT_ADMIN, tenant_id=new_id())
    assert stranger.feedback.GetUsage(pb.GetUsageRequest(group_by=["day"])) == pb.GetUsageResponse(
        totals=pb.Usage(cost_usd="0")
    )
    assert used.platform.feedback.GetUsage(pb.GetUsageRequest()).totals.calls >= 4


def test_a_table_with_the_dearest_first_and_the_total_below(usage: Callable[..., Result]) -> None:
    result = usage("--by", "provider", "--by", "model")
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.split()) for line in result.output.splitlines()]
    assert lines[0] == (
        "provider model calls errors prompt cached completion USD unpriced estimated avg ms p95 ms"
    )
    assert "p p/unknown 1 0 500 0 50 - 1 1 100 100" in lines
    assert lines[1] == "p p/known 2 0 4,000 0 100 0.009 0 0 100 100"
    assert lines[-1] == "total 4 0 4,570 0 157 0.009 1 1 100 100"


def test_json_and_csv_for_programs(usage: Callable[..., Result]) -> None:
    told = json.loads(usage("--by", "day", "--json").output)
    assert [each["group"]["day"] for each in told["usages"]] == [
        NOON.date().isoformat(),
        (NOON + timedelta(days=1)).date().isoformat(),
    ]
    assert told["totals"]["calls"] == "4"
    dearest, *_ = csv.DictReader(StringIO(usage("--by", "model", "--by", "agent", "--csv").output))
    assert (dearest["model"], dearest["agent"], dearest["cost_usd"]) == ("p/known", "bot", "0.009")
    lines = usage("--by", "model", "--jsonl").output.splitlines()
    assert [json.loads(line)["group"]["model"] for line in lines] == ["p/known", "p/unknown", "q/free"]
    [total] = csv.DictReader(StringIO(usage("--csv").output))
    assert (total["calls"], total["total_tokens"]) == ("4", "4727")


def test_a_range_of_days_in_utc(usage: Callable[..., Result]) -> None:
    day = NOON.date().isoformat()
    [row] = csv.DictReader(StringIO(usage("--until", f"{day}T23:59:59", "--csv").output))
    assert row["calls"] == "1"
    [row] = csv.DictReader(StringIO(usage("--since", f"{day}T14:00:00+0200", "--csv").output))
    assert row["calls"] == "4"
    [row] = csv.DictReader(StringIO(usage("--since", f"{day}T14:00:01+0200", "--csv").output))
    assert row["calls"] == "3"


def test_what_is_refused_is_said(usage: Callable[..., Result], used: Service) -> None:
    assert "contradict" in usage("--json", "--csv").output
    assert "--by" in usage("--by", "colour").output
    backwards = usage("--since", "2026-01-02", "--until", "2026-01-01")
    assert backwards.exit_code == 1
    assert "end_time" in backwards.output
    agent = used.token(Role.AGENT, agent_id="bot")
    assert "Error" in usage(token=agent).output
    with pytest.raises(ImrsError) as refused:
        used.tenant.feedback.GetUsage(pb.GetUsageRequest(group_by=["colour"]))
    assert refused.value.reason == "INVALID_REQUEST"
