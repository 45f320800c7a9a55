"""A provider: an LLM API that hosts models."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from imrs_server.domain.errors import EtagMismatch


class ProviderType(StrEnum):
    """The kinds of the SRS, and ollama."""

    OPENROUTER = "OPENROUTER"
    OPENAI = "OPENAI"
    ANTHROPIC = "ANTHROPIC"
    AZURE = "AZURE"
    OLLAMA = "OLLAMA"
    CUSTOM = "CUSTOM"


KEYLESS_DIALECTS = frozenset({"ollama", "vllm"})


class State(StrEnum):
    """Of a provider or an agent: DISABLED keeps everything for the return, DELETED is soft."""

    ACTIVE = "ACTIVE"
    DISABLED = "DISABLED"
    DELETED = "DELETED"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPolicy:
    """What happens to the data of a call. None is unknown, and a demand never passes on unknown."""

    regions: tuple[str, ...] = ()
    trains_on_data: bool | None = None
    retains_data: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A row of ``providers``. Its key is in Vault; ``key_version`` is the version there, None for no key.

    ``key_usable`` is what was seen in Vault since; None means that nobody has looked.
    """

    provider_id: str
    display_name: str
    provider_type: ProviderType
    dialect: str
    api_base: str
    models_endpoint: str
    options: dict[str, Any] = field(default_factory=dict)
    pool_url: str = ""
    rate_limit_rpm: int | None = None
    sync_interval: timedelta | None = None
    data_policy: DataPolicy | None = None
    state: State = State.ACTIVE
    model_count: int = 0
    key_version: int | None = None
    key_usable: bool | None = None
    last_synced_time: datetime | None = None
    last_sync_error: str = ""
    created_by: str = ""
    create_time: datetime | None = None
    update_time: datetime | None = None
    delete_time: datetime | None = None
    version: int = 1

    @property
    def needs_key(self) -> bool:
        return self.dialect not in KEYLESS_DIALECTS

    @property
    def credentials_ok(self) -> bool:
        """Whether a call could be made: the key is there, or none is needed."""
        if not self.needs_key:
            return True
        return self.key_version is not None if self.key_usable is None else self.key_usable

    @property
    def models_url(self) -> str:
        return self.api_base.rstrip("/") + self.models_endpoint

    @property
    def api_key_vault_path(self) -> str:
        return f"secret/llm/{self.provider_id}"


_DIALECTS = {
    ProviderType.OPENROUTER: "openrouter",
    ProviderType.ANTHROPIC: "anthropic",
    ProviderType.AZURE: "azure",
    ProviderType.OLLAMA: "ollama",
}

_DIALECT_BY_HOST = {
    "openrouter.ai": "openrouter",
    "api.openai.com": "openai",
    "api.anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gemini",
    "api.groq.com": "groq",
    "api.together.ai": "together",
    "api.together.xyz": "together",
    "api.mistral.ai": "mistral",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
}
_AZURE_HOSTS = (".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com")


def dialect_of(provider_type: ProviderType, api_base: str) -> str:
    """The dialect spoken where none is named: by the type, else by the host, else OpenAI's.

    OPENAI is said of every service that copies OpenAI, so there a known host knows better.
    """
    if provider_type not in (ProviderType.OPENAI, ProviderType.CUSTOM):
        return _DIALECTS[provider_type]
    parts = urlsplit(api_base)
    host = parts.hostname or ""
    if "/openai" in parts.path and host == "generativelanguage.googleapis.com":
        # Google's copy of OpenAI's API beside its own.
        return "openai"
    if host.endswith(_AZURE_HOSTS):
        return "azure"
    return _DIALECT_BY_HOST.get(host, "openai")


def models_endpoint_of(dialect: str, api_base: str) -> str:
    """Where the list is, below api_base, when nobody says."""
    if dialect == "ollama":
        return "/api/tags"
    if dialect == "azure" and not api_base.rstrip("/").endswith(("/openai", "/openai/v1")):
        return "/openai/models"
    return "/models"


def etag(version: int) -> str:
    """The etag that shows a row's version."""
    return f"{version:x}"


def require_etag(given: str, version: int) -> None:
    """Check the etag of a write, when one is given."""
    if given and given != etag(version):
        raise EtagMismatch(etag=given, current=etag(version))
