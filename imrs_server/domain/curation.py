"""What an admin's word does to a model: it is kept as his, and what follows from it follows at once."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from imrs_server.domain.catalogue_rules import Prices, cost_tier
from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.domain.model import DEFAULT_PRIORITY, Lifecycle, Model, ModelType, PriceState, Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

PRICES = ("input_price_usd", "output_price_usd", "cached_input_price_usd")
_PRICE_FIELDS = frozenset({"price_state", *PRICES})
_UNPRICED = frozenset({PriceState.PRICE_VARIABLE, PriceState.PRICE_UNKNOWN})

# What an admin may set; everything else follows from it, or comes from syncs.
MUTABLE = _PRICE_FIELDS | {
    "display_name", "model_type", "capabilities", "domains", "priority", "cost_tier", "context_length",
    "max_output_tokens", "parameters", "available", "retire_time", "metadata",
}  # fmt: skip
_DEFAULTS: dict[str, Any] = {"model_type": ModelType.CHAT, "priority": DEFAULT_PRIORITY, "available": True}


def edited(model: Model, fields: Mapping[str, Any], now: datetime) -> Model:
    """The model with fields set by an admin, whose provenance becomes ADMIN.

    None is "not set": the default of display_name, model_type, priority and available, unknown for counts,
    prices and retire_time; price_state and cost_tier then follow from the prices. Prices are one group: who
    sets one of them answers for all. Raises InvalidRequest for prices that contradict each other.
    """
    plain: dict[str, Any] = {
        name: value for name, value in fields.items() if name not in _PRICE_FIELDS and name != "cost_tier"
    }
    by_admin = set(plain)
    defaults = {**_DEFAULTS, "display_name": model.external_id}
    plain |= {name: defaults[name] for name in plain.keys() & defaults if plain[name] in (None, "")}
    wanted = replace(model, **plain)
    if not _PRICE_FIELDS.isdisjoint(fields):
        wanted = _priced(wanted, fields)
        by_admin |= _PRICE_FIELDS
    if fields.get("cost_tier") is not None:
        wanted = replace(wanted, cost_tier=fields["cost_tier"])
        by_admin.add("cost_tier")
    elif "cost_tier" in fields or (not _PRICE_FIELDS.isdisjoint(fields) and not _has_own_tier(model)):
        wanted = replace(wanted, cost_tier=cost_tier(_prices(wanted)))
        if "price_state" in by_admin or model.provenance.get("price_state") == Provenance.ADMIN:
            by_admin.add("cost_tier")
        else:
            # Back to the syncs, together with the prices that it follows.
            by_admin.discard("cost_tier")
            wanted = replace(wanted, provenance=_without(wanted.provenance, "cost_tier"))
    if "retire_time" in fields and not _gone_missing(model, now):
        wanted = replace(wanted, lifecycle=offered(wanted.retire_time, now))
    return replace(wanted, provenance=wanted.provenance | dict.fromkeys(sorted(by_admin), Provenance.ADMIN))


def offered(retire_time: datetime | None, now: datetime) -> Lifecycle:
    """The lifecycle of a model that its provider lists."""
    if retire_time is None:
        return Lifecycle.ACTIVE
    return Lifecycle.RETIRING if retire_time > now else Lifecycle.RETIRED


def _priced(model: Model, fields: Mapping[str, Any]) -> Model:
    given: dict[str, Any] = {name: fields[name] for name in PRICES if name in fields}
    state = fields.get("price_state")
    if state in _UNPRICED:
        if any(price is not None for price in given.values()):
            raise InvalidRequest(Violation("model.price_state", f"{state} has no prices: leave them empty"))
        return replace(model, price_state=state, **_all_prices(None))
    if state is PriceState.PRICE_FREE:
        if any(given.values()):
            raise InvalidRequest(Violation("model.price_state", "PRICE_FREE has no price above 0"))
        return replace(model, price_state=state, **_all_prices(Decimal(0)))
    model = replace(model, **given)
    known = [price for price in (model.input_price_usd, model.output_price_usd) if price is not None]
    if len(known) == 1 or (state is PriceState.PRICE_KNOWN and not known):
        lacking = "input_price_usd" if model.input_price_usd is None else "output_price_usd"
        raise InvalidRequest(Violation(f"model.{lacking}", "must be set together with the other price"))
    if not known:
        return replace(model, price_state=PriceState.PRICE_UNKNOWN, cached_input_price_usd=None)
    free = state is None and not any(known) and not model.cached_input_price_usd
    return replace(model, price_state=PriceState.PRICE_FREE if free else PriceState.PRICE_KNOWN)


def _all_prices(price: Decimal | None) -> dict[str, Any]:
    return dict.fromkeys(PRICES, price)


def _has_own_tier(model: Model) -> bool:
    """Whether an admin chose the tier, and not just the prices that it follows."""
    chosen = model.provenance.get("cost_tier") == Provenance.ADMIN
    return chosen and model.cost_tier is not cost_tier(_prices(model))


def _prices(model: Model) -> Prices:
    return Prices(state=model.price_state, input=model.input_price_usd, output=model.output_price_usd)


def _gone_missing(model: Model, now: datetime) -> bool:
    """Whether it is absent from its provider's list, which no date of ours changes."""
    if model.lifecycle is Lifecycle.RETIRED:
        return model.retire_time is None or model.retire_time > now
    return model.lifecycle is Lifecycle.MISSING


def _without(provenance: dict[str, str], name: str) -> dict[str, str]:
    return {field: source for field, source in provenance.items() if field != name}
