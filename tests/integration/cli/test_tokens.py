"""Tokens and cost of a server with two workers, by agent: what RecordMessage and Complete tell of calls."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from imrs_client import v1 as pb
from imrs_server.cli import run_folder
from tests.support.chatting import refuses, says
from tests.support.provider import FakeProvider
from tests.support.scraped import tokens, value
from tests.support.waiting import eventually
from tests.support.workers import TENANT, by_worker, connect, serving

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from imrs_client import ImrsClient
    from tests.conftest import Vault
    from tests.support.serve import Serve

# 1,000 tokens in at 1 USD per 1M (200 of them cached, which costs the same), 500 out at 2 USD.
COST_USD = 0.002


@contextmanager
def fleet(serve: Serve, platform: ImrsClient) -> Iterator[tuple[ImrsClient, dict[str, FakeProvider]]]:
    """Agent ``bot`` with the models first/m and second/m, chosen in this order; its tenant's admin."""
    with FakeProvider(b"") as first, FakeProvider(b"") as second, connect(serve, TENANT) as tenant:
        providers = {"first": first, "second": second}
        for priority, (provider_id, each) in zip((90, 10), providers.items(), strict=True):
            platform.admin.CreateProvider(
                pb.CreateProviderRequest(
                    provider=pb.Provider(
                        provider_id=provider_id,
                        provider_type=pb.Provider.Type.CUSTOM,
                        api_base=each.url,
                        models_endpoint="/models",
                        api_key="a key",
                    )
                )
            )
            model = pb.Model(
                provider_id=provider_id,
                external_id="m",
                priority=priority,
                price_state=pb.Model.PriceState.PRICE_KNOWN,
                input_price_usd="1",
                output_price_usd="2",
            )
            platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot", routing=routing)))
        tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="bot", filter=pb.ModelFilter()))
        yield tenant, providers


def visible(serve: Serve, agent_id: str, calls: int) -> None:
    """Wait until so many calls of an agent are shown."""
    eventually(lambda: tokens(serve)["per_agent"].get(agent_id, {}).get("call_count") == calls)


def lose_figures(pids: Iterable[int]) -> None:
    """Take the folder away in which these workers count."""
    for folder in run_folder.place().glob("imrs-run-*"):
        # Those of other runs come and go.
        with suppress(FileNotFoundError):
            names = [each.stem for each in folder.iterdir()]
            if any(name.endswith(f"_{pid}") for name in names for pid in pids):
                # At once, or somebody makes a file in it while it is emptied.
                shutil.rmtree(folder.rename(folder.with_name(f"lost-{folder.name}")))


def test_calls_of_all_workers_are_shown_by_agent_and_never_fail_for_it(
    database: str, vault: Vault, tmp_path: Path
) -> None:
    with (
        serving(database, vault, tmp_path) as serve,
        by_worker(serve) as platforms,
        fleet(serve, next(iter(platforms.values()))) as (tenant, providers),
    ):
        call = pb.Message(
            agent_id="bot",
            model_id="first/m",
            prompt_tokens=600,
            completion_tokens=400,
            latency_ms=500,
        )
        for _ in range(2):
            tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=call))
        visible(serve, "bot", 2)
        providers["first"].script(refuses(500))
        providers["second"].script(says("Hi"))
        request = pb.CompleteRequest(
            route=pb.RouteRequest(agent_id="bot"),
            messages=[pb.ChatMessage(role="user", content="Hello")],
            max_attempts=2,
        )
        assert [each.WhichOneof("event") for each in tenant.route.Complete(request)][-1] == "completed"
        visible(serve, "bot", 4)

        found = tokens(serve)
        bot = found["per_agent"]["bot"]
        assert (bot["prompt_tokens"], bot["completion_tokens"]) == (1200 + 1000, 800 + 500)
        assert bot["total_cost"] == pytest.approx(2 * 0.0014 + COST_USD)
        assert bot["avg_tokens_per_call"] == 3500 / 4
        assert found["totals"] == {
            "total_tokens": 3500,
            "total_cost": bot["total_cost"],
            "total_calls": 4,
        }
        assert datetime.fromisoformat(found["timestamp"]).tzinfo == UTC
        assert value(serve, "llm_tokens_total", agent="bot", type="prompt") == 2200
        assert value(serve, "llm_latency_seconds_count", agent="bot") == 4
        assert value(serve, "imrs_model_calls_total", provider="second", result="ok") == 1
        assert value(serve, "imrs_model_calls_total", provider="first", result="ok") == 2
        eventually(lambda: value(serve, "imrs_fallbacks_total", provider="second") == 1)

        lose_figures(platforms)
        call.agent_id = "other-bot"
        tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="other-bot")))
        recorded = tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=call))
        assert Decimal(recorded.cost_usd) == Decimal("0.0014")
        eventually(lambda: any(each["event"] == "metrics.failed" for each in serve.events))
        assert tenant.route.Route(pb.RouteRequest(agent_id="bot")).selected.model_id == "first/m"
