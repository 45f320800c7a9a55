"""Compare protos/ with the last release: what travels must not break (the rules are in protos/buf.yaml)."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUF = Path(sys.executable).parent / "buf"


def last_release(root: Path) -> str | None:
    """The newest version tag (`v1.2.3`) in the history of HEAD; None before the first release."""
    tags = _git(root, "tag", "--list", "v*", "--merged", "HEAD", "--sort=-version:refname")
    return next(iter(tags.decode().splitlines()), None)


def compare(root: Path, tag: str) -> int:
    """What `buf breaking` answers: 0 when all is well, else it has printed file, line and rule."""
    with tempfile.TemporaryDirectory() as temporary:
        with tarfile.open(fileobj=BytesIO(_git(root, "archive", tag, "protos"))) as archive:
            archive.extractall(temporary, filter="data")
        released = Path(temporary) / "released.binpb"
        subprocess.run([BUF, "build", "-o", released], cwd=Path(temporary) / "protos", check=True)
        return subprocess.run(
            [BUF, "breaking", "--against", released], cwd=root / "protos", check=False
        ).returncode


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True).stdout


def main() -> None:
    tag = last_release(ROOT)
    if tag is None:
        print("breaking: skipped, for there is no release (tag v*) to compare with yet")
        return
    sys.exit(compare(ROOT, tag))


if __name__ == "__main__":
    main()
