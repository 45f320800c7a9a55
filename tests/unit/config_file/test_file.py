"""A configuration file is read as document 003 means it, and whatever is wrong is told with its place."""

# ruff: noqa: E501  (a message is read in one piece)

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from imrs_server.config_file import file, tree
from imrs_server.config_file.problems import ConfigInvalid, Problem
from tests.support.config_files import DOCUMENT_003, EVERYTHING, slip


def problems(text: str, environment: str = "") -> list[str]:
    try:
        file.read(text, environment)
    except ConfigInvalid as invalid:
        return [each.within("f") for each in invalid.problems]
    return []


def test_document_003_is_valid_as_it_stands() -> None:
    config = file.read(DOCUMENT_003).config
    assert list(config.agents) == [
        "orchestrator", "feature-dev", "code-review", "infrastructure", "cicd", "documentation",
    ]  # fmt: skip
    orchestrator = config.agents["orchestrator"]
    assert orchestrator.model == "llama3.3-70b-instruct"
    assert orchestrator.cost_per_1m_tokens == Decimal("0.60")
    assert orchestrator.tags == ["routing", "orchestration", "supervisor"]


@pytest.mark.parametrize(
    ("environment", "model"),
    [
        ("", "llama3.3-70b-instruct"),
        ("production", "llama3.3-70b-instruct"),
        ("development", "llama3-8b-instruct"),
        ("staging", "llama3.3-70b-instruct"),
    ],
)
def test_an_environment_overrides_field_by_field(environment: str, model: str) -> None:
    agent = file.read(DOCUMENT_003, environment).config.agents["orchestrator"]
    assert (agent.model, agent.temperature, agent.max_tokens) == (model, 0.3, 2000)


def test_every_environment_is_checked_after_merging() -> None:
    bad = DOCUMENT_003.replace("model: llama3-8b-instruct # Cheaper", "temperature: 9 # Cheaper")
    assert problems(bad) == []
    assert problems(bad, "development") == [
        "f:82:20: agents.orchestrator.temperature: must be at most 2.0, not 9"
    ]
    with pytest.raises(ConfigInvalid):
        file.check(bad)


def test_every_section_is_read() -> None:
    config = file.read(EVERYTHING).config
    assert config.defaults is not None
    assert config.defaults.routing.half_life == timedelta(days=30)
    assert config.models["openai/large"].parameters.top_p == 0.9
    assert config.models["openai/small"].output_price_usd == Decimal("0.600000001")
    assert config.agents["support-bot"].models["openai/small"].said() == {}
    assert config.rules["support-bot"][0].priority_override == 70


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "f:1:1: is empty; `agents: {}` is the least that is a file"),
        ("- 1", "f:1:1: must be a mapping of sections such as `agents:`"),
        ("a: 1\na: 2", "f:2:1: 'a' is there already, in line 1"),
        ("a: &a [*a]", "f:1:8: *a holds itself"),
        ("a: *b", "f:1:4: *b names no &anchor above"),
        ("a: !!python/name:os.system x", "f:1:4: must have no tag such as tag:yaml.org,2002:python/name:os.system"),
        ("a: 1\n---\nb: 1", "f:2:1: must be one document, without `---` between two"),
        ("a: .inf", "f:1:4: must be a finite number; quote it if it is text"),
        ('a: "\\0"', "f:1:4: must not hold NUL or half a character"),
        ("[" * 100, "f:1:33: must be nested at most 32 deep"),
        ("agents: {routing: {temperatur: 1}}", "f:1:20: agents.routing.temperatur: is not known here; is temperature meant?"),
        ("agents: {x: {temperatur: 1}}", "f:1:14: agents.x.temperatur: is not known here; is temperature meant?"),
        ("agents: {x: {model: 3}}", "f:1:21: agents.x.model: must be text, not 3; quote it if it is text"),
        ("agents: {x: []}", "f:1:13: agents.x: must be a mapping, not a list"),
        ("agents:\n  x y: {}", 'f:2:3: agents.x y: must be 1 to 64 letters, digits and . _ -, the first a letter or digit, not "x y"'),
        ("agents: {x: {routing: cheap}}", 'f:1:23: agents.x.routing: must be a mapping, or the name of one in `policies`; there is no "cheap"'),
        ("agents: {x: {model: a, models: {}}}", "f:1:32: agents.x.models: must not be set beside `model`, which is the only one the agent uses"),
        ("agents: {x: {context_window: 5}}", "f:1:30: agents.x.context_window: must not be set without `model`; give each of `models` its own"),
        ("agents: {x: {routing: {half_life: 3d}}}", "f:1:35: agents.x.routing.half_life: belongs to the tenant's policy: set defaults.routing.half_life"),
        ("providers: {groq: {}}", "f:1:19: providers.groq: api_base must be set; only of gradient, claude, mistral, openai it is known"),
        ("providers: {openai: {api_key: sk-1}}", "f:1:22: providers.openai.api_key: is not known here: keys are never in a file; set them with RotateProviderKey or SetAgentKey"),
        ("providers: {openai: {sync_interval: 3s}}", 'f:1:37: providers.openai.sync_interval: must be a time such as 90s, 12h or 45d, from 60s to 366d, not "3s"'),
        ("environments: {dev: {y: {}}}\nagents: {x: }", "f:1:22: environments.dev.y: is not an agent of this file; known are x"),
        ("environments: {dev: {y: {}}}", "f:1:22: environments.dev.y: is not an agent of this file"),
        ("agents: {x: [1]}\nenvironments: {production: {x: {use_case: y}}}", "f:1:13: agents.x: must be a mapping, not a list"),
        ("preferences: {a: {}}", "f:1:18: preferences.a.model_ids: must be set"),
        ("budgets:\n- {window: 1d, limit_usd: 0}\n- {agent_id: x, window: 1d}", "f:3:3: budgets.1: limit_usd, limit_tokens or both must be set"),
        ("budgets: [{window: 1d, limit_usd: 1}, {window: 24h, limit_usd: 1}]", "f:1:39: budgets.1: the tenant has a budget of this window already"),
        ("version: 2.0", "f:1:10: version: must be '1.0', not 2.0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(text: str, said: str) -> None:
    assert problems(text) == [said]


@pytest.mark.parametrize("agent", ["", "{}", "{use_case: old}"])
def test_an_override_of_an_agent_of_which_nothing_is_said(agent: str) -> None:
    config = file.read(
        f"agents:\n  x: {agent}\nenvironments: {{production: {{x: {{use_case: new}}}}}}"
    ).config
    assert config.agents["x"].use_case == "new"


def test_every_mistake_is_told_at_once_in_the_order_of_the_file() -> None:
    text = DOCUMENT_003.replace("temperature: 0.3", "temperature: 3").replace(
        "max_tokens: 4000", "max_tokens: 100"
    )
    assert problems(text) == [
        "f:9:18: agents.orchestrator.temperature: must be at most 2.0, not 3",
        "f:31:18: agents.code-review.temperature: must be at most 2.0, not 3",
        "f:32:17: agents.code-review.max_tokens: must be at least 256, not 100",
    ]


@pytest.mark.parametrize(
    ("bound", "good", "bad"),
    [
        ("temperature", ["0", "2"], ["-0.1", "2.1"]),
        ("max_tokens", ["256", "128000"], ["255", "128001", "300.5"]),
        ("cost_per_1m_tokens", ["0.000000001", "'3'"], ["0", "-1", "0.0000000001", "many", "true"]),
        ("context_window", ["1", "10000000"], ["0", "-1"]),
    ],
)
def test_the_bounds_of_document_003(bound: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        assert problems(f"agents: {{x: {{model: m, {bound}: {value}}}}}") == []
    for value in bad:
        assert problems(f"agents: {{x: {{model: m, {bound}: {value}}}}}") != []


def test_words_that_older_yaml_takes_for_something_else_are_text() -> None:
    assert tree.parse("a: [no, on, y, 12:30, 010, 1_000, 0o17, 0x1F, 1e3, '7', 2020-01-01]").plain() == {
        "a": ["no", "on", "y", "12:30", 10, "1_000", 15, 31, 1000.0, "7", "2020-01-01"]
    }


def test_merge_keys_take_over_what_is_not_there() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc: {<<: [*a, *b], x: 0}\nd: {'<<': 1}"
    assert tree.parse(text).plain()["c"] == {"x": 0, "y": 2, "z": 4}
    assert tree.parse(text).plain()["d"] == {"<<": 1}


def test_the_first_of_very_many_mistakes_are_told() -> None:
    text = "".join(f"k{number}: x\n" for number in range(40_000))
    with pytest.raises(ConfigInvalid) as raised:
        file.read(text)
    assert [each.path for each in raised.value.problems] == [f"k{number}" for number in range(20)]
    assert raised.value.more == 39_980


def test_aliases_count_as_what_they_repeat() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9))
    assert len(bomb) < 1000
    assert [each.partition(": ")[2] for each in problems(bomb)] == [
        "must stand for at most 100000 values, aliases counted as what they repeat"
    ]


def test_names_of_policies_count_as_what_they_stand_for() -> None:
    policy = "policies:\n  p:\n" + "".join(f"    x{number}: 1\n" for number in range(20_000))
    named = "agents:\n" + "".join(f"  a{number}: {{routing: p}}\n" for number in range(20_000))
    assert problems(policy + named) == [
        "f:20005:17: agents.a1.routing: the file would stand for over 100000 values; name it in `defaults` instead"
    ]


@pytest.mark.parametrize("text", [DOCUMENT_003, EVERYTHING], ids=["document 003", "everything"])
def test_no_slip_of_the_hand_is_more_than_a_list_of_problems(text: str) -> None:
    """Five thousand each: never another exception, and every place is one of the file."""
    chance = Random(3)
    good = 0
    misplaced: list[Problem] = []
    for _ in range(5000):
        broken = slip(text, chance)
        try:
            file.read(broken, chance.choice(["", "development"]))
            good += 1
        except ConfigInvalid as invalid:
            lines = broken.count("\n") + broken.count("\x85") + broken.count("\u2028") + 2
            misplaced += [each for each in invalid.problems if not 1 <= each.mark.line <= lines]
    assert misplaced == []
    assert 200 < good < 4800


@pytest.mark.parametrize("page", ["README.md", "docs/config.md"])
def test_files_in_the_documentation_are_good(page: str) -> None:
    text = (Path(__file__).parents[3] / page).read_text(encoding="utf-8")
    found = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [len(file.check(each)) for each in found if "agents:" in each] == [2]


def test_the_error_says_what_is_wrong_and_where() -> None:
    with pytest.raises(ConfigInvalid) as raised:
        file.read("agents:\n  x: {model: 3}")
    assert str(raised.value) == (
        "The file is not valid: agents.x.model: line 2, column 14: must be text, not 3; quote it if it is text."
    )
