"""The folder of a run, and what killed runs leave."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

from imrs_server.cli import run_folder


def test_it_is_ours_alone_and_gone_at_the_end(tmp_path: Path) -> None:
    with run_folder.make(tmp_path) as folder:
        (folder / "file").touch()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list(tmp_path.iterdir())


def test_what_a_killed_run_left_is_removed_and_what_another_uses_stays(tmp_path: Path) -> None:
    left, new = tmp_path / "imrs-run-left", tmp_path / "imrs-run-new"
    for each in (left, new):
        each.mkdir()
    (left / "file").touch()
    with run_folder.make(tmp_path) as first:
        (first / "file").touch()
        assert not left.exists()
        assert new.exists()  # whoever made it has had no time to lock it
        with run_folder.make(tmp_path) as second:
            assert first.exists()
            assert second != first


def test_memory_is_used_where_it_has_room(tmp_path: Path) -> None:
    assert run_folder.place(tmp_path, room_bytes=1) == tmp_path
    assert run_folder.place(tmp_path, room_bytes=1 << 60) == Path(tempfile.gettempdir())
    assert run_folder.place(tmp_path / "nowhere") == Path(tempfile.gettempdir())
