"""What the README shows is what happens."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from imrs_client import NotFound
from imrs_client.v1 import DeleteAgentRequest, DeleteProviderRequest
from tests.support import scripts
from tests.support.model_server import model_server
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.dev import Dev

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
MODEL_SERVER = "http://127.0.0.1:11434"
DECISION = re.compile(r'"decision_id": "(.*?)"')
# What is left out, differs each time, or depends on the time.
VARIABLE = re.compile(r' *\.\.\.|.*"decision_id".*|.*: \d\.\d{9,},')
# It may not know yet of what was written a moment ago.
ROUTES = re.compile(r"RouteService/(Explain)?Route\b")


@pytest.fixture(scope="session")
def grpcurl(require_program: Callable[[str], Path]) -> Path:
    return require_program("grpcurl")


@pytest.fixture
def visited(dev: Dev) -> Iterator[Dev]:
    """It has what it had before when the session is over, however far that came."""
    yield dev
    with dev.client("TENANT_ADMIN") as tenant, dev.client("PLATFORM_ADMIN") as platform:
        with suppress(NotFound):
            tenant.admin.DeleteAgent(DeleteAgentRequest(agent_id="helper"))
        with suppress(NotFound):
            platform.admin.DeleteProvider(DeleteProviderRequest(provider_id="local"))


def test_the_session_prints_what_is_shown(grpcurl: Path, visited: Dev) -> None:
    """Each `sh` block is played, and each line of the block after it appears."""
    prelude, *_ = re.findall(r"^call\(\) .*$", README, re.MULTILINE)
    steps = [(said, shown) for (kind, said), (_, shown) in pairwise(BLOCKS) if kind == "sh"][1:]
    assert len(steps) == 7
    decision = written = DECISION.findall(README)[0]
    with model_server() as address:

        def play(script: str) -> str:
            for old, new in ((written, decision), (MODEL_SERVER, address)):
                script = script.replace(old, new)
            whole = f"{prelude.replace('grpcurl', str(grpcurl))}\n{script}"
            command = ["sh", "-c", whole]
            done = subprocess.run(
                command, env=os.environ | visited.variables, capture_output=True, text=True, check=False
            )
            return (done.stdout + done.stderr).replace(address, MODEL_SERVER)

        for said, shown in steps:
            waits = ROUTES.search(said) is not None
            printed = once_shown(partial(play, said), shown) if waits else play(said)
            assert not missing(shown, printed), printed
            if '"decision_id": "01' in shown:
                decision = DECISION.findall(printed)[0]


def once_shown(play: Callable[[], str], shown: str) -> str:
    """What is printed when that is what the README shows; or, where it never is, what was printed last."""
    printed = ""

    def appears() -> bool:
        nonlocal printed
        printed = play()
        return not missing(shown, printed)

    with suppress(AssertionError):
        eventually(appears)
    return printed


def missing(shown: str, printed: str) -> list[str]:
    """Lines of the README that do not appear."""
    wanted = [line for line in shown.splitlines() if not VARIABLE.fullmatch(line)]
    return [line for line in wanted if line not in printed.splitlines()]


def test_the_python_example_runs(dev: Dev, tmp_path: Path) -> None:
    (example,) = [text for kind, text in BLOCKS if kind == "python"]
    script = tmp_path / "example.py"
    script.write_text(example, encoding="utf-8")
    done = scripts.run(script, variables=dev.variables)
    assert (done.returncode, done.stderr) == (0, "")
