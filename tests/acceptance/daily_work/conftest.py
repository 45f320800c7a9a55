"""Commands as a platform admin of a tenant of a whole server gives them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from imrs_client import v1 as pb
from imrs_server.cli import main
from imrs_server.domain.principal import Role
from tests.support.model_server import model_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from tests.support.service import Service


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


@pytest.fixture(scope="module")
def decided(shared_service: Service) -> pb.Decision:
    """A decision for an agent ``asks`` that may use the model ``seen/only``, which nobody rates."""
    return decide(shared_service, "asks", "seen")


@pytest.fixture
def to_be_rated(shared_service: Service) -> pb.Decision:
    """A decision for an agent ``hears`` that may use the model ``heard/only``."""
    return decide(shared_service, "hears", "heard")


def decide(service: Service, agent_id: str, provider_id: str) -> pb.Decision:
    """For a new agent with one model of a new provider, and its call."""
    platform, tenant = service.platform, service.tenant
    provider = pb.Provider(
        provider_id=provider_id, provider_type=pb.Provider.Type.OLLAMA, api_base="http://127.0.0.1:9"
    )
    platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    made = platform.catalog.CreateModel(
        pb.CreateModelRequest(model=pb.Model(provider_id=provider_id, external_id="only"))
    )
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id=agent_id)))
    enabled = pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=[made.model_id])
    tenant.admin.EnableAgentModels(enabled)
    service.settled(tenant)
    decision = tenant.choose(agent_id=agent_id, task_type="code")
    tenant.record(decision_id=decision.decision_id, latency_ms=80)
    return decision
