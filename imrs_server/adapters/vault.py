"""Provider keys in Vault's KV version 2: the only place they are kept, and never a copy of them here.

No other source, and nothing is kept here: with Vault away there is no key (fail closed); who reads may keep a
key for seconds where the operator wishes it (key_cache.py). Login when it is first needed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import hvac
import requests
from hvac import exceptions as refused

from imrs_server.adapters.breaker import Breaker, CircuitOpen
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import CredentialMissing, VaultForbidden, VaultSealed, VaultUnreachable
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")

_FIELD = "api_key"
_OWNER = "imrs_database"
_KEY_CHARACTERS = 4096


class VaultState(StrEnum):
    """What ``check`` found."""

    OK = "OK"
    SEALED = "SEALED"
    FORBIDDEN = "FORBIDDEN"
    UNREACHABLE = "UNREACHABLE"


@dataclass(frozen=True, slots=True)
class KeyState:
    """What ``look`` found: whether the newest version can be read, and when a version last was written."""

    usable: bool
    update_time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """How long a login lasts, 0 for ever, and whether it can be made to last longer."""

    seconds: int
    renewable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultTiming:
    """Bounds: a call waits ``slot_seconds`` for one of ``slots``, then for the connection and the answer."""

    connect_seconds: float = 1.0
    read_seconds: float = 2.0
    slots: int = 8
    slot_seconds: float = 0.5
    open_seconds: float = 1.0


class VaultAuth(StrEnum):
    """How to log in: by a role id and a secret id, or by a Kubernetes role and the pod's own token."""

    APPROLE = "approle"
    KUBERNETES = "kubernetes"


class Vault:
    """Reads and writes keys. Thread-safe; waits are bounded by its timing.

    Every method but ``check`` raises VaultSealed, VaultForbidden or VaultUnreachable (with the seconds after
    which another try makes sense). ``role_id`` and ``secret_id`` are asked for at every login, so that a
    rotated secret id is taken up without a restart. With KUBERNETES they are
    the role's name and the service account's token, which the kubelet renews in its file.
    """

    def __init__(
        self,
        address: str,
        *,
        role_id: Callable[[], str],
        secret_id: Callable[[], str],
        mount: str = "secret",
        auth: VaultAuth = VaultAuth.APPROLE,
        auth_mount: str = "",
        namespace: str | None = None,
        ca_bundle: str | None = None,
        timing: VaultTiming | None = None,
    ) -> None:
        timing = timing or VaultTiming()
        session = requests.Session()
        # Neither a proxy nor a .netrc of the environment has a say in where keys go.
        session.trust_env = False
        session.verify = ca_bundle or True
        # An empty token, because for None hvac looks into the environment and the home folder.
        self._client = hvac.Client(
            url=address,
            token="",
            namespace=namespace,
            session=session,
            timeout=(timing.connect_seconds, timing.read_seconds),
            allow_redirects=False,
        )
        self._mount = mount
        self._timing = timing
        self._slots = threading.BoundedSemaphore(timing.slots)
        self._breaker = Breaker(open_seconds=timing.open_seconds)
        credentials = _Credentials(auth=auth, mount=auth_mount or auth, role=role_id, proof=secret_id)
        self._login = _Login(self._client, credentials, timing.read_seconds)

    def read(self, path: CredentialPath, *, version: int | None = None) -> Secret:
        """The key, in its newest or the given version. Raises CredentialMissing where there is none."""
        value = self._field(path, _FIELD, version)
        # What somebody else put there must not reach a header.
        if not isinstance(value, str) or not 0 < len(value) <= _KEY_CHARACTERS or not value.isprintable():
            raise CredentialMissing(provider_id=path.provider_id)
        return Secret(value)

    def look(self, path: CredentialPath) -> KeyState | None:
        """How it stands with a key, without reading it; None where there never was one."""
        try:
            answer = self._call(lambda: self._kv.read_secret_metadata(str(path), mount_point=self._mount))
        except _NotThere:
            return None
        data = _member(answer, "data")
        newest = _member(_member(data, "versions"), str(_member(data, "current_version")))
        deletion_time = _time(_member(newest, "deletion_time"))
        gone = deletion_time is not None and deletion_time <= datetime.now(UTC)
        return KeyState(
            usable=newest is not None and not gone and _member(newest, "destroyed") is False,
            update_time=_time(_member(data, "updated_time")) or datetime.now(UTC),
        )

    def owner(self, path: CredentialPath) -> str | None:
        """The id under which the key was written; None where somebody else wrote it, or none is there."""
        try:
            found = self._field(path, _OWNER, None)
        except CredentialMissing:
            return None
        return found if isinstance(found, str) else None

    def write(self, path: CredentialPath, api_key: Secret, *, owner: UUID | None = None) -> int:
        """Store a new version of the key; older ones stay readable. The number of the version comes back.

        ``owner`` is kept beside the key: the database that notes it.
        """
        secret = {_FIELD: api_key.reveal()} | ({} if owner is None else {_OWNER: str(owner)})
        answer = self._call(
            lambda: self._kv.create_or_update_secret(str(path), secret=secret, mount_point=self._mount)
        )
        version = _member(_member(answer, "data"), "version")
        if not isinstance(version, int):
            # A mount of KV version 1 takes anything and numbers nothing.
            raise VaultForbidden
        return version

    def destroy_version(self, path: CredentialPath, version: int) -> None:
        """Remove one version for good: undoes ``write`` without touching what was there before."""
        with suppress(_NotThere):
            self._call(
                lambda: self._kv.destroy_secret_versions(str(path), [version], mount_point=self._mount)
            )

    def delete(self, path: CredentialPath) -> None:
        """Remove the key with all its versions; fine when there is none."""
        with suppress(_NotThere):
            self._call(lambda: self._kv.delete_metadata_and_all_versions(str(path), mount_point=self._mount))

    def paths(self) -> Iterator[CredentialPath]:
        """All keys that lie where IMRS puts them, deleted ones included: for the sweep of orphans."""
        for provider_id in self._names("llm"):
            if not provider_id.endswith("/"):
                yield from _valid(provider_id)
                continue
            base = f"llm/{provider_id}agents/"
            for tenant in self._names(base):
                for agent_id in self._names(base + tenant):
                    yield from _valid(provider_id.rstrip("/"), tenant.rstrip("/"), agent_id)

    def check(self) -> VaultState:
        """Ask how Vault is and whether it lets this server in; never raises, and closes an open circuit."""
        try:
            with _translated():
                health = self._client.sys.read_health_status(method="GET")
            report = health.json() if isinstance(health, requests.Response) else health
            if _member(report, "sealed") is not False or _member(report, "initialized") is not True:
                return VaultState.SEALED
            self._breaker.close()
            self._call(self._client.auth.token.lookup_self)
        except VaultSealed:
            return VaultState.SEALED
        except VaultForbidden:
            return VaultState.FORBIDDEN
        except (VaultUnreachable, _NotThere, ValueError):
            return VaultState.UNREACHABLE
        return VaultState.OK

    def lease(self) -> Lease:
        """How long the login lasts."""
        data = _member(self._call(self._client.auth.token.lookup_self), "data")
        seconds = _member(data, "ttl")
        return Lease(
            seconds=seconds if isinstance(seconds, int) else 0, renewable=_member(data, "renewable") is True
        )

    def rights(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        """What the login may do at each path, such as ``read``; paths begin with a mount."""
        answer = self._call(lambda: self._client.sys.get_capabilities(list(paths)))
        data = _member(answer, "data")
        return {path: frozenset(_member(data, path) or ()) for path in paths}

    def versions_keys(self) -> bool:
        """Whether the mount is a KV engine of version 2."""
        path = f"/v1/sys/internal/ui/mounts/{self._mount}"
        data = _member(self._call(lambda: self._client.adapter.get(path)), "data")
        return bool(_member(_member(data, "options"), "version") == "2")

    def close(self) -> None:
        """Close its connections."""
        self._client.adapter.close()

    @property
    def _kv(self) -> Any:
        return self._client.secrets.kv.v2

    def _field(self, path: CredentialPath, name: str, version: int | None) -> Any:
        try:
            answer = self._call(
                lambda: self._kv.read_secret_version(
                    str(path), version=version, mount_point=self._mount, raise_on_deleted_version=True
                )
            )
        except _NotThere:
            raise CredentialMissing(provider_id=path.provider_id) from None
        data = _member(_member(answer, "data"), "data")
        return _member(data, name)

    def _names(self, path: str) -> list[str]:
        try:
            answer = self._call(lambda: self._kv.list_secrets(path, mount_point=self._mount))
        except _NotThere:
            return []
        names = _member(_member(answer, "data"), "keys")
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def _call(self, operation: Callable[[], T]) -> T:
        """Run one request, logged in; Forbidden may mean a dead token, so once more with a new one."""
        if not self._slots.acquire(timeout=self._timing.slot_seconds):
            raise VaultUnreachable
        try:
            with self._breaker.watch(VaultUnreachable), _translated():
                token = self._login.token()
                try:
                    return operation()
                except refused.Forbidden:
                    self._login.replace(token)
                    return operation()
        except CircuitOpen as circuit:
            raise VaultUnreachable(retry_after_seconds=circuit.retry_after_seconds) from None
        finally:
            self._slots.release()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Credentials:
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


class _Login:
    """The client's token: got when first needed, renewed after 2/3 of its lease, replaced when refused."""

    def __init__(self, client: hvac.Client, credentials: _Credentials, wait_seconds: float) -> None:
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
        lease = _member(_member(answer, "auth"), "lease_duration")
        seconds = float(lease) if isinstance(lease, int) and lease > 0 else float("inf")
        self._renew_at = time.monotonic() + seconds * 2 / 3
        return seconds


class _NotThere(Exception):
    """Vault knows the mount, and nothing at this path."""


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except requests.RequestException as failure:
        raise VaultUnreachable from failure
    except refused.VaultDown as failure:
        # A proxy before Vault, or a cluster without a leader, answers 503 as well.
        sealed = any("sealed" in str(error).lower() for error in failure.errors or ())
        raise (VaultSealed if sealed else VaultUnreachable) from failure
    except refused.VaultNotInitialized as failure:
        raise VaultSealed from failure
    except (refused.Forbidden, refused.Unauthorized, refused.InvalidRequest) as failure:
        raise VaultForbidden from failure
    except refused.InvalidPath as failure:
        # "no handler for route": the mount is not there, which no key will change.
        if failure.errors:
            raise VaultForbidden from failure
        raise _NotThere from failure
    except refused.VaultError as failure:
        raise VaultUnreachable from failure


def _member(answer: Any, name: str) -> Any:
    return answer.get(name) if isinstance(answer, dict) else None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and text else None
    except ValueError:
        return None


def _valid(
    provider_id: str, tenant: str | None = None, agent_id: str | None = None
) -> Iterator[CredentialPath]:
    """The path, unless the names are none that IMRS gives."""
    try:
        yield CredentialPath(provider_id, None if tenant is None else UUID(tenant), agent_id)
    except ValueError:
        return
