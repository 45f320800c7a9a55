"""One model of an agent, with all that decides about it before any task and any evidence."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import inf
from typing import TYPE_CHECKING

from imrs_client.columns import Kind
from imrs_client.ranked import RemovedBy
from imrs_server.domain.agent import Agent, AgentModel
from imrs_server.domain.capsule import Roles
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.endpoint import Endpoint
from imrs_server.domain.model import Lifecycle, Model, PriceState
from imrs_server.domain.provider import DataPolicy, Provider, State

if TYPE_CHECKING:
    from decimal import Decimal

_PRICED = frozenset({PriceState.PRICE_KNOWN, PriceState.PRICE_FREE})
_NO_DATA_POLICY = DataPolicy()


@dataclass(frozen=True, slots=True)
class Offer:
    """One model of an agent, with what the catalogue says of it.

    ``own_key`` is where the agent's own key for the provider lies, ``own_key_usable`` whether it is there.
    ``number`` is the model's in the evidence; ``endpoints`` are its places in the model pool. ``traits`` are
    what it is to an agent that is active and has no capsule.

    Many agents have the same one: which priority a model has with an agent is kept beside it.
    """

    agent_model: AgentModel
    model: Model
    provider: Provider
    own_key: CredentialPath | None = None
    own_key_usable: bool = True
    number: int = 0
    endpoints: tuple[Endpoint, ...] = ()
    traits: Traits = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "traits", _traits(self))

    @property
    def credentials_ok(self) -> bool:
        """Whether a call could be made. An own key that is gone is not replaced by the provider's."""
        if self.own_key is None or not self.provider.needs_key:
            return self.provider.credentials_ok
        return self.own_key_usable

    @property
    def api_key_vault_path(self) -> str:
        return self.provider.api_key_vault_path if self.own_key is None else self.own_key.shown

    @property
    def context_length(self) -> int | None:
        own = self.agent_model.context_length
        return self.model.context_length if own is None else own

    @property
    def prices_usd(self) -> tuple[Decimal | None, Decimal | None]:
        """Input and output price per 1M tokens: the agent's own, else the catalogue's."""
        own, model = self.agent_model, self.model
        return (
            model.input_price_usd if own.input_price_usd is None else own.input_price_usd,
            model.output_price_usd if own.output_price_usd is None else own.output_price_usd,
        )

    @property
    def blended_usd(self) -> float | None:
        """Price per 1M tokens, three of input to one of output; None where it cannot be trusted."""
        own, model = self.agent_model, self.model
        trusted = model.price_state in _PRICED
        prices = [
            price
            for price, mine in zip(self.prices_usd, (own.input_price_usd, own.output_price_usd), strict=True)
            if price is not None and (trusted or mine is not None)
        ]
        if len(prices) == 2:
            input_usd, output_usd = prices
            return float(3 * input_usd + output_usd) / 4
        return 0.0 if model.price_state is PriceState.PRICE_FREE else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What a candidate is whatever the task: the fields that a Candidate has of it.

    ``tie`` says which of two with equal scores goes first: the cheaper, then by model_id.
    """

    model_id: str
    external_id: str
    model_type: str
    capabilities: frozenset[str]
    domains: frozenset[str]
    context_length: int | None
    cost_tier: str
    cost_usd: float | None
    state_removal: tuple[RemovedBy, str] | None
    capsule_roles: Roles
    allowed_roles: frozenset[str]
    regions: frozenset[str]
    trains_on_data: bool | None
    retains_data: bool | None
    credentials_ok: bool
    fallback_model_ids: tuple[str, ...] | None
    kind: Kind
    tie: tuple[float, str]


def traits(agent: Agent, offer: Offer, roles: Roles) -> Traits:
    """What an offer is to an agent; ``roles`` are those to which the agent's capsule allows the model."""
    known = offer.traits
    if agent.state is State.ACTIVE and roles is None:
        return known
    removal = (
        known.state_removal if agent.state is State.ACTIVE else (RemovedBy.DISABLED, "the agent is disabled")
    )
    kind = known.kind._replace(passes=removal is None, restricted=roles is not None or known.kind.restricted)
    return replace(known, state_removal=removal, capsule_roles=roles, kind=_one(kind))


def _traits(offer: Offer) -> Traits:
    model, own = offer.model, offer.agent_model
    data = offer.provider.data_policy or _NO_DATA_POLICY
    removal, cost_usd = _removal(offer), offer.blended_usd
    allowed_roles, credentials_ok = _set(own.allowed_roles), offer.credentials_ok
    kind = Kind(
        passes=removal is None,
        credentialed=credentials_ok,
        restricted=bool(allowed_roles),
        model_type=model.model_type,
        cost_tier=model.cost_tier,
        capabilities=_set(model.capabilities),
        domains=_set(model.domains),
    )
    return Traits(
        model_id=model.model_id,
        external_id=model.external_id,
        model_type=model.model_type,
        capabilities=kind.capabilities,
        domains=kind.domains,
        context_length=offer.context_length,
        cost_tier=model.cost_tier,
        cost_usd=cost_usd,
        state_removal=removal,
        capsule_roles=None,
        allowed_roles=allowed_roles,
        regions=_set(data.regions),
        trains_on_data=data.trains_on_data,
        retains_data=data.retains_data,
        credentials_ok=credentials_ok,
        fallback_model_ids=own.fallback_model_ids,
        kind=_one(kind),
        tie=(inf if cost_usd is None else cost_usd, model.model_id),
    )


# Of the same few lists and kinds there is one each.
@lru_cache(maxsize=65_536)
def _set(names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names)


@lru_cache(maxsize=65_536)
def _one(kind: Kind) -> Kind:
    return kind


def _removal(offer: Offer) -> tuple[RemovedBy, str] | None:
    model, provider = offer.model, offer.provider
    if not offer.agent_model.enabled:
        return RemovedBy.DISABLED, "not enabled for the agent"
    if provider.state is not State.ACTIVE:
        return RemovedBy.PROVIDER, f"provider {provider.provider_id} is {provider.state.lower()}"
    if model.delete_time is not None:
        return RemovedBy.UNAVAILABLE, "deleted"
    if model.lifecycle is Lifecycle.RETIRED:
        return RemovedBy.UNAVAILABLE, "retired"
    return None if model.available else (RemovedBy.UNAVAILABLE, "not available")
