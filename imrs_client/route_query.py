"""From a RouteRequest to the query of a decision, where the decision is taken in the client."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from imrs_client.errors import InvalidArgument, Violation
from imrs_client.query import DataDemand, Query
from imrs_client.tasks import Attachment, Detection, detect
from imrs_client.v1 import DataPolicy, Model, RouteRequest

if TYPE_CHECKING:
    from imrs_client.tasks import Rules

DEFAULT_FALLBACKS: Final = 3
_MOST_FALLBACKS: Final = 100
_TASK_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


def of(request: RouteRequest) -> Query:
    """What a request asks of the model, before detection adds capabilities.

    Raises InvalidArgument, as the server would.
    """
    given = request.HasField
    violations: list[Violation] = []
    _check(request, violations)
    query = Query(
        model_type=_name(request, "model_type", Model.Type, violations) or "CHAT",
        capabilities=tuple(request.required_capabilities),
        domains=tuple(request.domains),
        allowed_models=tuple(request.allowed_models.values) if given("allowed_models") else None,
        excluded_models=tuple(request.excluded_models),
        roles=frozenset(request.roles),
        min_context_length=request.min_context_length,
        estimated_prompt_tokens=_estimated_tokens(request),
        max_cost_tier=_name(request, "max_cost_tier", Model.CostTier, violations),
        prefer_cost_tier=_name(request, "prefer_cost_tier", Model.CostTier, violations),
        max_latency_ms=request.max_latency_ms if given("max_latency_ms") else None,
        data=demand(request.data_policy) if given("data_policy") else None,
        conversation_id=request.conversation_id,
        previous_model_id=request.previous_model_id,
        max_fallbacks=request.max_fallbacks if given("max_fallbacks") else DEFAULT_FALLBACKS,
    )
    if violations:
        raise InvalidArgument("The request is not valid.", reason="INVALID_REQUEST", violations=violations)
    return query


def task(request: RouteRequest, rules: Rules) -> Detection:
    """What the task of a request is taken for."""
    return detect(
        rules,
        task_type=request.task_type,
        message=request.message,
        tools_used=request.tools_used,
        attachments=[Attachment(each.filename, each.mime_type) for each in request.attachments],
    )


def is_task_type(text: str) -> bool:
    return _TASK_TYPE.fullmatch(text) is not None


def _check(request: RouteRequest, violations: list[Violation]) -> None:
    """The bounds whose breach would make another answer of it; the server knows the others."""
    if request.task_type and not is_task_type(request.task_type):
        violations.append(Violation("task_type", f"must match ^{_TASK_TYPE.pattern}$"))
    counts = ("min_context_length", "estimated_prompt_tokens", "min_revision")
    violations += [Violation(name, "must be 0 or more") for name in counts if getattr(request, name) < 0]
    if request.HasField("max_latency_ms") and request.max_latency_ms < 1:
        violations.append(Violation("max_latency_ms", "must be 1 or more"))
    if not 0 <= request.max_fallbacks <= _MOST_FALLBACKS:
        violations.append(Violation("max_fallbacks", f"must be 0 to {_MOST_FALLBACKS}"))


def _name(request: RouteRequest, field: str, enum: Any, violations: list[Violation]) -> str | None:
    """The name of an enum's value; None where it is not set."""
    number = getattr(request, field)
    if not number:
        return None
    known = enum.DESCRIPTOR.values_by_number.get(number)
    if known is None:
        violations.append(Violation(field, f"{number} is no {enum.DESCRIPTOR.name}"))
        return None
    return str(known.name)


def _estimated_tokens(request: RouteRequest) -> int:
    """The window holds the prompt and, where this very request limits it, the answer."""
    estimate = request.estimated_prompt_tokens
    return estimate + request.parameters.max_output_tokens if estimate else 0


def demand(policy: DataPolicy) -> DataDemand:
    """Saying that data may be used is no demand."""
    return DataDemand(
        regions=frozenset(policy.regions),
        no_training=policy.HasField("trains_on_data") and not policy.trains_on_data,
        no_retention=policy.HasField("retains_data") and not policy.retains_data,
    )
