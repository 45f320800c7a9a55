"""Tables and requests drawn from a seeded source: faster than hypothesis where thousands are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from imrs_client.query import COST_TIERS, DataDemand, Query
from imrs_client.ranked import MODEL_TYPES, Candidate, Level, Policy, RankedTable, RemovedBy
from tests.support.tables import CAPABILITIES, DOMAINS, GLOBS, REGIONS, ROLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

T = TypeVar("T")

REMOVALS = ((RemovedBy.DISABLED, "not enabled"), (RemovedBy.PROVIDER, "off"), (RemovedBy.UNAVAILABLE, "gone"))
FALLBACKS = ((), ("p/m1", "q/m2", "p/m0", "nobody"))


def table(random: Random, most: int = 8) -> RankedTable:
    """A table in the order of its scores."""
    made = [_candidate(random, number) for number in range(random.randint(0, most))]
    ids = ["", "nobody", *(each.model_id for each in made)]
    return RankedTable(
        revision=random.randint(1, 2**40),
        agent_id="bot",
        task_type="code",
        candidates=tuple(sorted(made, key=lambda each: (-each.score, each.model_id))),
        policy=Policy(
            similarity_margin=random.choice([0.0, 0.02, random.random()]),
            cheaper_when_similar=random.random() < 0.5,
            session_affinity=random.choice([None, True, False]),
            require_credentials=random.random() < 0.2,
            max_cost_tier=_perhaps(random, random.choice(COST_TIERS), 0.2),
            max_latency_ms=_perhaps(random, random.randint(1, 1000), 0.2),
            max_error_rate=_perhaps(random, random.random(), 0.2),
            exploration_rate=_perhaps(random, random.random(), 0.5) or 0.0,
        ),
        default_model_id=random.choice(ids),
        override_model_id=random.choice(["", "", "", *ids]),
        preferred_model_ids=tuple(random.sample(ids, min(len(ids), random.choice([0, 0, 2])))),
        fallback_model_ids=random.choice([None, None, *FALLBACKS]),
        degraded=random.random() < 0.1,
    )


def query(random: Random) -> Query:
    """What a request may ask; most often little."""
    globs = random.sample(GLOBS, 2)
    return Query(
        model_type=random.choice(MODEL_TYPES[:2]),
        capabilities=tuple(random.sample(CAPABILITIES, random.choice([0, 0, 1]))),
        domains=_perhaps(random, (random.choice((*DOMAINS, "unheard-of")),), 0.1) or (),
        allowed_models=_perhaps(random, tuple(globs), 0.2),
        excluded_models=_perhaps(random, (random.choice(GLOBS[1:7]),), 0.2) or (),
        roles=_subset(random, ROLES, 0.6),
        min_context_length=random.choice([0, 0, 0, 8_000]),
        estimated_prompt_tokens=random.choice([0, 0, 3_000]),
        max_cost_tier=_perhaps(random, random.choice(COST_TIERS[1:]), 0.2),
        prefer_cost_tier=_perhaps(random, random.choice(COST_TIERS), 0.2),
        max_latency_ms=_perhaps(random, random.randint(1, 1000), 0.1),
        data=_perhaps(random, DataDemand(regions=frozenset({"eu"}), no_training=random.random() < 0.5), 0.1),
        conversation_id=random.choice(["", "c1", "c2"]),
        previous_model_id=random.choice(["", "", "p/m0", "q/m1", "nobody"]),
        max_fallbacks=random.randint(0, 5),
        chance=str(random.random()),
    )


def _candidate(random: Random, number: int) -> Candidate:
    name = f"m{number}"
    rated = random.choice([0.0, random.random() * 40])
    level = random.choice(list(Level))
    return Candidate(
        model_id=f"{random.choice('pq')}/{name}",
        external_id=name,
        model_type=random.choice((*MODEL_TYPES[:1], *MODEL_TYPES[:2])),
        capabilities=_subset(random, CAPABILITIES, 0.7),
        domains=_subset(random, DOMAINS, 0.5),
        context_length=random.choice([None, 0, 4_000, 8_000, 128_000]),
        priority=random.randint(0, 100),
        cost_tier=random.choice(COST_TIERS),
        cost_usd=random.choice([None, 0.0, random.random() * 60]),
        state_removal=_perhaps(random, random.choice(REMOVALS), 0.2),
        capsule_roles=_perhaps(random, _subset(random, ROLES, 0.5), 0.2),
        allowed_roles=_perhaps(random, _subset(random, ROLES, 0.5), 0.2) or frozenset(),
        regions=_subset(random, REGIONS, 0.5),
        trains_on_data=random.choice([None, True, False]),
        retains_data=random.choice([None, True, False]),
        credentials_ok=random.random() < 0.8,
        latency_ms=_perhaps(random, random.random() * 2_000, 0.5),
        error_rate=_perhaps(random, random.random(), 0.5),
        fallback_model_ids=random.choice([None, None, *FALLBACKS]),
        priority_term=random.random() * 0.3,
        experience_term=random.choice([0.0, 0.5, random.random()]),
        exploration_term=random.choice([0.0, random.random() * 0.1]),
        rating_mean=None if level is Level.PRIOR else random.random(),
        rating_count=rated,
        task_rating_count=random.choice([0.0, rated]),
        level=level,
        estimate=random.random(),
        deviation=random.random() / 2,
    )


def _subset(random: Random, values: Sequence[str], share: float) -> frozenset[str]:
    return frozenset(each for each in values if random.random() < share)


def _perhaps(random: Random, value: T, share: float) -> Any:
    return value if random.random() < share else None
