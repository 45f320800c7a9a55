"""What one process saw of Vault, read by another."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.vault_view import Sighting, VaultView
from imrs_server.index.warm import Index
from imrs_server.jobs import shared_view
from imrs_server.jobs.shared_view import SharedView
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

SEEN = VaultView(
    sightings={
        CredentialPath("p"): Sighting(3, usable=True),
        CredentialPath("q"): Sighting(None, usable=False),
        CredentialPath("p", uuid4(), "bot"): Sighting(1, usable=False),
    }
)
AWAY = VaultView(answers=False)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "vault.json"
    assert shared_view.read(path) is None
    for view in (SEEN, AWAY):
        shared_view.write(path, view)
        assert shared_view.read(path) == view
    assert list(tmp_path.iterdir()) == [path]


def test_an_index_follows_the_file_and_hears_when_vault_is_back(tmp_path: Path) -> None:
    path, index = tmp_path / "vault.json", Index()
    back: list[bool] = []
    view = SharedView(path, index, lambda: back.append(True), period_seconds=0.01)
    view.start()
    try:
        shared_view.write(path, SEEN)
        eventually(lambda: index.vault == SEEN)
        shared_view.write(path, AWAY)
        eventually(lambda: index.vault == AWAY)
        assert not back
        shared_view.write(path, SEEN)
        eventually(lambda: back == [True])
        assert index.vault == SEEN
    finally:
        view.stop()


def test_a_file_that_cannot_be_read_changes_nothing_until_one_can(tmp_path: Path) -> None:
    path, index = tmp_path / "vault.json", Index()
    path.write_text("nonsense")
    view = SharedView(path, index, lambda: None, period_seconds=0.01)
    view.start()
    try:
        shared_view.write(path, SEEN)
        eventually(lambda: index.vault == SEEN)
    finally:
        view.stop()
