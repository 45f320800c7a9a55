"""The filters, in the order in which they are asked; each says why a candidate is out, or nothing.

A filter is made for one table and one request. It is None where neither asks for anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from imrs_client.globs import Globs
from imrs_client.limits import UNLIMITED, Limits
from imrs_client.query import COST_TIERS, Query
from imrs_client.ranked import Candidate, RankedTable, RemovedBy

if TYPE_CHECKING:
    from imrs_client.columns import Described

Test: TypeAlias = Callable[[Candidate], str]
Make: TypeAlias = Callable[[RankedTable, Query, Limits], Test | None]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one candidate."""

    removed_by: RemovedBy | None
    detail: str


PASSED = Report(None, "")


def reports(table: RankedTable, query: Query, limits: Limits = UNLIMITED) -> list[Report]:
    """What becomes of each candidate: the first filter that removes it, in the order of RemovedBy."""
    made = [(name, make(table, query, limits)) for name, make in _FILTERS]
    tests = [(name, test) for name, test in made if test is not None]
    return [_report(candidate, tests) for candidate in table.candidates]


def eligible(table: RankedTable, query: Query, limits: Limits = UNLIMITED) -> int:
    """The candidates that pass every filter, as bits: what ``reports`` says, all at once."""
    found = unlimited(table, query)
    return found if limits is UNLIMITED else within(limits, found, table, query)


def within(limits: Limits, found: int, table: RankedTable, query: Query) -> int:
    """Without those that a spent budget does not pay for, and without those that cool, unless all do: a model
    that failed a moment ago is a better answer than none.
    """
    spent = limits.spent
    if spent is not None:
        found &= table.columns.tiers.get("FREE", 0) if spent.keeps_free else 0
    return found & ~table.columns.cooling(limits, query.chance) or found


def unlimited(table: RankedTable, query: Query) -> int:
    """Those that pass every filter but limits."""
    columns, policy = table.columns, table.policy
    found = columns.passing & columns.types.get(query.model_type, 0) & columns.open_to(query.roles)
    for name in query.capabilities:
        found &= columns.capabilities.get(name, 0)
    for name in query.domains:
        found &= columns.domains.get(name, 0)
    tokens = max(query.min_context_length, query.estimated_prompt_tokens)
    if tokens:
        found &= columns.holding(tokens, told=query.min_context_length > 0)
    tier = query.max_cost_tier
    if policy.max_cost_tier is not None:
        tier = lowest(tier, policy.max_cost_tier)
    if tier is not None:
        found &= columns.tiers.get(tier, 0)
    if policy.require_credentials:
        found &= columns.credentialed
    return found and _narrowed(found, table, query)


def _narrowed(found: int, table: RankedTable, query: Query) -> int:
    """Without those that only a few requests leave out."""
    columns, policy = table.columns, table.policy
    if query.allowed_models is not None:
        found &= columns.named(query.allowed_models)
    if query.excluded_models:
        found &= ~columns.named(query.excluded_models)
    for limit_ms in (query.max_latency_ms, policy.max_latency_ms):
        if limit_ms is not None:
            found &= columns.within_latency(limit_ms)
    if policy.max_error_rate is not None:
        found &= columns.within_error_rate(policy.max_error_rate)
    handles = _by_data(table, query, UNLIMITED)
    if handles is not None:
        found &= columns.where(not handles(each) for each in columns.models)
    return found


def matches_any(patterns: Iterable[str], model_id: str, external_id: str) -> bool:
    """Whether a glob matches the model_id or the external_id. Case counts."""
    return Globs(patterns).match(model_id, external_id)


def lowest(*tiers: str | None) -> str | None:
    """The lowest of the cost tiers that are set."""
    return min((tier for tier in tiers if tier is not None), key=COST_TIERS.index, default=None)


def _report(candidate: Candidate, tests: list[tuple[RemovedBy, Test]]) -> Report:
    if candidate.state_removal is not None:
        return Report(*candidate.state_removal)
    for name, test in tests:
        detail = test(candidate)
        if detail:
            return Report(name, detail)
    return PASSED


def _by_type(_table: RankedTable, query: Query, _limits: Limits) -> Test:
    return lambda each: "" if each.model_type == query.model_type else f"is {each.model_type}"


def _by_capability(_table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    def test(candidate: Candidate) -> str:
        lacking = [name for name in query.capabilities if name not in candidate.capabilities]
        return f"lacks {', '.join(lacking)}" if lacking else ""

    return test if query.capabilities else None


def _by_domain(_table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    def test(candidate: Candidate) -> str:
        lacking = [name for name in query.domains if name not in candidate.domains]
        return f"does not list {', '.join(lacking)}" if lacking else ""

    return test if query.domains else None


def _by_context(_table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    needed = max(query.min_context_length, query.estimated_prompt_tokens)

    def test(candidate: Candidate) -> str:
        known = candidate.context_length
        if known is None:
            # An estimate alone is no demand: most of what is self-hosted does not tell its window.
            return "context length unknown" if query.min_context_length else ""
        return f"{known} < {needed} tokens" if known < needed else ""

    return test if needed > 0 else None


def _by_capsule(_table: RankedTable, query: Query, _limits: Limits) -> Test:
    def test(candidate: Candidate) -> str:
        roles = candidate.capsule_roles
        if roles is None or not roles.isdisjoint(query.roles):
            return ""
        return f"the capsule allows it to {', '.join(sorted(roles)) or 'nobody'}"

    return test


def _by_role(_table: RankedTable, query: Query, _limits: Limits) -> Test:
    def test(candidate: Candidate) -> str:
        roles = candidate.allowed_roles
        return f"only for {', '.join(sorted(roles))}" if roles and roles.isdisjoint(query.roles) else ""

    return test


def _by_allowed(_table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    if query.allowed_models is None:
        return None
    allowed = Globs(query.allowed_models)
    return lambda each: "" if allowed.match(each.model_id, each.external_id) else "not among allowed_models"


def _by_excluded(_table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    if not query.excluded_models:
        return None
    excluded = Globs(query.excluded_models)
    return lambda each: "excluded" if excluded.match(each.model_id, each.external_id) else ""


def _by_data(_table: RankedTable, query: Query, _limits: Limits) -> Callable[[Described], str] | None:
    demand = query.data
    if demand is None:
        return None

    def test(candidate: Described) -> str:
        if demand.regions and (not candidate.regions or not candidate.regions <= demand.regions):
            return f"regions: {', '.join(sorted(candidate.regions)) or 'unknown'}"
        if demand.no_training and candidate.trains_on_data is not False:
            return "trains on data" if candidate.trains_on_data else "training on data unknown"
        if demand.no_retention and candidate.retains_data is not False:
            return "retains data" if candidate.retains_data else "retention of data unknown"
        return ""

    return test


def _by_cost(table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    limit = lowest(query.max_cost_tier, table.policy.max_cost_tier)
    if limit is None:
        return None
    allowed = COST_TIERS[: COST_TIERS.index(limit) + 1]
    return lambda each: "" if each.cost_tier in allowed else f"{each.cost_tier} > {limit}"


def _by_credentials(table: RankedTable, _query: Query, _limits: Limits) -> Test | None:
    if not table.policy.require_credentials:
        return None
    return lambda each: "" if each.credentials_ok else "no usable key"


def _by_latency(table: RankedTable, query: Query, _limits: Limits) -> Test | None:
    limits = [each for each in (query.max_latency_ms, table.policy.max_latency_ms) if each is not None]
    if not limits:
        return None
    limit = min(limits)

    def test(candidate: Candidate) -> str:
        known = candidate.latency_ms
        return "" if known is None or known <= limit else f"{known:.0f} ms > {limit:.0f} ms"

    return test


def _by_errors(table: RankedTable, _query: Query, _limits: Limits) -> Test | None:
    limit = table.policy.max_error_rate
    if limit is None:
        return None

    def test(candidate: Candidate) -> str:
        known = candidate.error_rate
        return "" if known is None or known <= limit else f"error rate {known:.2f} > {limit:.2f}"

    return test


def _by_budget(_table: RankedTable, _query: Query, limits: Limits) -> Test | None:
    spent = limits.spent
    if spent is None:
        return None
    return lambda each: "" if spent.keeps_free and each.cost_tier == "FREE" else spent.detail


def _by_cooling(table: RankedTable, query: Query, limits: Limits) -> Test | None:
    if not limits.cooling:
        return None
    left = eligible(table, query, limits)
    out = {each for each in limits.cooling if each in table.position and not left >> table.position[each] & 1}
    return lambda each: limits.cooling[each.model_id].detail if each.model_id in out else ""


_FILTERS: tuple[tuple[RemovedBy, Make], ...] = (
    (RemovedBy.MODEL_TYPE, _by_type),
    (RemovedBy.CAPABILITY, _by_capability),
    (RemovedBy.DOMAIN, _by_domain),
    (RemovedBy.CONTEXT, _by_context),
    (RemovedBy.CAPSULE, _by_capsule),
    (RemovedBy.ROLE, _by_role),
    (RemovedBy.ALLOWED_MODELS, _by_allowed),
    (RemovedBy.EXCLUDED, _by_excluded),
    (RemovedBy.DATA_POLICY, _by_data),
    (RemovedBy.COST_TIER, _by_cost),
    (RemovedBy.BUDGET, _by_budget),
    (RemovedBy.CREDENTIALS, _by_credentials),
    (RemovedBy.LATENCY, _by_latency),
    (RemovedBy.ERROR_RATE, _by_errors),
    (RemovedBy.COOLDOWN, _by_cooling),
)
