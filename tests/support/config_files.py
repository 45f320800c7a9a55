"""Configuration files: document 003's own, one of every section, and what slips make of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

DOCUMENT_003 = Path(__file__).with_name("document_003.yaml").read_text()

EVERYTHING = """\
version: "1.0"
provider: openai
global_defaults:
  parameters: {temperature: 0.2}
defaults:
  parameters: &parameters {top_p: 0.9, stop: [END], extra: {seed: 7, user: null}}
  routing: thrifty
  default_model_id: openai/small
  task_rules:
    tools: {run_sql: analytics}
    mime_types: {"image/*": vision}
    words: {legal: [contract, lawsuit]}
policies:
  thrifty:
    cost_preference: CHEAPER_WHEN_SIMILAR
    half_life: 30d
    signal_ratings: {COPY: 0.9}
    shadow: {scoring: SRS}
providers:
  openai:
    rate_limit_rpm: 600
    sync_interval: 12h
    data_policy: {regions: [eu], trains_on_data: false}
  local:
    provider_type: OLLAMA
    api_base: http://127.0.0.1:11434/v1
    options: {organization: us}
    state: DISABLED
models:
  openai/small:
    display_name: Small
    capabilities: [text, code]
    input_price_usd: 0.15
    output_price_usd: "0.600000001"
    context_length: 128000
  openai/large: {priority: 90, cost_tier: PREMIUM, parameters: *parameters, retire_time: 2030-01-01}
  local/tiny:
endpoints:
  tiny-1: {model_id: local/tiny, base_url: "http://127.0.0.1:11434/v1", weight: 2, ttl: 10m}
preferences:
  "*": {model_ids: [openai/small, openai/large]}
agents:
  support-bot:
    display_name: Support
    agent_class: support
    use_case: answers customers
    tags: [customers]
    labels: {team: care, "a.b": c}
    metadata: {owner: {name: ann}}
    capsule: {body: {allowed_models: ["openai/*"]}}
    default_model_id: openai/small
    routing: {priority_weight: 0.5, experience_weight: 0.5}
    fallback_model_ids: []
    models:
      openai/small:
      openai/large:
        priority_override: 80
        input_price_usd: 1.5
        output_price_usd: 6
        allowed_roles: [lead]
  coder:
    model: small
    temperature: 0.3
    max_tokens: 2000
    cost_per_1m_tokens: 0.30
    context_window: 16000
    use_case: code_generation
    langsmith_project: agents-coder
rules:
  support-bot:
    - {provider_id: openai, capabilities: [vision], priority_override: 70}
budgets:
- {window: 30d, limit_usd: 100}
- {agent_id: coder, window: 24h, limit_tokens: 1000000, limit_usd: 0.5}
environments:
  development:
    coder: {model: large, temperature: 1}
"""

# What people, editors and merges leave behind, and what means something to parsers.
_BITS = [
    "", " ", "  ", "\t", "\n", ":", ": ", "-", "- ", "#", "'", '"', "{", "}", "[", "]", ",",
    "&a ", "*a", "<<: ",
    "!!str ", "!x ", "|", ">", "%", "@", "`", "?", "---\n", "...\n", "null", "~", "true", "0", "-1", "1e999",
    ".nan",
    "99999999999999999999", "0x", "ä", "\u2028", "\x00", "\ufeff", "\x85", "\U0001f600",
    "\\", "=======\n",
    "agents:\n", "model: x\n", "parameters: 3\n", "routing: thrifty\n",
]  # fmt: skip


def slip(text: str, chance: Random) -> str:
    """A text with one to three small things wrong, or still right."""
    for _ in range(chance.randint(1, 3)):
        text = chance.choice(_SLIPS)(text, chance)
    return text


def _insert(text: str, chance: Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(_BITS) + text[at:]


def _replace(text: str, chance: Random) -> str:
    at = chance.randint(0, len(text))
    return text[:at] + chance.choice(_BITS) + text[at + chance.randint(1, 12) :]


def _cut(text: str, chance: Random) -> str:
    return text[: chance.randint(0, len(text))]


def _lose_line(text: str, chance: Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        del lines[chance.randrange(len(lines))]
    return "".join(lines)


def _move_line(text: str, chance: Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        line = lines.pop(chance.randrange(len(lines)))
        lines.insert(chance.randint(0, len(lines)), line)
    return "".join(lines)


def _repeat_line(text: str, chance: Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        lines.insert(chance.randint(0, len(lines)), chance.choice(lines))
    return "".join(lines)


def _indent(text: str, chance: Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        at = chance.randrange(len(lines))
        lines[at] = lines[at].removeprefix("  ") if chance.random() < 0.5 else f"  {lines[at]}"
    return "".join(lines)


def _value(text: str, chance: Random) -> str:
    lines = text.splitlines(keepends=True)
    if lines:
        at = chance.randrange(len(lines))
        key, colon, _ = lines[at].partition(":")
        if colon:
            lines[at] = f"{key}: {chance.choice(_BITS)}\n"
    return "".join(lines)


_SLIPS = (_insert, _replace, _cut, _lose_line, _move_line, _repeat_line, _indent, _value)
