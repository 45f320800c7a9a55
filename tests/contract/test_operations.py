"""What is written for who runs it says what the code says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from imrs_server.embedded.openbao import POLICY

ROOT = Path(__file__).parents[2]


def test_every_setting_is_in_the_table() -> None:
    command = [sys.executable, str(ROOT / "tools" / "settings_table.py"), "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_policy_is_the_one_that_all_tests_run_with() -> None:
    assert POLICY in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_every_figure_is_in_the_table() -> None:
    figure = r"(?:imrs|llm|grpc_server)_[a-z_]+?"
    code = [path for part in ("wiring", "telemetry") for path in (ROOT / "imrs_server" / part).glob("*.py")]
    code.append(ROOT / "imrs_server" / "console" / "app.py")
    declared = {
        name
        for path in code
        for name in re.findall(rf'"({figure})(?:_total|_sum|_count)?"', path.read_text(encoding="utf-8"))
    }
    document = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    assert len(declared) > 30
    assert declared == set(re.findall(rf"`({figure})(?:_total)?`", document))


def test_every_alert_names_its_section_of_the_runbook_and_no_section_is_of_none() -> None:
    alerts = (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text(encoding="utf-8")
    named = re.findall(r'- alert: (\w+)\n(?:(?!\s+- alert:).*\n)*?\s+runbook: "([^"]*)"', alerts)
    assert len(named) == alerts.count("- alert:")
    assert named == [(name, f"docs/runbook.md#{name.lower()}") for name, _ in named]
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### (\w+)\n\n(?=\S)", runbook, re.MULTILINE)
    assert sorted(sections) == sorted(name for name, _ in named)


def test_what_the_runbook_looks_for_in_the_log_is_written_there() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "imrs_server").rglob("*.py"))
    runbook = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    events = set(re.findall(r"`([a-z]+\.[a-z]+|call failed)`", runbook))
    assert len(events) > 10
    # A job that fails says so by its name.
    written = {
        each for each in events if f'"{each}"' in code or f'Loop("{each.removesuffix(".failed")}"' in code
    }
    assert events - written == set()
