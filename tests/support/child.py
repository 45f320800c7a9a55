"""A server in a process of its own, for what a test must not do to its own process."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from imrs_server.settings import Settings

# Everything that any library has to say goes to the output as well.
_CODE = """
import logging, time
logging.basicConfig(level=logging.DEBUG)
from imrs_server.settings import Settings
from imrs_server.telemetry import logs
from imrs_server.wiring import App
logs.configure(json=True, level="DEBUG")
with App(Settings()) as app:
    assert app.wait_ready(60)
    logging.getLogger("child").debug("address %s", app.address)
    time.sleep(600)
"""


@contextmanager
def child(
    settings: Settings, folder: Path, *, vault_address: str = "", grpc_addr: str = "127.0.0.1:0"
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A server with the same settings on a free port or ``grpc_addr``, and its address; killed at the end.

    What it logs, and whatever else it writes, is in ``folder / "output"``.
    """
    secret_id = settings.vault_secret_id
    assert secret_id is not None
    environment = {
        **os.environ,
        "IMRS_GRPC_ADDR": grpc_addr,
        "IMRS_DATABASE_URL": settings.database_url.get_secret_value(),
        "IMRS_VAULT_ADDR": vault_address or settings.vault_addr,
        "IMRS_VAULT_ROLE_ID": settings.vault_role_id,
        "IMRS_VAULT_SECRET_ID": secret_id.get_secret_value(),
        "IMRS_JWT_SECRETS": ",".join(each.get_secret_value() for each in settings.jwt_secrets),
        "IMRS_PROVIDER_ALLOW": ",".join(str(each) for each in settings.provider_allow),
    }
    output = folder / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", _CODE], env=environment, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        eventually(lambda: process.poll() is not None or b":address " in output.read_bytes(), 90)
        assert process.poll() is None, output.read_text()
        yield process, output.read_text().partition(":address ")[2].split()[0]
    finally:
        process.kill()
        process.wait()
