"""Refuse hand-written Python files that are too long to be read in one sitting (the SRS's limit)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIMIT_LINES = 650
GENERATED = "imrs_client/v1/"


def too_long(root: Path, limit_lines: int = LIMIT_LINES) -> list[tuple[str, int]]:
    """Files that git knows or would take, with their lines, the longest first."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    files = [name for name in listed if not name.startswith(GENERATED) and (root / name).exists()]
    counted = [(name, len((root / name).read_text().splitlines())) for name in files]
    return sorted((pair for pair in counted if pair[1] > limit_lines), key=lambda pair: -pair[1])


def main() -> None:
    found = too_long(ROOT)
    for name, lines in found:
        print(f"{name}: {lines} lines, {LIMIT_LINES} are allowed")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
