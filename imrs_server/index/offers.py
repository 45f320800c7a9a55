"""From settings to offers: what agents have alike is made once, for whoever asks first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from imrs_server.domain.agent import AgentModel
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.model import Model
from imrs_server.domain.offer import Offer
from imrs_server.domain.provider import Provider
from imrs_server.domain.vault_view import VaultView
from imrs_server.index.rows import Numbered, Shaped
from imrs_server.storage.index import PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from imrs_server.index.rows import Enrolled


@dataclass(slots=True)
class Shared:
    """Offers without settings of an agent's own, by number: enabled ones, and others; and their providers as
    Vault lets them be seen. Only ever added to, and a lost entry is made again.
    """

    enabled: dict[int, Offer] = field(default_factory=dict)
    disabled: dict[int, Offer] = field(default_factory=dict)
    providers: dict[str, Provider] = field(default_factory=dict)

    def without(self, numbers: Iterable[int]) -> Shared:
        """The same but for some models. Copied, because readers still add to these."""
        found = Shared(dict(self.enabled), dict(self.disabled), self.providers)
        for number in numbers:
            found.enabled.pop(number, None)
            found.disabled.pop(number, None)
        return found


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What offers are made from; ``shared`` is what was made."""

    models: Shaped[str, str, Model]
    numbered: Numbered
    endpoints: Mapping[str, tuple[Endpoint, ...]]
    providers: Mapping[str, Provider]
    vault: VaultView
    shared: Shared

    def of(self, enrolled: Enrolled) -> Iterator[tuple[Offer, int]]:
        """An agent's models with their priorities; one that is not known is passed over."""
        if enrolled.keys:
            return self._with_keys(enrolled)
        return self._offered(enrolled)

    def shared_offer(self, number: int, *, enabled: bool = True) -> Offer | None:
        """A model as an agent without settings of its own has it."""
        known = self.shared.enabled if enabled else self.shared.disabled
        found = known.get(number)
        if found is None:
            model_id = self.numbered.by_number.get(number, "")
            found = self._make(AgentModel(agent_id="", model_id=model_id, enabled=enabled))
            if found is not None:
                known[number] = found
        return found

    def _offered(self, enrolled: Enrolled) -> Iterator[tuple[Offer, int]]:
        known = self.shared.enabled
        for number, priority, enabled in PLAIN.iter_unpack(enrolled.plain):
            found = (enabled and known.get(number)) or self.shared_offer(number, enabled=enabled)
            if found is not None:
                yield found, found.model.priority if priority < 0 else priority
        for own in enrolled.models:
            found = self._make(own)
            if found is not None:
                priority = own.priority_override
                yield found, found.model.priority if priority is None else priority

    def _with_keys(self, enrolled: Enrolled) -> Iterator[tuple[Offer, int]]:
        usable = self.vault.usable
        keys = {each.provider_id: (each.path, usable(each.path, each.key_version)) for each in enrolled.keys}
        for found, priority in self._offered(enrolled):
            path, is_usable = keys.get(found.model.provider_id, (None, True))
            own = found if path is None else replace(found, own_key=path, own_key_usable=is_usable)
            yield own, priority

    def _make(self, own: AgentModel) -> Offer | None:
        model = self.models.get(own.model_id)
        if model is None:
            return None
        return Offer(
            own,
            model,
            self._provider(model.provider_id),
            number=self.numbered.by_id.get(model.model_id, 0),
            endpoints=self.endpoints.get(model.model_id, ()),
        )

    def _provider(self, provider_id: str) -> Provider:
        found = self.shared.providers.get(provider_id)
        if found is None:
            seen = self.vault.provider(self.providers[provider_id])
            found = self.shared.providers[provider_id] = seen
        return found
