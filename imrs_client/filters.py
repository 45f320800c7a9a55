"""The filters, in the order in which they are asked; each says why a candidate is out, or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeAlias

from imrs_client.query import Query
from imrs_client.ranked import COST_TIERS, Candidate, RankedTable, RemovedBy

Test: TypeAlias = Callable[[Candidate, RankedTable, Query], str]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of one candidate."""

    removed_by: RemovedBy | None
    detail: str


def report(candidate: Candidate, table: RankedTable, query: Query) -> Report:
    """What becomes of one candidate: the first filter that removes it, in the order of RemovedBy."""
    for name, test in _FILTERS:
        detail = test(candidate, table, query)
        if detail:
            if name is None:
                assert candidate.state_removal is not None
                name = candidate.state_removal[0]  # noqa: PLW2901  (one test answers for three filters)
            return Report(name, detail)
    return Report(None, "")


def beyond_mask(table: RankedTable, query: Query) -> list[Test]:
    """The tests that this request needs and that a table's bit mask does not answer."""
    return [test for asked, test in _BEYOND_MASK if asked(table, query)]


def matches_any(patterns: Iterable[str], model_id: str, external_id: str) -> bool:
    """Whether a glob matches the model_id or the external_id. Case counts."""
    return any(fnmatchcase(model_id, glob) or fnmatchcase(external_id, glob) for glob in patterns)


def lowest(*tiers: str | None) -> str | None:
    """The lowest of the cost tiers that are set."""
    return min((tier for tier in tiers if tier is not None), key=COST_TIERS.index, default=None)


def _by_state(candidate: Candidate, _table: RankedTable, _query: Query) -> str:
    return candidate.state_removal[1] if candidate.state_removal else ""


def _by_type(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    return "" if candidate.model_type == query.model_type else f"is {candidate.model_type}"


def _by_capability(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    lacking = [name for name in query.capabilities if name not in candidate.capabilities]
    return f"lacks {', '.join(lacking)}" if lacking else ""


def _by_domain(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    lacking = [name for name in query.domains if name not in candidate.domains]
    return f"does not list {', '.join(lacking)}" if lacking else ""


def _by_context(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    if candidate.context_length is None:
        return "context length unknown" if query.min_context_length else ""
    needed = max(query.min_context_length, query.estimated_prompt_tokens)
    return f"{candidate.context_length} < {needed} tokens" if candidate.context_length < needed else ""


def _by_capsule(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    roles = candidate.capsule_roles
    if roles is None or not roles.isdisjoint(query.roles):
        return ""
    return f"the capsule allows it to {', '.join(sorted(roles)) or 'nobody'}"


def _by_role(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    roles = candidate.allowed_roles
    return f"only for {', '.join(sorted(roles))}" if roles and roles.isdisjoint(query.roles) else ""


def _by_allowed(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    allowed = query.allowed_models
    if allowed is None or matches_any(allowed, candidate.model_id, candidate.external_id):
        return ""
    return "not among allowed_models"


def _by_excluded(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    excluded = query.excluded_models
    return "excluded" if matches_any(excluded, candidate.model_id, candidate.external_id) else ""


def _by_data(candidate: Candidate, _table: RankedTable, query: Query) -> str:
    demand = query.data
    if demand is None:
        return ""
    if demand.regions and (not candidate.regions or not candidate.regions <= demand.regions):
        return f"regions: {', '.join(sorted(candidate.regions)) or 'unknown'}"
    if demand.no_training and candidate.trains_on_data is not False:
        return "trains on data" if candidate.trains_on_data else "training on data unknown"
    if demand.no_retention and candidate.retains_data is not False:
        return "retains data" if candidate.retains_data else "retention of data unknown"
    return ""


def _by_cost(candidate: Candidate, table: RankedTable, query: Query) -> str:
    limit = lowest(query.max_cost_tier, table.policy.max_cost_tier)
    over = limit is not None and COST_TIERS.index(candidate.cost_tier) > COST_TIERS.index(limit)
    return f"{candidate.cost_tier} > {limit}" if over else ""


def _by_credentials(candidate: Candidate, table: RankedTable, _query: Query) -> str:
    return "no usable key" if table.policy.require_credentials and not candidate.credentials_ok else ""


def _by_latency(candidate: Candidate, table: RankedTable, query: Query) -> str:
    limits = [each for each in (query.max_latency_ms, table.policy.max_latency_ms) if each is not None]
    if not limits or candidate.latency_ms is None or candidate.latency_ms <= min(limits):
        return ""
    return f"{candidate.latency_ms:.0f} ms > {min(limits):.0f} ms"


def _by_errors(candidate: Candidate, table: RankedTable, _query: Query) -> str:
    limit = table.policy.max_error_rate
    if limit is None or candidate.error_rate is None or candidate.error_rate <= limit:
        return ""
    return f"error rate {candidate.error_rate:.2f} > {limit:.2f}"


_FILTERS: tuple[tuple[RemovedBy | None, Test], ...] = (
    (None, _by_state),
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
    (RemovedBy.CREDENTIALS, _by_credentials),
    (RemovedBy.LATENCY, _by_latency),
    (RemovedBy.ERROR_RATE, _by_errors),
)

# What the bit mask cannot answer, and when it must be asked.
_BEYOND_MASK: tuple[tuple[Callable[[RankedTable, Query], bool], Test], ...] = (
    (lambda _, query: bool(query.min_context_length or query.estimated_prompt_tokens), _by_context),
    (lambda _, query: bool(query.roles), _by_capsule),
    (lambda _, query: bool(query.roles), _by_role),
    (lambda _, query: query.allowed_models is not None, _by_allowed),
    (lambda _, query: bool(query.excluded_models), _by_excluded),
    (lambda _, query: query.data is not None, _by_data),
    (lambda table, query: (query.max_latency_ms or table.policy.max_latency_ms) is not None, _by_latency),
    (lambda table, _: table.policy.max_error_rate is not None, _by_errors),
)
