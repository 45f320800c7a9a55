"""A real Prometheus that scrapes a server of a test."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.support import patience
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CONFIG = """
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
scrape_configs:
  - job_name: imrs
    static_configs: [{targets: ["%s"]}]
"""


# On the port that it has taken, not on the one that it was told.
_LISTENS = re.compile(r'"Listening on" address=127\.0\.0\.1:(\d+)')


class Prometheus:
    """One that answers at ``port``."""

    def __init__(self, port: int) -> None:
        self._port = port

    def query(self, expr: str) -> list[float]:
        """The value of each series of an instant vector. Fails for what is no PromQL."""
        answer = self._get(f"/api/v1/query?query={quote(expr)}")
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        data = answer["data"]
        if data["resultType"] == "scalar":
            return [float(data["result"][1])]
        return [float(each["value"][1]) for each in data["result"]]

    def ready(self) -> bool:
        try:
            return self.query("up") == [1.0]
        except (OSError, ValueError):
            return False

    def _get(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=patience.SECONDS)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def scraping(program: Path, folder: Path, target: str) -> Iterator[Prometheus]:
    """Scrape host:port once a second: a busy machine may take a good part of that to answer."""
    config, said = folder / "prometheus.yml", folder / "prometheus.log"
    config.write_text(_CONFIG % target)
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--web.listen-address=127.0.0.1:0",
    ]
    with said.open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        eventually(lambda: process.poll() is not None or _LISTENS.search(said.read_text()) is not None, 60)
        place = _LISTENS.search(said.read_text())
        assert place is not None, said.read_text()
        found = Prometheus(int(place[1]))
        eventually(lambda: process.poll() is not None or found.ready(), 60)
        assert process.poll() is None, said.read_text()
        yield found
    finally:
        process.kill()
        process.wait()
