"""An undo takes back what it can, and leaves what nobody can take back any more."""

from __future__ import annotations

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
