"""Copies of what an import read and is about to replace: private, and made before anything is written."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path


def make(output: Path, sources: Sequence[Path], now: datetime) -> Path:
    """The folder of the copies, beside the output. Raises OSError."""
    folder = _new_folder(output.with_name(f"{output.name}.backup-{now:%Y%m%d-%H%M%S}"))
    if output.exists():
        _copy(output, folder / output.name)
    for number, source in enumerate(sources, 1):
        # Two sources may have one name.
        _copy(source, folder / f"{number:02}-{source.name}")
    return folder


def write(path: Path, text: str) -> None:
    """The whole text or nothing of it; what was there is replaced. Raises OSError."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def _new_folder(wanted: Path) -> Path:
    folder, number = wanted, 1
    while True:
        try:
            # The sources may hold keys.
            folder.mkdir(mode=0o700)
        except FileExistsError:
            number += 1
            folder = wanted.with_name(f"{wanted.name}-{number}")
        else:
            return folder


def _copy(source: Path, to: Path) -> None:
    shutil.copyfile(source, to)
    to.chmod(0o600)
