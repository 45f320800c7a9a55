"""Dashboards and alerts show something: every query finds its figures on a server that has lived.

A real Prometheus scrapes it. What needs months of figures is tried on made-up ones by promtool.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.full_life import KEY, SAID, TRACE_ID, TRAIL, living
from tests.support.prometheus import scraping
from tests.support.scraped import get
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Vault

ROOT = Path(__file__).parents[2]
RULES = ROOT / "deploy" / "prometheus"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))

# What Grafana puts in the place of its variables, when everything is chosen.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$agent": ".*"}
# A comparison, outside of braces: it drops series, and with `bool` it only says what it found.
COMPARISON = re.compile(r"(\{[^}]*\})|\s(>=|<=|==|!=|>|<)\s")


def panels() -> Iterator[tuple[str, str]]:
    """Where a query stands, and the query."""
    for path in DASHBOARDS:
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"]


def alerts() -> Iterator[tuple[str, str]]:
    """Name and expression of every alert, as promtool reads the file: by its own words, not by YAML."""
    text = (RULES / "alerts.yml").read_text()
    for found in re.finditer(
        r"- alert: (\w+)\n(?:\s+#.*\n)?\s+expr: (?:>-\n)?((?:.*\n)+?)(?=\s+(?:for|labels):)", text
    ):
        yield found[1], " ".join(found[2].split())


def resolved(expr: str) -> str:
    for name, value in VARIABLES.items():
        expr = expr.replace(name, value)
    return expr


def unfiltered(expr: str) -> str:
    """An alert's expression that tells what it looks at, also while there is nothing to tell of."""
    # There is no yesterday of a server that just started.
    expr = re.sub(r" offset \w+", "", expr)
    return COMPARISON.sub(lambda found: found[1] or f" {found[2]} bool ", expr)


def test_the_expressions_are_found() -> None:
    assert len(list(panels())) > 50
    assert len(list(alerts())) == (RULES / "alerts.yml").read_text().count("- alert:")
    assert (
        unfiltered('a{b!="c"} > 0.5 and x[7d] offset 1h >= 3') == 'a{b!="c"} > bool 0.5 and x[7d] >= bool 3'
    )


def test_the_dashboards_are_those_of_the_tool() -> None:
    command = [sys.executable, "-m", "tools.dashboards", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [path.stem for path in DASHBOARDS] == ["overview", "reliability", "routing", "tokens"]


@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "alerts.yml"),
        ("test", "rules", "alerts_test.yml", "cost_alerts_test.yml"),
    ],
)
def test_promtool_is_content(require_program: Callable[[str], Path], command: tuple[str, ...]) -> None:
    promtool = require_program("promtool")
    done = subprocess.run([promtool, *command], cwd=RULES, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_seen_to_fire_and_not_to_fire() -> None:
    tried = "".join(path.read_text() for path in RULES.glob("*_test.yml"))
    fires = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tried))
    silent = set(re.findall(r"alertname: (\w+)\n\s+exp_alerts: \[\]", tried))
    names = {name for name, _ in alerts()}
    assert names - fires == set()
    assert names - silent == set()


def test_no_query_is_empty_and_nothing_that_was_said_is_shown(
    require_program: Callable[[str], Path], database: str, vault: Vault, tmp_path: Path
) -> None:
    program = require_program("prometheus")
    queries = [(where, resolved(expr)) for where, expr in panels()]
    queries += [(name, unfiltered(expr)) for name, expr in alerts()]
    with (
        living(database, vault, tmp_path) as life,
        scraping(program, tmp_path, life.serve.address("metrics.started")) as prometheus,
    ):
        missing = queries

        def found() -> bool:
            nonlocal missing
            missing = [each for each in missing if not any(map(math.isfinite, prometheus.query(each[1])))]
            return not missing

        # A rate needs figures of two moments, that differ.
        life.live()
        eventually(lambda: prometheus.query("sum(imrs_decisions_total) > 0") != [])
        life.live()
        with suppress(AssertionError):
            eventually(found, 60)
        assert missing == []
        shown = [get(life.serve, path)[1] for path in ("/metrics", "/metrics/tokens")]
        # Nothing is there for a moment where a scrape was too slow.
        eventually(lambda: prometheus.query("imrs_workers_serving") == [2])
        tokens = 'llm_tokens_total{agent="bot", type="prompt"} >= 100'
        eventually(lambda: prometheus.query(tokens) != [])
    lines = life.serve.log.read_text()
    calls = [each for each in life.serve.events if each["event"] == "call"]
    from_the_door = [each for each in calls if each.get("request_id") == TRAIL["x-request-id"]]
    assert {(each["method"], each["trace_id"]) for each in from_the_door} == {
        ("/imrs.v1.RouteService/Complete", TRACE_ID)
    }
    assert '"event": "decision"' in lines
    assert '"/imrs.v1.RouteService/Complete"' in lines
    assert not [each for each in (*shown, *lines.splitlines()) if SAID in each or KEY in each]
