"""What has changed since, by kind and key: what of the index must be read again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from imrs_server.storage.changes import Kind
from imrs_server.storage.index import Key, Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.storage.changes import Change

# More changed rows of a kind than this are read with all the others.
MAX_KEYS = 1000
MAX_PLACES = 20_000


@dataclass(slots=True)
class Keys:
    """Changed keys of one kind; after an empty key, all of them."""

    some: set[Any] = field(default_factory=set)
    all: bool = False
    most: int = MAX_KEYS

    def add(self, key: Any, known: bool) -> None:
        self.all = self.all or not known
        self.some.add(key)

    @property
    def wanted(self) -> set[Any] | None:
        """The keys to read; None for all."""
        return None if self.all or len(self.some) > self.most else self.some

    def __bool__(self) -> bool:
        return self.all or bool(self.some)


@dataclass(slots=True)
class Dirt:
    """What must be read again."""

    providers: Keys = field(default_factory=Keys)
    models: Keys = field(default_factory=Keys)
    agents: Keys = field(default_factory=Keys)
    endpoints: Keys = field(default_factory=Keys)
    evidence: Keys = field(default_factory=lambda: Keys(most=MAX_PLACES))
    preferences: bool = False
    defaults: bool = False
    budgets: Keys = field(default_factory=Keys)
    cooldowns: bool = False
    tokens: bool = False

    @property
    def configured(self) -> bool:
        """Whether there is more to read than evidence."""
        return bool(
            self.providers
            or self.models
            or self.agents
            or self.endpoints
            or self.preferences
            or self.defaults
            or self.budgets
            or self.cooldowns
            or self.tokens
        )


def of(found: Iterable[Change]) -> Dirt:
    """What changes leave to be read."""
    dirt = Dirt()
    for change in found:
        owned = change.tenant_id is not None
        match change.kind:
            case Kind.PROVIDER:
                dirt.providers.add(change.key, bool(change.key))
            case Kind.MODEL:
                dirt.models.add(change.key, bool(change.key))
            case Kind.AGENT:
                dirt.agents.add(Key(change.tenant_id, change.key), owned and bool(change.key))  # type: ignore[arg-type]
            case Kind.ENDPOINT:
                dirt.endpoints.add(change.key, bool(change.key))
            case Kind.EVIDENCE:
                agent_id, _, task_type = change.key.partition("/")
                dirt.evidence.add(Place(change.tenant_id, agent_id, task_type), owned)  # type: ignore[arg-type]
            case Kind.PREFERENCE:
                dirt.preferences = True
            case Kind.DEFAULTS:
                dirt.defaults = True
            case Kind.BUDGET:
                dirt.budgets.add(Key(change.tenant_id, change.key), owned)  # type: ignore[arg-type]
            case Kind.COOLDOWN:
                dirt.cooldowns = True
            case Kind.TOKEN:
                dirt.tokens = True
    return dirt
