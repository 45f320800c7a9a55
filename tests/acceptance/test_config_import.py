"""``imrs config import --keys``: keys of other systems get into Vault, and nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from cryptography.fernet import Fernet

from imrs_client import ImrsClient
from imrs_client import v1 as pb
from imrs_server.adapters.vault import Vault as Store
from imrs_server.cli import main
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from click.testing import Result

    from tests.conftest import Vault
    from tests.support.service import Service

CIPHER = Fernet.generate_key()
AGENTS_KEY, PROVIDERS_KEY = "sk-of-the-agent", "sk-of-the-provider"


def row(agent_id: str, encrypted: str) -> dict[str, Any]:
    return {
        "agent_id": agent_id, "provider": "openai", "model_name": "gpt-4o", "enabled": True,
        "api_key_encrypted": encrypted,
    }  # fmt: skip


@pytest.fixture
def run(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Run it on rows of agent_llm_configs, as a platform admin who means the tenant."""
    monkeypatch.chdir(tmp_path)

    def run(*rows: dict[str, Any], **variables: str) -> Result:
        Path("rows.json").write_text(json.dumps(rows))
        environment = {
            "IMRS_ADDRESS": service.app.address,
            "IMRS_TOKEN": service.token(Role.PLATFORM_ADMIN),
            "IMRS_TENANT_ID": str(service.tenant_id),
            "ENCRYPTION_KEY": CIPHER.decode(),
            "OPENAI_API_KEY": "",
        }
        words = ["config", "import", "rows.json", "--keys"]
        return CliRunner().invoke(main, words, env=environment | variables)

    return run


@pytest.fixture
def store(vault: Vault) -> Iterator[Store]:
    found = Store(vault.address, role_id=lambda: vault.role_id, secret_id=lambda: vault.secret_id)
    yield found
    found.close()


@pytest.fixture
def bot(service: Service) -> str:
    """An agent and the provider ``openai``, as applying the file would make them."""
    provider = pb.Provider(
        provider_id="openai", provider_type=pb.Provider.Type.OPENAI, api_base="https://127.0.0.1:9/v1"
    )
    service.platform.admin.CreateProvider(pb.CreateProviderRequest(provider=provider))
    service.tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="bot")))
    return "bot"


def test_keys_of_agents_and_of_the_environment(
    run: Callable[..., Result], service: Service, store: Store, bot: str
) -> None:
    encrypted = Fernet(CIPHER).encrypt(AGENTS_KEY.encode()).decode()
    result = run(row(bot, encrypted), OPENAI_API_KEY=PROVIDERS_KEY)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-2:] == [
        "key of bot with openai: is in Vault",
        "key of openai: is in Vault",
    ]
    assert store.read(CredentialPath("openai")).reveal() == PROVIDERS_KEY
    assert store.read(CredentialPath("openai", service.tenant_id, bot)).reveal() == AGENTS_KEY
    everything = result.output + Path("models.yaml").read_text()
    assert not any(secret in everything for secret in (AGENTS_KEY, PROVIDERS_KEY, encrypted))


def test_a_key_that_cannot_be_sent_leaves_the_others(
    run: Callable[..., Result], service: Service, store: Store, bot: str
) -> None:
    good = Fernet(CIPHER).encrypt(AGENTS_KEY.encode()).decode()
    other = Fernet(Fernet.generate_key()).encrypt(b"sk-x").decode()
    result = run(row("unknown", good), row(bot, good), row("a", other), row("b", "no cipher text"))
    assert result.exit_code == 1
    told = [line for line in result.stdout.splitlines() if line.startswith("key of")]
    advice = "Apply the file first, then import again with --keys."
    assert told == [
        f"key of unknown with openai: Agent unknown does not exist. {advice}",
        "key of bot with openai: is in Vault",
        "key of a with openai: was not encrypted with this ENCRYPTION_KEY",
        "key of b with openai: was not encrypted with this ENCRYPTION_KEY",
    ]
    assert store.read(CredentialPath("openai", service.tenant_id, bot)).reveal() == AGENTS_KEY


@pytest.mark.parametrize(("cipher", "said"), [("", "set ENCRYPTION_KEY"), ("short", "is no Fernet key")])
def test_without_the_right_cipher_nothing_is_sent(
    run: Callable[..., Result], bot: str, cipher: str, said: str
) -> None:
    result = run(row(bot, "gAAAAAB"), ENCRYPTION_KEY=cipher)
    assert result.exit_code == 1
    assert said in result.stdout


def test_what_was_imported_applies_and_routes(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of every kind of source one; applied twice it changes nothing the second time."""
    monkeypatch.chdir(tmp_path)
    for name, content in SOURCES.items():
        Path(name).write_text(content if isinstance(content, str) else json.dumps(content))
    result = CliRunner().invoke(main, ["config", "import", *SOURCES], env=dict.fromkeys(("IMRS_TOKEN",)))
    assert result.exit_code == 0, result.output
    text = Path("models.yaml").read_text()
    platform = service.stack.enter_context(
        ImrsClient(
            service.app.address,
            token=service.token(Role.PLATFORM_ADMIN),
            tenant_id=str(service.tenant_id),
        )
    )
    first = platform.admin.ApplyConfig(pb.ApplyConfigRequest(yaml=text))
    assert {each.action for each in first.plan} == {pb.PlannedChange.Action.CREATE}
    again = platform.admin.ApplyConfig(pb.ApplyConfigRequest(yaml=text, validate_only=True))
    assert {each.action for each in again.plan} == {pb.PlannedChange.Action.UNCHANGED}
    service.settled(platform)
    chosen = {
        agent_id: service.tenant.choose(agent_id=agent_id, task_type="code").selected
        for agent_id in ("orchestrator", "planner", "trader", "abc-123")
    }
    assert {agent_id: model.model_id for agent_id, model in chosen.items()} == {
        "orchestrator": "gradient/llama3.3-70b-instruct",
        "planner": "openrouter/anthropic/claude-3.5-sonnet",
        "trader": "openai/gpt-4o-mini",
        "abc-123": "corp/big",
    }
    assert chosen["trader"].input_price_usd == "0.15"
    fallbacks = service.tenant.choose(agent_id="trader", task_type="code").fallbacks
    assert [each.model_id for each in fallbacks] == ["claude/claude-3-haiku-20240307"]
    preferred = service.tenant.admin.CreateAgent(
        pb.CreateAgentRequest(agent=pb.Agent(agent_id="builder", agent_class="Architect"))
    )
    assert preferred.agent_class == "Architect"
    assert list(
        service.platform.admin.GetPreference(pb.GetPreferenceRequest(agent_class="Architect")).model_ids
    ) == ["pool/qwen2.5-coder", "pool/llama3.1"]


SOURCES: dict[str, Any] = {
    "langchain_gradient.py": 'orchestrator_llm = get_llm("orchestrator", model="llama3.3-70b-instruct")\n',
    "feature_dev_tools.yaml": "model: codellama-13b\n",
    "docker-compose.yml": "services: {cicd: {environment: [GRADIENT_MODEL=llama3-8b-instruct]}}\n",
    "agent_model_config.json": [{"agent_name": "planner", "model_id": "anthropic/claude-3.5-sonnet"}],
    "agent_configs.json": [{"id": 1, "name": "trader", "llm_provider": "", "llm_model": ""}],
    "agent_llm_configs.json": [
        {
            "agent_id": 1, "provider": "openai", "model_name": "gpt-4o-mini", "temperature": 0.7,
            "fallback_provider": "claude", "fallback_model": "claude-3-haiku-20240307",
            "cost_per_1k_input_tokens": 0.00015, "cost_per_1k_output_tokens": 0.0006,
        }
    ],
    "model_preferences.json": {
        "agent_preferences": {"Architect": {"primary": "qwen2.5-coder", "fallback": "llama3.1"}},
        "model_settings": {"qwen2.5-coder": {"temperature": 0.7, "maxTokens": 4096}},
    },
    "llm_providers.json": [
        {"id": "corp", "provider_type": "custom", "api_base": "https://llm.corp.example/v1"}
    ],
    "llm_model_config.json": [
        {"provider_id": "corp", "external_id": "big", "ctx_length": 32000, "capabilities": ["text", "code"]}
    ],
    "agent_models.json": [{"agent_id": "abc-123", "model_id": "corp/big", "is_enabled": True}],
    "global_default.json": [{"key": "global", "defaults": {"default_model": "corp/big", "temperature": 0.4}}],
}  # fmt: skip
