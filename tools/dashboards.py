"""Write deploy/grafana/dashboards/*.json; --check only says whether they are as this makes them.

From the top of the repository: python -m tools.dashboards
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tools.dashboard_panels import DASHBOARDS, Dashboard

if TYPE_CHECKING:
    from tools.dashboard_lines import Panel

FOLDER = Path(__file__).resolve().parent.parent / "deploy" / "grafana" / "dashboards"
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}


@dataclass
class Place:
    """Where the next panel goes: from left to right, then on the next line."""

    x: int = 0
    y: int = 0
    line: int = 0

    def take(self, width: int, height: int) -> dict[str, int]:
        if self.x + width > WIDTH:
            self.x, self.y, self.line = 0, self.y + self.line, 0
        found = {"x": self.x, "y": self.y, "w": width, "h": height}
        self.x, self.line = self.x + width, max(self.line, height)
        return found


def dashboard(made: Dashboard) -> dict[str, Any]:
    place = Place()
    variables = [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"},
        _variable("instance", "Server", "label_values(imrs_index_revision, instance)"),
        *(
            [_variable("agent", "Agent", "label_values(llm_tokens_total, agent)")]
            if any("$agent" in line.expr for panel in made.panels for line in panel.lines)
            else []
        ),
    ]
    return {
        "uid": made.uid,
        "title": made.title,
        "description": made.description,
        "tags": ["imrs"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables},
        "links": [
            {"type": "dashboards", "tags": ["imrs"], "title": "IMRS", "asDropdown": True, "keepTime": True}
        ],
        "panels": [
            _panel(number, each, place.take(each.width, each.height))
            for number, each in enumerate(made.panels, 1)
        ],
    }


def _variable(name: str, label: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.alarm is not None:
        colours = ("red", "green") if panel.below else ("green", "red")
        steps: list[dict[str, Any]] = [
            {"color": colours[0], "value": None},
            {"color": colours[1], "value": panel.alarm},
        ]
        defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        defaults["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        stack = {"mode": "normal" if panel.stacked else "none", "group": "A"}
        defaults["custom"] = {
            "fillOpacity": 25 if panel.stacked else 0,
            "stacking": stack,
            "showPoints": "never",
        }
        defaults.pop("color", None)
        options: dict[str, Any] = {
            "legend": {"displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {"reduceOptions": {"calcs": ["lastNotNull"]}, "colorMode": "value", "graphMode": "area"}
    return {
        "id": number,
        "title": panel.title,
        "description": panel.description,
        "type": panel.kind,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options,
        "targets": [
            {
                "refId": chr(ord("A") + at),
                "datasource": SOURCE,
                "expr": line.expr,
                "legendFormat": line.legend,
            }
            for at, line in enumerate(panel.lines)
        ],
    }


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = {
        FOLDER / f"{each.name}.json": json.dumps(dashboard(each), indent=1) + "\n" for each in DASHBOARDS
    }
    if "--check" not in sys.argv:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    elif [path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text]:
        sys.exit("deploy/grafana/dashboards is not what `python -m tools.dashboards` makes: run it")


if __name__ == "__main__":
    main()
