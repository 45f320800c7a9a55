"""A run of ``imrs serve`` through all that it can do, and much that can go wrong with it."""

from __future__ import annotations

import http.client
import json
import threading
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

from google.protobuf.duration_pb2 import Duration

from imrs_client import ImrsError
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from imrs_server.transport import tokens
from tests.support import patience
from tests.support.chatting import refuses, says, streams
from tests.support.config_files import DOCUMENT_003
from tests.support.provider import FakeProvider, fail
from tests.support.somabrain import TOKEN, FakeSomaBrain
from tests.support.waiting import eventually
from tests.support.workers import PLATFORM, TENANT, TENANT_ID, TRUST, connect, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import Vault
    from tests.support.serve import Serve

# Nobody but models should ever hear of this, and nobody but Vault and providers of these keys.
SAID = "PROMPT5c81e0"
KEY = "sk-SENTINEL7f3a91"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
TRAIL = {"x-request-id": "from-the-door", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
MODELS = b'{"data": [{"id": "listed"}]}'
AGENT = tokens.issue(TRUST, roles=[Role.AGENT], subject="bot", tenant_id=TENANT_ID, agent_id="bot")
_CUSTOM = pb.Provider.Type.CUSTOM


class FullLife:
    """Two workers, three providers, an agent that may spend and one that may not."""

    def __init__(
        self, serve: Serve, vault: Vault, memory: FakeSomaBrain, config: Path, stack: ExitStack
    ) -> None:
        self.serve = serve
        self._config = config
        self._vault = vault
        self._memory = memory
        self._stack = stack
        self.platform = stack.enter_context(connect(serve, PLATFORM))
        self.tenant = stack.enter_context(connect(serve, TENANT))
        self.agent = stack.enter_context(connect(serve, AGENT))
        # The first fails, the second stands in; the third only has models.
        self.providers = {
            name: stack.enter_context(FakeProvider(MODELS)) for name in ("weak", "good", "list")
        }
        self._furnish()

    def _furnish(self) -> None:
        for priority, (name, each) in zip((90, 50, 10), self.providers.items(), strict=True):
            provider = pb.Provider(
                provider_id=name,
                provider_type=_CUSTOM,
                api_base=each.url,
                models_endpoint="/models",
                api_key=KEY,
            )
            self.platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
            model = pb.Model(
                provider_id=name,
                external_id="m",
                priority=priority,
                price_state=pb.Model.PriceState.PRICE_KNOWN,
                input_price_usd="1",
                output_price_usd="2",
            )
            self.platform.catalog.CreateModel(pb.CreateModelRequest(model=model))
        routing = pb.RoutingPolicy(exploration=pb.RoutingPolicy.Exploration.OFF)
        for agent_id in ("bot", "poor"):
            agent = pb.Agent(agent_id=agent_id, routing=routing)
            self.tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
            models = pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=["weak/m", "good/m"])
            self.tenant.admin.EnableAgentModels(models)
        budget = pb.Budget(agent_id="poor", limit_usd="0", window=Duration(seconds=3600))
        self.tenant.admin.SetBudget(pb.SetBudgetRequest(budget=budget))
        endpoint = pb.Endpoint(model_id="list/m", base_url=f"{self.providers['list'].url}/v1")
        self.platform.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
        watching = self.tenant.route.WatchAgent(pb.WatchAgentRequest(agent_id="bot"))
        next(watching)
        self._stack.callback(watching.cancel)

    def live(self) -> None:
        """Do a little of everything, once."""
        self._route()
        self._complete()
        self._knock()
        self._sync()
        self._configure()
        self._overload()
        self._lose_vault()

    def _route(self) -> None:
        route, asks = self.tenant.route, pb.RouteRequest(agent_id="bot", message=SAID)
        for _ in range(5):
            decision = route.Route(asks)
        route.BatchRoute(pb.BatchRouteRequest(requests=[asks, pb.RouteRequest(agent_id="nobody")]))
        route.ExplainRoute(asks)
        route.DetectTask(pb.DetectTaskRequest(message=f"make slides of {SAID}"))
        for unfit in (pb.RouteRequest(agent_id="nobody"), pb.RouteRequest(agent_id="bot", domains=["none"])):
            with suppress(ImrsError):
                route.Route(unfit)
        self._report()
        self.tenant.record(
            decision_id=decision.decision_id, prompt_tokens=100, completion_tokens=50, latency_ms=700
        )
        failed = pb.Message(
            agent_id="bot",
            model_id="weak/m",
            outcome=pb.Message.Outcome.ERROR,
            error_kind="overloaded",
            latency_ms=50,
        )
        self.tenant.feedback.RecordMessage(pb.RecordMessageRequest(message=failed))
        vote = self.tenant.rate(decision.decision_id, 1.0, user_id="ann", comment=SAID)
        self._memory.spoilt[vote.feedback_id] = 422
        self.tenant.rate(decision.decision_id, 0.5, user_id="bob")

    def _report(self) -> None:
        """What a client decided by itself."""
        decision_id = new_id()
        told = pb.Decision(
            decision_id=str(decision_id),
            agent_id="bot",
            task=pb.TaskDetection(
                task_type="code",
                confidence=pb.TaskDetection.Confidence.HIGH,
                source=pb.TaskDetection.Source.REQUEST,
            ),
            selected=pb.SelectedModel(model_id="good/m"),
            reason=pb.Decision.Reason.SCORE,
            index_revision=1,
        )
        told.create_time.FromMilliseconds(decision_id.int >> 80)
        request = pb.RecordDecisionsRequest(decisions=[told])
        assert self.agent.route.RecordDecisions(request).accepted_count == 1

    def _complete(self) -> None:
        self.providers["weak"].script(refuses(429, "rate_limit_exceeded", retry_after="60"))
        self.providers["good"].script(says(SAID))
        self._ask("bot")
        self._ask("poor")
        self.providers["weak"].calm()
        self.providers["good"].calm()

    def _ask(self, agent_id: str) -> None:
        request = pb.CompleteRequest(
            route=pb.RouteRequest(agent_id=agent_id),
            messages=[pb.ChatMessage(role="user", content=SAID)],
            max_attempts=2,
        )
        with suppress(ImrsError):
            list(self.tenant.route.Complete(request))

    def _knock(self) -> None:
        """At the door of OpenAI's API, with good requests and bad ones."""
        chat = {"model": "agent:bot", "messages": [{"role": "user", "content": SAID}]}
        good = self.providers["good"]
        for body, status in (
            (json.dumps(chat), 200),
            (json.dumps(chat | {"stream": True}), 200),
            (json.dumps(chat | {"model": SAID}), 400),
            (json.dumps(chat | {"temperature": SAID}), 400),
            (f'{{"model": "{SAID}', 400),
        ):
            good.script(streams(SAID) if "stream" in body else says(SAID))
            assert self._post("/v1/chat/completions", body) == status, body
            good.calm()

    def _post(self, path: str, body: str) -> int:
        connection = http.client.HTTPConnection(
            self.serve.address("console.started"), timeout=patience.SECONDS
        )
        headers = {"authorization": f"Bearer {TENANT}", "content-type": "application/json"} | TRAIL
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def _sync(self) -> None:
        self.providers["good"].script(*[fail(401)] * 3)
        for provider_id in ("list", "good"):
            with suppress(ImrsError):
                list(self.platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id=provider_id)))
        self.providers["good"].calm()

    def _configure(self) -> None:
        """A bad change of the file, and a good one, each waited for."""
        for text, event in (
            (DOCUMENT_003.replace("agents:", "agent s:", 1), "refused"),
            # What was applied last is not applied again.
            (f"{DOCUMENT_003}\n# {new_id()}\n", "applied"),
        ):
            before = self._heard(event)
            self._config.write_text(text)
            eventually(partial(self._heard_more, event, before))

    def _heard(self, event: str) -> int:
        return sum(each["event"] == f"config.{event}" for each in self.serve.events)

    def _heard_more(self, event: str, before: int) -> bool:
        return self._heard(event) > before

    def _overload(self) -> None:
        """A worker of this run serves one stream of requests."""
        end = threading.Event()

        def requests() -> Iterator[pb.RouteRequest]:
            yield pb.RouteRequest(agent_id="bot")
            end.wait(30)

        first = self.tenant.route.StreamRoutes(requests())
        with suppress(ImrsError):
            next(first)
            next(self.tenant.route.StreamRoutes(iter([pb.RouteRequest()]), timeout=20))
        end.set()
        first.cancel()

    def _lose_vault(self) -> None:
        self._vault.server.seal()
        rotation = pb.RotateProviderKeyRequest(provider_id="list", api_key=f"{KEY}-again")
        with suppress(ImrsError):
            self.platform.admin.RotateProviderKey(rotation)
        self._vault.server.unseal()


@contextmanager
def living(database: str, vault: Vault, folder: Path) -> Iterator[FullLife]:
    """A server that is furnished, and has not lived yet."""
    with ExitStack() as stack:
        memory = stack.enter_context(FakeSomaBrain())
        config = folder / "models.yaml"
        config.write_text(DOCUMENT_003)
        serve = stack.enter_context(
            serving(
                database,
                vault,
                folder,
                somabrain_url=memory.url,
                somabrain_token=TOKEN,
                max_streams="1",
                config_file=str(config),
                config_tenant=str(TENANT_ID),
                access_log="true",
                decision_log="debug",
                log_level="DEBUG",
            )
        )
        yield FullLife(serve, vault, memory, config, stack)
