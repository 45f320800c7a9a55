"""A real Prometheus that scrapes a server of a test."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

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
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=10)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextmanager
def scraping(program: Path, folder: Path, target: str) -> Iterator[Prometheus]:
    """Scrape host:port once a second: a busy machine may take a good part of that to answer."""
    config = folder / "prometheus.yml"
    config.write_text(_CONFIG % target)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        found = Prometheus(port)
        eventually(lambda: process.poll() is not None or found.ready(), 60)
        assert process.poll() is None, (folder / "prometheus.log").read_text()
        yield found
    finally:
        process.kill()
        process.wait()
