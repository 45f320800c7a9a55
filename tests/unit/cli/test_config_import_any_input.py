"""Whatever old systems hold, a valid file comes of it, or a refusal."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imrs_server.cli.config.origins import reading, shape, sources
from imrs_server.cli.config.origins.reading import Unreadable
from imrs_server.cli.config.origins.sources import Wanted
from imrs_server.config_file import file, tree

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40)
VALUES = st.one_of(
    TEXTS, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none(),
    st.lists(TEXTS, max_size=3), st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.sampled_from(["0.5", "t", "openai", "gpt-4o", "p/m", '{"a": 1}', "free", "https://a.example/v1"]),
)  # fmt: skip
COLUMNS = st.sampled_from(
    ["id", "agent_id", "agent_name", "name", "provider", "provider_id", "provider_type", "model_name",
     "model_id", "external_id", "temperature", "max_tokens", "top_p", "fallback_provider", "fallback_model",
     "cost_per_1k_input_tokens", "cost_per_1k_output_tokens", "enabled", "metadata_json", "api_base",
     "capabilities", "priority", "cost_tier", "ctx_length", "pricing_input", "defaults", "kwargs", "key",
     "value", "default_model", "is_active", "priority_override", "llm_model", "llm_provider", "models"]
)  # fmt: skip
TABLES = ["agent_model_config", "agent_llm_configs", "agent_configs", "llm_providers", "llm_model_config",
          "agent_models", "global_default"]  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(COLUMNS, VALUES, min_size=1, max_size=9), min_size=1, max_size=4),
    kinds=st.lists(st.sampled_from(TABLES), min_size=1, max_size=3, unique=True),
)
def test_whatever_tables_hold_a_valid_file_comes_of_it(
    tmp_path: Path, rows: list[dict[str, Any]], kinds: list[str]
) -> None:
    """Valid but for addresses that nobody named; and read again it says what was meant."""
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    wanted = Wanted(addresses={}, pool_url="http://127.0.0.1:8050")
    draft = sources.collect([(kind, path) for kind in kinds], wanted)
    for provider in draft.providers.values():
        provider.setdefault("api_base", "https://a.example/v1")
    content = shape.fit(draft)
    written = shape.text(content, ["a comment"])
    assert same(tree.parse(written).plain(), content)
    file.check(written)


def same(read: Any, meant: Any) -> bool:
    if isinstance(meant, dict):
        return isinstance(read, dict) and read.keys() == meant.keys() and all(
            same(read[key], meant[key]) for key in meant
        )  # fmt: skip
    if isinstance(meant, list):
        return len(read) == len(meant) and all(map(same, read, meant))
    if isinstance(meant, Decimal):
        return Decimal(str(read)) == meant
    return type(read) is type(meant) and bool(read == meant)


@settings(max_examples=300)
@given(
    st.dictionaries(TEXTS, st.one_of(TEXTS, st.booleans(), st.integers(), st.decimals(0, 10**6, places=9)))
)
def test_text_that_looks_like_something_else_stays_text(content: dict[str, Any]) -> None:
    content["a"] = "1e5"
    content |= dict.fromkeys(["no", "0o17", "~", "null", "1_000", "12:30", "=", "<<", "2026-01-01"], "no")
    assert same(tree.parse(shape.text(content, [])).plain(), content)


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300), st.sampled_from(["a.py", "a.yaml", "a.json", "a.csv", "a.env"]))
def test_no_bytes_do_more_than_be_refused(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    try:
        draft = sources.collect([("", path)], Wanted(addresses={}, pool_url="http://127.0.0.1:1"))
    except Unreadable:
        return
    shape.fit(draft)


def test_a_text_in_a_json_line_may_hold_what_ends_a_line_elsewhere(tmp_path: Path) -> None:
    dump = tmp_path / "dump.jsonl"
    dump.write_text('{"name": "one\u2028two"}\r\n\n{"name": "three\x85"}\n', encoding="utf-8", newline="")
    assert [each.values for each in reading.rows(dump)] == [{"name": "one\u2028two"}, {"name": "three\x85"}]
