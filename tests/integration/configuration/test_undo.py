"""An undo takes back what it can, and leaves what nobody can take back any more."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from tests.integration.configuration.conftest import PLATFORM, TENANT, change, summary

if TYPE_CHECKING:
    from tests.integration.configuration.conftest import Files

CATALOGUE = """\
providers: {p: {provider_type: CUSTOM, api_base: 'http://127.0.0.1:9'}}
models: {p/one: {}, p/two: {}, p/three: {}}
"""
BEFORE = """\
agents:
  bot: {models: {p/one: {priority_override: 5}, p/two: }, default_model_id: p/one}
  other: {display_name: before}
rules: {bot: [{search: three}]}
budgets: [{agent_id: bot, window: 24h, limit_usd: 1}]
"""
OF_THE_AGENT = {
    "settings of a model": ("priority_override: 5", "priority_override: 6"),
    "a model": (", p/two: ", ""),
    "a rule": ("rules: {bot: [{search: three}]}", ""),
    "a limit": ("limit_usd: 1", "limit_usd: 2"),
    "a budget": ("budgets: [{agent_id: bot, window: 24h, limit_usd: 1}]", ""),
}
PLACE = "{model_id: p/one, base_url: 'http://127.0.0.1:9/%s'}"


@pytest.fixture
def files(files: Files) -> Files:
    files.apply(CATALOGUE, source="catalogue")
    files.apply(BEFORE)
    return files


def apply_changed(files: Files, old: str, new: str) -> list[str]:
    """Apply the file with this change, and another of another agent; what changed of the former."""
    text = BEFORE.replace(old, new).replace("before", "after")
    changed = summary(files.apply(text))
    del changed["agents/other"]
    assert changed
    return list(changed)


def assert_left(files: Files, targets: list[str]) -> None:
    """An undo leaves these, tells so, before as after, and does the rest."""
    shown = files.undo(validate_only=True)
    done = files.undo()
    assert shown == done
    assert summary(done) == {"agents/other": "UPDATE"}
    assert files.agents.get(TENANT, None, "other").display_name == "before"
    for target in targets:
        assert change(done, target).drifted


@pytest.mark.parametrize(("old", "new"), OF_THE_AGENT.values(), ids=OF_THE_AGENT.keys())
def test_what_belongs_to_an_agent_that_somebody_deleted_is_left(files: Files, old: str, new: str) -> None:
    targets = apply_changed(files, old, new)
    files.agents.delete(TENANT, None, "bot")
    assert_left(files, targets)


def test_what_names_a_model_that_somebody_deleted_is_left(files: Files) -> None:
    targets = apply_changed(files, "default_model_id: p/one", "default_model_id: p/two")
    files.catalog.delete(PLATFORM, "p/one")
    assert_left(files, targets)


def test_a_model_of_a_provider_that_somebody_deleted_is_left(files: Files) -> None:
    files.apply("models: {p/four: {priority: 5}}\n" + BEFORE)
    targets = apply_changed(files, "", "")
    assert targets == ["models/p/four"]
    with files.database.system() as tx:
        tx.execute("update providers set state = 'DELETED', delete_time = now()")
    assert_left(files, targets)


def test_an_agent_that_an_apply_brought_back_goes_with_what_it_had(files: Files) -> None:
    """Settings, rules and budgets that the apply changed are as they were, should it come back again."""
    files.agents.delete(TENANT, None, "bot")
    text = BEFORE
    for old, new in OF_THE_AGENT.values():
        text = text.replace(old, new)
    assert files.apply(text).changing
    assert not any(each.drifted for each in files.undo().changes)
    files.agents.undelete(TENANT, None, "bot")
    assert summary(files.plan(BEFORE)) == {}


@pytest.mark.parametrize(
    ("old", "new"), [(f"{{e: {PLACE % 'a'}}}", "{}"), ("9/a", "9/b")], ids=["deleted", "moved"]
)
def test_an_endpoint_at_whose_place_is_another_one_is_left(files: Files, old: str, new: str) -> None:
    text = BEFORE + f"endpoints: {{e: {PLACE % 'a'}}}"
    files.apply(text)
    files.apply(text.replace(old, new).replace("before", "after"))
    files.apply(f"endpoints: {{taken: {PLACE % 'a'}}}", source="other")
    assert_left(files, ["endpoints/e"])
    assert summary(files.plan(f"endpoints: {{taken: {PLACE % 'a'}}}", source="other")) == {}


def test_endpoints_that_moved_up_move_back(files: Files) -> None:
    """Each to the place that the one before it had left, and in the end has again."""
    places = f"endpoints: {{x: {PLACE % 'b'}, y: {PLACE % 'a'}}}"
    files.apply(places)
    files.apply(places.replace("9/b", "9/c").replace("9/a", "9/b"))
    assert summary(files.undo()) == {"endpoints/x": "UPDATE", "endpoints/y": "UPDATE"}
    assert summary(files.plan(places)) == {}


def test_a_price_that_would_be_without_the_other_one_is_left(files: Files) -> None:
    """Somebody has changed one of the two, and a model has both or neither."""
    files.apply("models: {p/four: {}}\n" + BEFORE)
    apply_priced = "models: {p/four: {input_price_usd: 1, output_price_usd: 2}}\n" + BEFORE
    files.apply(apply_priced.replace("before", "after"))
    files.catalog.update(PLATFORM, "p/four", {"output_price_usd": Decimal(3)})
    assert_left(files, ["models/p/four"])
    assert files.catalog.get(PLATFORM, "p/four").input_price_usd == 1
