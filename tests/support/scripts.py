"""Runs a script as its user does, but with deadlines that a slow machine keeps too.

``python -m tests.support.scripts SCRIPT WORDS...``, where this repository is found.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import imrs_client
from tests.support import patience

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]


def run(script: Path, *words: str, variables: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script that makes clients, with these in its environment."""
    command = [sys.executable, "-m", __name__, str(script), *words]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | dict(variables), capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    vars(imrs_client)["ImrsClient"] = partial(
        imrs_client.ImrsClient, timeouts_seconds=patience.TIMEOUTS_SECONDS
    )
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
