"""Questions what would be if, and their answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.domain.replay import OtherPrice, WhatIf
from imrs_server.transport.convert import common, routing

if TYPE_CHECKING:
    from imrs_server.domain.off_policy import Estimate
    from imrs_server.domain.replay import Example, Replay


def what_if(request: pb.ReplayDecisionsRequest) -> WhatIf:
    """Raises InvalidRequest for an enum value that the contract does not know."""
    return WhatIf(
        policy=routing.policy(request.policy) if request.HasField("policy") else None,
        added_models=tuple(request.added_models),
        removed_models=tuple(request.removed_models),
        prices=tuple(
            OtherPrice(
                model_id=each.model_id,
                input_price_usd=common.decimal(each.input_price_usd),
                output_price_usd=common.decimal(each.output_price_usd),
            )
            for each in request.prices
        ),
    )


def to_proto(replay: Replay) -> pb.ReplayDecisionsResponse:
    return pb.ReplayDecisionsResponse(
        changed_share=replay.changed_share,
        estimates=[_estimate(each, replay.coverage) for each in replay.estimates],
        identifiable=replay.identifiable,
        cost_difference_usd=common.to_decimal_text(replay.cost_difference_usd),
        examples=[_example(each) for each in replay.examples],
        replayed_count=replay.replayed,
        detail=replay.detail,
        rated_count=replay.rated,
        logged_rating=replay.logged_rating,
        model_estimate=replay.model_estimate,
        unpriced_count=replay.unpriced,
        unserved_count=replay.unserved,
        skipped_count=replay.skipped,
    )


def _estimate(estimate: Estimate, coverage: float) -> pb.ReplayDecisionsResponse.Estimate:
    return pb.ReplayDecisionsResponse.Estimate(
        method=estimate.method,
        value=estimate.value,
        lower=estimate.lower,
        upper=estimate.upper,
        effective_sample_size=estimate.effective_sample_size,
        coverage=coverage,
    )


def _example(example: Example) -> pb.ReplayDecisionsResponse.Example:
    return pb.ReplayDecisionsResponse.Example(
        decision_id=str(example.decision_id),
        task_type=example.task_type,
        logged_model_id=example.logged_model_id,
        replayed_model_id=example.replayed_model_id,
    )
