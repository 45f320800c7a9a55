"""Every setting of the server, from the environment (``IMRS_*``); read at the edge, passed down as values."""

from __future__ import annotations

import hashlib
import hmac
from datetime import timedelta
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import Field, FilePath, SecretStr, StringConstraints, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from imrs_server.adapters.proxy import Proxy
from imrs_server.domain.sync import MISSING_GRACE
from imrs_server.transport.tokens import MIN_SECRET_BYTES

Network = IPv4Network | IPv6Network
Address = Annotated[str, StringConstraints(pattern=r"^([^:\[\]/]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}$")]


class TokenSettings(BaseSettings):
    """What signs and verifies tokens: all that ``imrs token`` needs.

    Names in the environment are these in capitals after ``IMRS_``; lists are separated by commas.
    """

    model_config = SettingsConfigDict(env_prefix="IMRS_", env_ignore_empty=True, extra="ignore")

    jwt_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        description="HS256 secrets of 32 bytes and more; the first signs, all verify"
    )
    jwt_issuer: str = Field("imrs", description="`iss` of every token")
    jwt_audience: str = Field("imrs", description="`aud` of every token")
    jwks_url: str = Field(
        default="", description="where an identity provider publishes its keys; its tokens count too"
    )
    jwks_file: FilePath | None = Field(default=None, description="the same as a file, in place of a URL")
    jwks_issuer: str = Field(default="", description="`iss` of the identity provider's tokens; else as above")
    jwks_audience: str = Field(
        default="", description="`aud` of the identity provider's tokens; else as above"
    )

    @field_validator("jwt_secrets", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(each for each in value.split(",") if each) if isinstance(value, str) else value

    @field_validator("jwt_secrets")
    @classmethod
    def _long_enough(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not value or any(len(each.get_secret_value().encode()) < MIN_SECRET_BYTES for each in value):
            raise ValueError(f"each secret must have at least {MIN_SECRET_BYTES} bytes")
        return value


class Settings(TokenSettings):
    """Every setting of the server."""

    grpc_addr: Address = Field("127.0.0.1:50051", description="host:port that serves gRPC")
    http_addr: Address = Field("127.0.0.1:8080", description="host:port that serves HTTP")
    metrics_addr: Address = Field(
        "127.0.0.1:9464", description="host:port that serves metrics and health over HTTP, without a token"
    )
    reflection: bool = Field(default=False, description="serve gRPC reflection, without a token")

    workers: int = Field(
        0, ge=0, le=256, description="processes that serve gRPC on the one port; 0 is one a core"
    )
    pin_workers: bool = Field(
        default=True, description="keep each worker on a core of its own, where there are enough of them"
    )
    worker_silence_seconds: float = Field(
        30.0, ge=0, le=3600, description="how long a worker may give no sign of life; 0 bears it for ever"
    )
    max_waiting_routes: int = Field(
        256, ge=0, description="Route calls a worker lets wait for a thread; the next are told OVERLOADED"
    )
    max_waiting_feedback: int = Field(
        1024, ge=0, description="calls of FeedbackService that may wait likewise"
    )
    max_waiting_admin: int = Field(64, ge=0, description="calls of all other methods that may wait likewise")
    max_streams: int = Field(32, ge=1, le=1000, description="StreamRoutes a worker serves at a time")
    max_watchers: int = Field(4096, ge=0, description="streams of WatchAgent a worker serves at a time")
    max_completions: int = Field(256, ge=1, le=4000, description="Complete calls a worker serves at a time")
    key_cache_seconds: float = Field(
        0.0,
        ge=0,
        le=3600,
        description="how long Complete keeps a provider's key in memory; 0 asks Vault for each call",
    )
    config_file: Path | None = Field(
        default=None, description="configuration file to apply, and again whenever it changes"
    )
    config_tenant: UUID | None = Field(default=None, description="tenant whose agents are in it")
    config_environment: str = Field(
        default="", max_length=255, description="whose overrides count in it; `production` where not set"
    )
    metrics: bool = Field(
        default=True, description="serve figures for Prometheus at /metrics on IMRS_METRICS_ADDR"
    )
    token_tracking: bool = Field(
        default=True, description="count tokens, cost and latency of model calls by agent"
    )
    access_log: bool = Field(default=False, description="log a line for every call when it has ended")

    database_url: SecretStr = Field(description="DSN of a login that is a member of imrs_app and imrs_system")
    listen_database_url: SecretStr | None = Field(
        default=None, description="direct DSN for LISTEN where IMRS_DATABASE_URL goes through a pooler"
    )
    missing_grace: timedelta = Field(
        MISSING_GRACE,
        ge=timedelta(0),
        description="how long a model stays routable that its provider no longer lists, such as 36:00:00",
    )
    poll_seconds: float = Field(2.0, gt=0, le=60, description="how long a lost notification may go unnoticed")

    vault_addr: str = Field(description="base URL of Vault")
    vault_mount: str = Field("secret", description="mount of the KV version 2 engine")
    vault_namespace: str | None = Field(default=None, description="namespace of Vault or OpenBao")
    vault_ca_bundle: FilePath | None = Field(
        default=None,
        description="file of certificates that Vault's is checked against, in place of public ones",
    )
    vault_auth: Literal["approle", "kubernetes"] = Field("approle", description="how to log in to Vault")
    vault_auth_mount: str = Field(
        default="", description="where that method is mounted; below its own name where not set"
    )
    vault_kubernetes_role: str = Field(default="", description="role of the Kubernetes method")
    vault_kubernetes_token_file: Path = Field(
        Path("/var/run/secrets/kubernetes.io/serviceaccount/token"),
        description="the service account's token, read at every login",
    )
    vault_role_id: str = Field(default="", description="AppRole role_id")
    vault_secret_id_file: FilePath | None = Field(
        default=None, description="file with the AppRole secret_id, read at every login"
    )
    vault_secret_id: SecretStr | None = Field(
        default=None, description="AppRole secret_id itself; the file is better, and wins"
    )

    page_token_secret: SecretStr | None = Field(
        default=None, description="signs page tokens; derived from the first JWT secret where not set"
    )

    provider_allow: Annotated[tuple[Network, ...], NoDecode] = Field(
        default=(), description="private networks in which providers may be, such as 10.1.0.0/16"
    )
    provider_proxy: SecretStr | None = Field(
        default=None, description="http(s)://[user:password@]host:port through which providers are called"
    )
    provider_no_proxy: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="hosts, and .domains, that are called without the proxy"
    )
    provider_ca_bundle: FilePath | None = Field(
        default=None, description="file of certificates that providers may have beside public ones"
    )

    somabrain_url: str = Field(
        default="", description="base URL of SomaBrain, which is told of ratings; nothing is where not set"
    )
    somabrain_token_file: FilePath | None = Field(
        default=None, description="file with the bearer token for SomaBrain, read at every call"
    )
    somabrain_token: SecretStr | None = Field(
        default=None, description="that token itself; the file is better, and wins"
    )
    somabrain_namespace: str = Field(
        "imrs", min_length=1, max_length=255, description="namespace of SomaBrain for ratings"
    )

    decision_log: Literal["off", "debug", "info"] = Field(
        "off", description="level at which decisions of Route are logged, a line each"
    )
    decision_log_sample: float = Field(
        1.0, ge=0, le=1, description="share of the decisions that are logged, 0 to 1"
    )
    traces_url: str = Field(
        default="",
        description="collector of traces (OTLP/HTTP), as `http://127.0.0.1:4318`; needs the extra `otel`",
    )
    traces_sample: float = Field(
        0.01, ge=0, le=1, description="share of the calls that are traced where their caller does not say"
    )
    log_format: Literal["json", "console"] = Field(
        "json", description="one JSON object a line, or for people"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="the least that is logged"
    )

    @field_validator("provider_allow", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())

    @field_validator("provider_no_proxy", mode="before")
    @classmethod
    def _hosts(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(each.strip() for each in value.split(",") if each.strip())

    @field_validator("provider_proxy")
    @classmethod
    def _proxy_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            Proxy.parse(value.get_secret_value())
        return value

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.vault_auth == "kubernetes":
            if not self.vault_kubernetes_role:
                raise ValueError("IMRS_VAULT_KUBERNETES_ROLE is needed with IMRS_VAULT_AUTH=kubernetes")
            return self
        if not self.vault_role_id:
            raise ValueError("IMRS_VAULT_ROLE_ID is needed")
        if self.vault_secret_id is None and self.vault_secret_id_file is None:
            raise ValueError("IMRS_VAULT_SECRET_ID_FILE or IMRS_VAULT_SECRET_ID is needed")
        return self

    @model_validator(mode="after")
    def _can_trace(self) -> Self:
        if not self.traces_url:
            return self
        if urlsplit(self.traces_url).scheme not in {"http", "https"}:
            raise ValueError("IMRS_TRACES_URL must be the http(s) URL of a collector")
        if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
            raise ValueError("IMRS_TRACES_URL needs the extra otel: pip install 'imrs-server[otel]'")
        return self

    @model_validator(mode="after")
    def _can_tell(self) -> Self:
        if self.somabrain_url and self.somabrain_token is None and self.somabrain_token_file is None:
            raise ValueError(
                "IMRS_SOMABRAIN_TOKEN_FILE or IMRS_SOMABRAIN_TOKEN is needed with IMRS_SOMABRAIN_URL"
            )
        return self

    @property
    def proxy(self) -> Proxy | None:
        """The way out to providers; None for the straight one."""
        if self.provider_proxy is None:
            return None
        return Proxy.parse(self.provider_proxy.get_secret_value(), self.provider_no_proxy)

    @property
    def vault_role(self) -> str:
        """Who logs in to Vault: the role_id of AppRole, or the name of Kubernetes' role."""
        return self.vault_kubernetes_role if self.vault_auth == "kubernetes" else self.vault_role_id

    @property
    def vault_proof(self) -> str:
        """What proves it: the secret_id, or the service account's token, read anew each time."""
        if self.vault_auth == "kubernetes":
            return self.vault_kubernetes_token_file.read_text(encoding="utf-8").strip()
        return self.secret_id

    @property
    def secret_id(self) -> str:
        """The AppRole secret_id, read anew each time, so that a rotated file counts at the next login."""
        if self.vault_secret_id_file is not None:
            return self.vault_secret_id_file.read_text(encoding="utf-8").strip()
        return self.vault_secret_id.get_secret_value() if self.vault_secret_id else ""

    @property
    def somabrain_proof(self) -> str:
        """The bearer token for SomaBrain, read anew each time, so that a rotated file counts at once."""
        if self.somabrain_token_file is not None:
            return self.somabrain_token_file.read_text(encoding="utf-8").strip()
        return self.somabrain_token.get_secret_value() if self.somabrain_token else ""

    @property
    def page_secret(self) -> bytes:
        if self.page_token_secret is not None:
            return self.page_token_secret.get_secret_value().encode()
        first = self.jwt_secrets[0].get_secret_value().encode()
        return hmac.new(first, b"imrs page tokens", hashlib.sha256).digest()
