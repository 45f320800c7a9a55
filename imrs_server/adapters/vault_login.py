"""Logging in to Vault: a token, got when it is first needed, renewed, and replaced when it is refused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import requests
from hvac import exceptions as refused

from imrs_server.adapters.vault_answers import member
from imrs_server.domain.errors import VaultForbidden, VaultUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator

    import hvac


class VaultAuth(StrEnum):
    """How to log in: by a role id and a secret id, or by a Kubernetes role and the pod's own token."""

    APPROLE = "approle"
    KUBERNETES = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who logs in, and by which method at which mount. ``role`` and ``proof`` are asked for each time."""

    auth: VaultAuth
    mount: str
    role: Callable[[], str]
    proof: Callable[[], str]

    def present(self, client: hvac.Client) -> Any:
        """Log the client in. Raises OSError where a file cannot be read, and what hvac raises."""
        role, proof = self.role(), self.proof()
        if self.auth is VaultAuth.KUBERNETES:
            return client.auth.kubernetes.login(role, proof, mount_point=self.mount)
        return client.auth.approle.login(role, proof, mount_point=self.mount)


class Login:
    """The client's token: got when first needed, renewed after 2/3 of its lease, replaced when refused."""

    def __init__(self, client: hvac.Client, credentials: Credentials, wait_seconds: float) -> None:
        self._client = client
        self._credentials = credentials
        self._wait_seconds = wait_seconds
        self._lock = threading.Lock()
        self._lease_seconds = 0.0
        self._renew_at = float("inf")

    def token(self) -> str:
        """A token that should be good."""
        if not self._client.token or time.monotonic() >= self._renew_at:
            with self._alone():
                if not self._client.token:
                    self._log_in()
                elif time.monotonic() >= self._renew_at:
                    self._renew()
        return str(self._client.token)

    def replace(self, token: str) -> None:
        """Get a new token, unless another thread has done so since ``token`` was taken."""
        with self._alone():
            if self._client.token == token:
                self._log_in()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=self._wait_seconds):
            raise VaultUnreachable
        try:
            yield
        finally:
            self._lock.release()

    def _log_in(self) -> None:
        try:
            answer = self._credentials.present(self._client)
        except requests.RequestException:
            # These are OSErrors too.
            raise
        except OSError as failure:
            raise VaultForbidden from failure
        self._lease_seconds = self._leased(answer)

    def _renew(self) -> None:
        try:
            answer = self._client.auth.token.renew_self()
        except refused.VaultError:
            # Forbidden when it has died, InvalidRequest when it cannot be renewed, and 500 from OpenBao when
            # it dies meanwhile. Should Vault itself be unwell, the login says so.
            self._log_in()
            return
        # Near the token's maximal age Vault grants less and less.
        if self._leased(answer) < self._lease_seconds / 2:
            self._log_in()

    def _leased(self, answer: Any) -> float:
        lease = member(member(answer, "auth"), "lease_duration")
        seconds = float(lease) if isinstance(lease, int) and lease > 0 else float("inf")
        self._renew_at = time.monotonic() + seconds * 2 / 3
        return seconds
