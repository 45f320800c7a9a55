"""Commands called as a person calls them, with an environment that holds what the test says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from imrs_server.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.testing import Result


@pytest.fixture
def imrs() -> Callable[..., Result]:
    """Run ``imrs`` in this process; keywords are its variables without ``IMRS_``."""
    inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith("IMRS_")}

    def run(*words: str, typed: str | None = None, **variables: str) -> Result:
        given = {f"IMRS_{name.upper()}": value for name, value in variables.items()}
        return CliRunner().invoke(main, words, input=typed, env=inherited | given)

    return run
