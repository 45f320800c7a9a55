"""One provider of the OpenRouter kind whose list a test writes and syncs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imrs_server.domain.listing import PageRequest
from imrs_server.use_cases.catalog import Catalog
from imrs_server.use_cases.sync import Sync
from tests.support.catalogue import openrouter_body
from tests.support.principals import PLATFORM
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from imrs_server.domain.model import Model
    from imrs_server.domain.sync import ModelChange, SyncResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """The provider, its list and what the catalogue made of it; models go by their name at the provider."""

    provider_id: str
    sync: Sync
    catalog: Catalog
    upstream: FakeProvider

    def lists(self, *items: str | dict[str, Any]) -> None:
        """Say what the provider lists from now on: names, or whole items."""
        whole = [item(each) if isinstance(each, str) else each for each in items]
        self.upstream.body = openrouter_body(whole)

    def run(self, **options: bool) -> SyncResult:
        *_, last = self.sync.run(PLATFORM, self.provider_id, **options)
        assert last.result is not None
        return last.result

    def model(self, name: str) -> Model:
        return self.catalog.get(PLATFORM, f"{self.provider_id}/{name}")

    def history(self, name: str) -> list[ModelChange]:
        return self.catalog.list_changes(PLATFORM, PageRequest(), model_id=f"{self.provider_id}/{name}").items


def item(external_id: str, **changes: Any) -> dict[str, Any]:
    """A model in OpenRouter's list."""
    return {
        "id": external_id,
        "name": external_id.title(),
        "context_length": 8192,
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "pricing": {"prompt": "0.000001", "completion": "0.000002"},
        "top_provider": {"max_completion_tokens": 1024},
        "supported_parameters": ["tools"],
        **changes,
    }
