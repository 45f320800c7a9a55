"""Provider keys in Vault's KV version 2: the only place they are kept, and never a copy of them here.

No other source, and nothing is kept here: with Vault away there is no key (fail closed); who reads may keep a
key for seconds where the operator wishes it (key_cache.py). Login when it is first needed.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import hvac
import requests
from hvac import exceptions as refused

from imrs_server.adapters.breaker import Breaker, CircuitOpen
from imrs_server.adapters.vault_answers import NotThere, member, moment, translated
from imrs_server.adapters.vault_login import Credentials, Login, VaultAuth
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import CredentialMissing, VaultForbidden, VaultSealed, VaultUnreachable
from imrs_server.domain.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
        credentials = Credentials(auth=auth, mount=auth_mount or auth, role=role_id, proof=secret_id)
        self._login = Login(self._client, credentials, timing.read_seconds)

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
        except NotThere:
            return None
        data = member(answer, "data")
        newest = member(member(data, "versions"), str(member(data, "current_version")))
        deletion_time = moment(member(newest, "deletion_time"))
        gone = deletion_time is not None and deletion_time <= datetime.now(UTC)
        return KeyState(
            usable=newest is not None and not gone and member(newest, "destroyed") is False,
            update_time=moment(member(data, "updated_time")) or datetime.now(UTC),
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
        version = member(member(answer, "data"), "version")
        if not isinstance(version, int):
            # A mount of KV version 1 takes anything and numbers nothing.
            raise VaultForbidden
        return version

    def destroy_version(self, path: CredentialPath, version: int) -> None:
        """Remove one version for good: undoes ``write`` without touching what was there before."""
        with suppress(NotThere):
            self._call(
                lambda: self._kv.destroy_secret_versions(str(path), [version], mount_point=self._mount)
            )

    def delete(self, path: CredentialPath) -> None:
        """Remove the key with all its versions; fine when there is none."""
        with suppress(NotThere):
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
            with translated():
                health = self._client.sys.read_health_status(method="GET")
            report = health.json() if isinstance(health, requests.Response) else health
            if member(report, "sealed") is not False or member(report, "initialized") is not True:
                return VaultState.SEALED
            self._breaker.close()
            self._call(self._client.auth.token.lookup_self)
        except VaultSealed:
            return VaultState.SEALED
        except VaultForbidden:
            return VaultState.FORBIDDEN
        except (VaultUnreachable, NotThere, ValueError):
            return VaultState.UNREACHABLE
        return VaultState.OK

    def lease(self) -> Lease:
        """How long the login lasts."""
        data = member(self._call(self._client.auth.token.lookup_self), "data")
        seconds = member(data, "ttl")
        return Lease(
            seconds=seconds if isinstance(seconds, int) else 0, renewable=member(data, "renewable") is True
        )

    def rights(self, paths: Sequence[str]) -> dict[str, frozenset[str]]:
        """What the login may do at each path, such as ``read``; paths begin with a mount."""
        answer = self._call(lambda: self._client.sys.get_capabilities(list(paths)))
        data = member(answer, "data")
        return {path: frozenset(member(data, path) or ()) for path in paths}

    def versions_keys(self) -> bool:
        """Whether the mount is a KV engine of version 2."""
        path = f"/v1/sys/internal/ui/mounts/{self._mount}"
        data = member(self._call(lambda: self._client.adapter.get(path)), "data")
        return bool(member(member(data, "options"), "version") == "2")

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
        except NotThere:
            raise CredentialMissing(provider_id=path.provider_id) from None
        data = member(member(answer, "data"), "data")
        return member(data, name)

    def _names(self, path: str) -> list[str]:
        try:
            answer = self._call(lambda: self._kv.list_secrets(path, mount_point=self._mount))
        except NotThere:
            return []
        names = member(member(answer, "data"), "keys")
        return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []

    def _call(self, operation: Callable[[], T]) -> T:
        """Run one request, logged in; Forbidden may mean a dead token, so once more with a new one."""
        if not self._slots.acquire(timeout=self._timing.slot_seconds):
            raise VaultUnreachable
        try:
            with self._breaker.watch(VaultUnreachable), translated():
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


def _valid(
    provider_id: str, tenant: str | None = None, agent_id: str | None = None
) -> Iterator[CredentialPath]:
    """The path, unless the names are none that IMRS gives."""
    try:
        yield CredentialPath(provider_id, None if tenant is None else UUID(tenant), agent_id)
    except ValueError:
        return
