"""``imrs config import`` without a server: files made after what the old systems had, and hostile ones."""

from __future__ import annotations

import csv
import json
import os
import stat
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from imrs_server.cli import main
from imrs_server.config_file import file, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from click.testing import Result

PYTHON = """
import os
from somewhere import get_llm
raise RuntimeError("never run")
orchestrator_llm = get_llm("orchestrator", model="llama3.3-70b-instruct", temperature=0.3, max_tokens=2000)
feature_dev_llm = get_llm("feature-dev", model="codellama-13b", temperature=0.7)
code_review_llm: object = get_llm(agent_name="code-review", model="llama3.3-70b-instruct", tags=("qa", "sec"))
cicd_llm = get_llm("cicd", model=os.getenv("CICD_MODEL"), temperature=0.5)
infrastructure_llm = get_llm(model="llama3-8b-instruct")
other = make("thing", size=3)
"""
METADATA = """
MODEL_METADATA = {
    "orchestrator": {"model": "llama-3.1-70b-instruct", "provider": "gradient", "cost_per_1m_tokens": 0.60,
                     "context_window": 128000, "use_case": "complex_reasoning"},
    "feature-dev": {"model": "codellama-13b", "provider": "gradient", "cost_per_1m_tokens": 0.30,
                    "context_window": 16000, "use_case": "code_generation", "tags": ["python"],
                    "langsmith_project": "agents-feature-dev"},
}
OTHER = {"a": 1}
"""
COMPOSE = """
services:
  orchestrator:
    environment:
      - GRADIENT_MODEL=llama3.3-70b-instruct
      - DEPLOYMENT_ENV=production
  cicd:
    environment:
      MISTRAL_MODEL: ${MISTRAL_MODEL:-mistral-small}
      MISTRAL_API_KEY: sk-in-the-file
  code-review:
    environment: ["CLAUDE_MODEL=${CLAUDE_MODEL}"]
"""

# Eight times eight times eight ... of one text.
BOMB = "b0: &b0 [x, x, x, x, x, x, x, x]\n" + "".join(
    f"b{n}: &b{n} [{', '.join([f'*b{n - 1}'] * 8)}]\n" for n in range(1, 9)
)


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(old: Path) -> Callable[..., Result]:
    def run(*words: str, **files: str) -> Result:
        names = []
        for name, content in files.items():
            path = old / name.replace("__", ".")
            path.write_text(content, encoding="utf-8")
            names.append(path.name)
        inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith("IMRS_")}
        return CliRunner().invoke(main, ["config", "import", *names, *words], env=inherited)

    return run


def made(result: Result, exit_code: int = 0) -> dict[str, Any]:
    """What the file says that was written."""
    assert result.exit_code == exit_code, result.output
    found: dict[str, Any] = tree.parse(Path("models.yaml").read_text(encoding="utf-8")).plain()
    return found


def table(rows: Sequence[dict[str, Any]]) -> str:
    written = StringIO()
    writer = csv.DictWriter(written, fieldnames=list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return written.getvalue()


def lines(result: Result, start: str = "not mapped: ") -> list[str]:
    return [line.removeprefix(start) for line in result.stdout.splitlines() if line.startswith(start)]


def test_four_sources_become_one_and_drift_is_told(run: Callable[..., Result]) -> None:
    result = run(
        langchain_gradient__py=PYTHON,
        config__py=METADATA,
        feature_dev_tools__yaml="model: codellama-13b\ntemperature: 0.6\ntools: [a]\n",
        docker_compose__yml=COMPOSE,
    )
    agents = made(result)["agents"]
    assert agents["orchestrator"] == {
        "model": "llama3.3-70b-instruct", "provider": "gradient", "temperature": 0.3, "max_tokens": 2000,
        "use_case": "complex_reasoning",
    }  # fmt: skip
    assert agents["feature-dev"] == {
        "model": "codellama-13b", "provider": "gradient", "temperature": 0.7, "use_case": "code_generation",
        "tags": ["python"], "cost_per_1m_tokens": 0.3, "context_window": 16000,
        "langsmith_project": "agents-feature-dev",
    }  # fmt: skip
    assert agents["code-review"]["tags"] == ["qa", "sec"]
    assert (agents["cicd"]["model"], agents["cicd"]["provider"]) == ("mistral-small", "mistral")
    assert agents["infrastructure"]["model"] == "llama3-8b-instruct"
    told = lines(result)
    assert any("is llama-3.1-70b-instruct here, but docker_compose.yml:5 wins" in line for line in told)
    assert any("cost_per_1m_tokens: is that of llama-3.1-70b-instruct" in line for line in told)
    assert "feature_dev_tools.yaml:1: agents.feature-dev.temperature: is 0.6 here, but another wins" in told
    assert any("agents.cicd.model: is computed by the program" in line for line in told)
    assert any("CLAUDE_MODEL: is set where it runs" in line for line in told)
    assert "sk-in-the-file" not in result.output + Path("models.yaml").read_text(encoding="utf-8")
    assert "1 keys were found and left" in result.stdout


def test_the_sources_are_copied_first_and_only_for_their_owner(run: Callable[..., Result], old: Path) -> None:
    (old / "models.yaml").write_text("agents: {}\n")
    run(config__py=METADATA)
    [folder] = old.glob("models.yaml.backup-*")
    assert (folder / "models.yaml").read_text() == "agents: {}\n"
    assert (folder / "01-config.py").read_text() == METADATA
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {0o700, 0o600}
    run(config__py=METADATA)
    assert len(list(old.glob("models.yaml.backup-*"))) == 2


def test_a_dry_run_prints_the_file_and_writes_nothing(run: Callable[..., Result], old: Path) -> None:
    result = run("--dry-run", config__py=METADATA)
    assert result.exit_code == 0
    assert "orchestrator" in file.read(result.stdout).config.agents
    assert [path.name for path in old.iterdir()] == ["config.py"]


CONFIGURATION = {
    "id": 1, "agent_id": 1, "provider": "openai", "model_name": "gpt-4o-mini", "temperature": 0.7,
    "max_tokens": 1000, "top_p": "", "api_key_encrypted": "", "fallback_provider": "claude",
    "fallback_model": "claude-3-haiku-20240307", "cost_per_1k_input_tokens": 0.00015,
    "cost_per_1k_output_tokens": 0.0006, "enabled": "t", "created_at": "2025", "updated_at": "2025",
    "metadata_json": '{"team": "trading"}',
}  # fmt: skip


def test_configurations_with_fallbacks_and_prices_of_a_thousand(run: Callable[..., Result]) -> None:
    rows = [
        CONFIGURATION,
        CONFIGURATION | {
            "id": 2, "provider": "DeepSeek", "model_name": "deepseek-chat", "fallback_provider": "",
            "fallback_model": "", "cost_per_1k_input_tokens": 0.0, "cost_per_1k_output_tokens": "0.0",
            "enabled": "f", "metadata_json": "", "api_key_encrypted": "gAAAAAB-secret",
        },
        CONFIGURATION | {"id": 3, "agent_id": 2, "model_name": "", "metadata_json": "{"},
    ]  # fmt: skip
    agents = [
        {"id": 1, "name": "Market Analyst", "llm_provider": "openai", "llm_model": "gpt-4o"},
        {"id": 2, "name": "trader", "llm_provider": "grok", "llm_model": "grok-2"},
    ]
    result = run(agent_llm_configs__csv=table(rows), agent_configs__csv=table(agents))
    config = made(result)
    models = config["agents"]["Market-Analyst"]["models"]
    assert models["openai/gpt-4o-mini"] == {
        "enabled": True,
        "parameters": {"temperature": 0.7, "max_output_tokens": 1000},
        "input_price_usd": 0.15,
        "output_price_usd": 0.6,
        "metadata": {"team": "trading"},
        "fallback_model_ids": ["claude/claude-3-haiku-20240307"],
    }
    assert models["claude/claude-3-haiku-20240307"] == {"priority_override": 0}
    # A price that nobody set is unknown, not 0.
    assert models["deepseek/deepseek-chat"] == {
        "enabled": False,
        "parameters": {"temperature": 0.7, "max_output_tokens": 1000},
    }
    assert models["openai/gpt-4o"] == {}
    assert config["agents"]["trader"] == {"models": {"grok/grok-2": {}}}
    assert config["providers"]["deepseek"]["api_base"] == "https://api.deepseek.com/v1"
    assert set(config["models"]) == {
        *models, "grok/grok-2",
    }  # fmt: skip
    told = lines(result)
    assert "agent_configs.csv:2: agent Market Analyst: is called Market-Analyst" in told
    assert "agent_llm_configs.csv:4: row: needs agent_id, provider and model_name" in told
    assert "gAAAAAB" not in result.output + Path("models.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("price", ["0.00015", "0.0000025", "0.03", "2", "1e-5"])
def test_prices_are_exact(run: Callable[..., Result], price: str) -> None:
    row = CONFIGURATION | {"cost_per_1k_input_tokens": price}
    run(a__csv=table([row]))
    found = file.read(Path("models.yaml").read_text(encoding="utf-8")).config
    told = found.agents["1"].models["openai/gpt-4o-mini"].input_price_usd
    assert told == Decimal(price) * 1000


def test_overrides_of_agents_are_openrouters(run: Callable[..., Result]) -> None:
    rows = [
        {"id": 1, "agent_name": "planner", "model_id": "anthropic/claude-3.5-sonnet", "is_active": True,
         "set_by": "admin", "created_at": "x", "updated_at": "x"},
        {"id": 2, "agent_name": "writer", "model_id": "openai/gpt-4o", "is_active": False, "set_by": "admin",
         "created_at": "x", "updated_at": "x"},
    ]  # fmt: skip
    result = run(agent_model_config__json=json.dumps(rows))
    config = made(result)
    assert config["agents"] == {"planner": {"model": "anthropic/claude-3.5-sonnet", "provider": "openrouter"}}
    assert config["providers"]["openrouter"]["provider_type"] == "OPENROUTER"
    assert lines(result) == ["agent_model_config.json#2: agent writer: its override is not active"]
    assert made(run(agent_model_config__csv=table(rows))) == config


PREFERENCES = {
    "version": "1.0",
    "agent_preferences": {
        "Architect": {"primary": "qwen2.5-coder", "fallback": "llama3.1", "reason": "code"},
        "Debugger": {"primary": "deepseek-coder-v2", "fallback": ["qwen2.5-coder", "llama3.1"]},
        "default": "llama3.1",
        "Nobody": {},
    },
    "model_settings": {
        "qwen2.5-coder": {"temperature": 0.7, "top_p": 0.9, "maxTokens": 4096, "repeat_penalty": 1.1},
        "llama3.1": {"temperature": 0.8},
    },
}


def test_preferences_by_class_and_what_each_model_is_called_with(run: Callable[..., Result]) -> None:
    result = run(
        "--pool-url",
        "http://10.1.0.5:8050/",
        "model_settings:advanced.json",
        model_preferences__json=json.dumps(PREFERENCES),
        advanced__txt="",
    )
    assert result.exit_code == 2
    Path("advanced.json").write_text('{"temperature": 0.5, "max_tokens": 2048}', encoding="utf-8")
    result = run(
        "--pool-url", "http://10.1.0.5:8050/", "model_settings:advanced.json",
        model_preferences__json=json.dumps(PREFERENCES),
    )  # fmt: skip
    config = made(result)
    assert config["preferences"] == {
        "Architect": {"model_ids": ["pool/qwen2.5-coder", "pool/llama3.1"]},
        "Debugger": {"model_ids": ["pool/deepseek-coder-v2", "pool/qwen2.5-coder", "pool/llama3.1"]},
        "*": {"model_ids": ["pool/llama3.1"]},
    }
    assert config["models"]["pool/qwen2.5-coder"]["parameters"] == {
        "temperature": 0.7, "top_p": 0.9, "max_output_tokens": 4096, "extra": {"repeat_penalty": 1.1},
    }  # fmt: skip
    assert config["providers"]["pool"]["pool_url"] == "http://10.1.0.5:8050"
    assert config["global_defaults"] == {"parameters": {"temperature": 0.5, "max_output_tokens": 2048}}
    assert lines(result) == ["model_preferences.json: preference of Nobody: names no model"]


def test_tables_of_the_srs_as_django_dumps_them(run: Callable[..., Result]) -> None:
    dumps = {
        "providers": [{"model": "llm.llmprovider", "pk": "corp", "fields": {
            "display_name": "Corp", "provider_type": "custom", "api_base": "https://llm.corp.example/v1/",
            "rate_limit_rpm": 200, "is_active": False, "api_key_vault_path": "secret/llm/corp"}}],
        "models": [{"model": "llm.llmmodelconfig", "pk": "corp/big", "fields": {
            "provider_id": "corp", "external_id": "big", "display_name": "Big", "model_type": "chat",
            "capabilities": ["text", "code"], "priority": 70, "cost_tier": "standard", "ctx_length": 32000,
            "pricing_input": "2.500000", "pricing_output": "10.000000", "is_available": True,
            "limit_requests": 5}}],
        "agents": [{"model": "llm.agentmodelconfig", "pk": "7", "fields": {
            "agent_id": "abc-123", "model_id": "corp/big", "priority_override": 90, "is_enabled": True,
            "tenant_id": "t", "enabled_by": "u", "enabled_at": "x"}}],
        "defaults": [{"model": "core.globaldefault", "pk": 1, "fields": {"key": "global", "defaults": {
            "default_model": "corp/big", "temperature": 0.4, "theme": "dark"}}}],
    }  # fmt: skip
    result = run(**{f"{name}__json": json.dumps(rows) for name, rows in dumps.items()})
    config = made(result)
    assert config["providers"]["corp"] == {
        "api_base": "https://llm.corp.example/v1", "display_name": "Corp", "provider_type": "CUSTOM",
        "rate_limit_rpm": 200, "state": "DISABLED",
    }  # fmt: skip
    assert config["models"]["corp/big"] == {
        "display_name": "Big", "model_type": "CHAT", "capabilities": ["text", "code"], "priority": 70,
        "cost_tier": "STANDARD", "context_length": 32000, "input_price_usd": 2.5, "output_price_usd": 10,
        "available": True,
    }  # fmt: skip
    assert config["agents"] == {
        "abc-123": {"models": {"corp/big": {"enabled": True, "priority_override": 90}}}
    }
    assert config["global_defaults"] == {
        "default_model_id": "corp/big",
        "parameters": {"temperature": 0.4},
    }
    assert [line.partition("#")[2] for line in lines(result)] == [
        "1: limit_requests: has no place in a configuration file",
        "1: theme: has no place in a configuration file",
    ]


def test_a_provider_without_an_address_is_to_be_mended(run: Callable[..., Result]) -> None:
    row = {"provider_id": "nowhere", "external_id": "m", "is_available": "1"}
    result = run(llm_model_config__csv=table([row]))
    assert result.exit_code == 1
    assert "providers.nowhere: api_base must be set" in result.stdout
    mended = run("--api-base", "nowhere=https://nowhere.example/v1", llm_model_config__csv=table([row]))
    assert made(mended)["providers"]["nowhere"]["api_base"] == "https://nowhere.example/v1"


def test_what_does_not_fit_the_schema_is_left_out_and_told(run: Callable[..., Result]) -> None:
    rows = [
        CONFIGURATION | {"temperature": 9},
        CONFIGURATION | {"agent_id": 2, "temperature": "warm", "model_name": "x" * 300},
    ]
    result = run("--json", a__csv=table(rows))
    told = json.loads(result.stdout)
    assert told["agents"] == 2
    assert told["keys"] == told["to_mend"] == []
    whats = {each["what"]: each["why"] for each in told["not_mapped"]}
    assert (
        whats["agents.1.models.openai/gpt-4o-mini.parameters.temperature"] == "must be at most 2.0, not 9.0"
    )
    assert whats["temperature"] == "must be a number, not 'warm'"
    made(result)


def test_many_equal_notes_are_one(run: Callable[..., Result]) -> None:
    rows = [CONFIGURATION | {"agent_id": each, "colour": "red"} for each in range(30)]
    assert lines(run(a__csv=table(rows))) == [
        "a.csv:2: colour: has no place in a configuration file (30 times)"
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.py", "def (:", "a.py:1: is no Python"),
        ("a.py", "(" * 5000 + ")" * 5000, "is no Python"),
        ("a.py", "x = 1\0", "a.py:1: holds a NUL"),
        ("a.yaml", "a: &a [*a]", "holds itself"),
        ("a.yaml", BOMB, "must stand for at most"),
        ("a.yaml", "model: !!python/object/apply:os.system [x]", "must have no tag"),
        ("a.yaml", "name: x", "names no `model`"),
        ("a.json", "[" * 100_000, "is no JSON"),
        ("a.json", '[{"agent_name": "a", "model_id": NaN}]', "NaN is no finite number"),
        ("a.json", '["text"]', "must be an object"),
        ("a.json", "[]", "has no rows"),
        ("a.csv", "agent_name,model_id\nonly one", "must have 2 columns"),
        ("a.csv", "a,a\n1,2", "must name each column once"),
        ("a.csv", "colour,size\nred,1", "is none that is known"),
        ("a.csv", "", "must name each column once"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_read_are_refused_before_anything_is_written(
    run: Callable[..., Result], old: Path, name: str, content: str, said: str
) -> None:
    (old / name).write_text(content, encoding="utf-8")
    result = run(name)
    assert (result.exit_code, said in result.stderr) == (1, True), result.output
    assert [path.name for path in old.iterdir()] == [name]


def test_bytes_that_are_no_text_are_refused_with_their_line(run: Callable[..., Result], old: Path) -> None:
    (old / "a.csv").write_bytes(b"agent_name,model_id\n\xff,x\n")
    assert "a.csv:2: is not UTF-8" in run("a.csv").stderr


def test_without_a_token_keys_are_not_asked_for_a_file(run: Callable[..., Result], old: Path) -> None:
    refused = run("--keys", config__py=METADATA)
    assert refused.exit_code == 2
    assert "set IMRS_TOKEN" in refused.stderr
    assert not (old / "models.yaml").exists()
