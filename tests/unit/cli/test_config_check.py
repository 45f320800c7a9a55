"""`imrs config validate` and `imrs config schema`: without a server, for people, editors and CI."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from click.testing import CliRunner

from imrs_server.cli import main
from tests.support.config_files import DOCUMENT_003, EVERYTHING

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["config", *arguments])


def test_a_good_file_is_valid_as_each_of_its_environments(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_text(DOCUMENT_003)
    found = run("validate", str(path))
    assert (found.exit_code, found.stdout) == (0, f"{path}: valid as production, development; 6 agents\n")


def test_every_problem_is_a_line_that_editors_can_jump_to(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.yaml"
    good.write_text(EVERYTHING)
    bad.write_text("agents:\n  x:\n    model: 3\n    temperature: 9\n")
    found = run("validate", str(bad), str(good))
    assert found.exit_code == 1
    assert found.stderr.splitlines() == [
        f"{bad}:3:12: agents.x.model: must be text, not 3; quote it if it is text",
        f"{bad}:4:18: agents.x.temperature: must be at most 2.0, not 9",
    ]
    assert "2 providers, 3 models, 1 endpoints, 1 preferences, 2 agents, 1 rules, 2 budgets" in found.stdout


def test_problems_as_json(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"agents: {x: {model: 3}}")
    found = run("validate", "--json", str(path))
    assert found.exit_code == 1
    assert json.loads(found.stdout) == [
        {
            "file": str(path),
            "line": 1,
            "column": 21,
            "path": "agents.x.model",
            "expected": "must be text, not 3; quote it if it is text",
        }
    ]


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "models.yaml"
    path.write_bytes(b"agents: \xff")
    found = run("validate", str(path))
    assert (found.exit_code, found.stderr) == (1, f"Error: {path}: must be UTF-8\n")


def test_the_schema_names_every_section() -> None:
    found = json.loads(run("schema").stdout)
    assert found["$schema"].endswith("2020-12/schema")
    assert {"agents", "providers", "models", "rules", "policies", "environments"} <= set(found["properties"])
    assert found["$defs"]["Agent"]["additionalProperties"] is False
