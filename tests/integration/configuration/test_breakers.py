"""A file that changes what failed closes its breakers, as whoever changes it otherwise does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from imrs_server.domain.breaker import Cause, Subject, SubjectKind, Trouble
from imrs_server.storage import breakers, changes
from imrs_server.use_cases import breaker_reports
from imrs_server.use_cases.breaker_reports import Report

if TYPE_CHECKING:
    from tests.integration.configuration.conftest import Files

OTHER = "other: {provider_type: CUSTOM, api_base: 'http://127.0.0.1:9/v1'}"
PROVIDERS = f"""
providers:
  mine: {{provider_type: CUSTOM, api_base: 'http://127.0.0.1:9/v1', display_name: Mine}}
  {OTHER}
"""
REST = """
models: {mine/m: {}, other/m: {}}
endpoints: {e: {model_id: mine/m, base_url: 'http://127.0.0.1:9/e'}}
"""
MINE = {
    Subject(SubjectKind.PROVIDER, "mine"),
    Subject(SubjectKind.MODEL, "mine/m"),
    Subject(SubjectKind.ENDPOINT, "e"),
}
OTHERS = {Subject(SubjectKind.PROVIDER, "other"), Subject(SubjectKind.MODEL, "other/m")}


@pytest.fixture
def failing(files: Files) -> Files:
    """All that the file makes is left alone, as nobody reaches it."""
    files.apply(PROVIDERS + REST)
    with files.database.transaction() as tx:
        breaker_reports.write(tx, {each: Report(0, Trouble(Cause.NETWORK)) for each in MINE | OTHERS})
    assert opened(files) == MINE | OTHERS
    return files


def opened(files: Files) -> set[Subject]:
    with files.database.transaction() as tx:
        return {each.subject for each in breakers.open_ones(tx)}


@pytest.mark.parametrize(
    "text",
    [
        PROVIDERS.replace("127.0.0.1:9/v1", "127.0.0.2:9/v1", 1) + REST,
        PROVIDERS.replace("Mine}", "Mine, state: DISABLED}") + REST,
        f"providers:\n  {OTHER}\nmodels: {{other/m: {{}}}}",
    ],
    ids=["another address", "disabled", "gone"],
)
def test_a_provider_that_changes_begins_anew_and_others_do_not(failing: Files, text: str) -> None:
    revision = failing.revision()
    failing.apply(text)
    assert opened(failing) == OTHERS
    assert failing.revision() == revision + 1
    with failing.database.system() as tx:
        assert "cooldown" in {each.kind for _, each in changes.since(tx, revision)}


def test_what_an_undo_brings_back_begins_anew_too(failing: Files) -> None:
    failing.apply(PROVIDERS.replace("Mine", "Ours") + REST)
    with failing.database.transaction() as tx:
        breaker_reports.write(tx, {each: Report(0, Trouble(Cause.NETWORK)) for each in MINE})
    failing.undo()
    assert opened(failing) == OTHERS


def test_a_file_that_changes_nothing_leaves_them_and_tells_nobody(failing: Files) -> None:
    revision = failing.revision()
    failing.apply(PROVIDERS + REST)
    assert opened(failing) == MINE | OTHERS
    assert failing.revision() == revision


def test_who_was_well_is_not_announced_to_be_well_again(files: Files) -> None:
    files.apply(PROVIDERS + REST)
    revision = files.revision()
    files.apply(PROVIDERS.replace("Mine", "Ours") + REST.replace("9/e", "9/f"))
    with files.database.system() as tx:
        assert {each.kind for _, each in changes.since(tx, revision)} == {"provider", "endpoint"}
