"""Routing policies, both ways."""

from __future__ import annotations

from typing import Any

from imrs_client import v1 as pb
from imrs_server.domain.model import CostTier
from imrs_server.domain.routing import CostPreference, Exploration, RoutingPolicy, Scoring
from imrs_server.transport.convert import common


def to_proto(policy: RoutingPolicy) -> pb.RoutingPolicy:
    return pb.RoutingPolicy(
        priority_weight=policy.priority_weight,
        experience_weight=policy.experience_weight,
        scoring=common.number(pb.RoutingPolicy.Scoring, policy.scoring),
        exploration=common.number(pb.RoutingPolicy.Exploration, policy.exploration),
        exploration_rate=policy.exploration_rate,
        cost_preference=common.number(pb.RoutingPolicy.CostPreference, policy.cost_preference),
        similarity_margin=policy.similarity_margin,
        half_life=common.to_duration(policy.half_life),
        max_cost_tier=common.number(pb.Model.CostTier, policy.max_cost_tier),
        session_affinity=policy.session_affinity,
        require_credentials=policy.require_credentials,
        max_latency_ms=policy.max_latency_ms,
        max_error_rate=policy.max_error_rate,
        signal_ratings=policy.signal_ratings,
        feedback_weights=policy.feedback_weights,
        shadow=None if policy.shadow is None else to_proto(policy.shadow),
    )


def policy(message: pb.RoutingPolicy) -> RoutingPolicy:
    """What the message says; what it leaves unset is left to the level below."""

    def said(field: str) -> Any:
        return common.optional(message, field)

    return RoutingPolicy(
        priority_weight=said("priority_weight"),
        experience_weight=said("experience_weight"),
        scoring=common.member(Scoring, pb.RoutingPolicy.Scoring, message.scoring),
        exploration=common.member(Exploration, pb.RoutingPolicy.Exploration, message.exploration),
        exploration_rate=said("exploration_rate"),
        cost_preference=common.member(
            CostPreference, pb.RoutingPolicy.CostPreference, message.cost_preference
        ),
        similarity_margin=said("similarity_margin"),
        half_life=common.duration(message, "half_life"),
        max_cost_tier=common.member(CostTier, pb.Model.CostTier, message.max_cost_tier),
        session_affinity=said("session_affinity"),
        require_credentials=said("require_credentials"),
        max_latency_ms=said("max_latency_ms"),
        max_error_rate=said("max_error_rate"),
        signal_ratings=dict(message.signal_ratings),
        feedback_weights=dict(message.feedback_weights),
        shadow=policy(message.shadow) if message.HasField("shadow") else None,
    )
