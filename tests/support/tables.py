"""Candidates, tables and requests, made by hand or by hypothesis."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from imrs_client.query import COST_TIERS, DataDemand, Query
from imrs_client.ranked import MODEL_TYPES, Candidate, Level, Policy, RankedTable, RemovedBy

CAPABILITIES = ("text", "vision", "code", "audio")
DOMAINS = ("law", "health")
ROLES = ("admin", "staff", "guest")
GLOBS = ("p/*", "q/*", "*1", "p/m[0-3]", "m?", "p/m4", "m5", "*")
REGIONS = ("eu", "us")


def candidate(model_id: str, score: float = 0.5, **changes: Any) -> Candidate:
    """A candidate that passes everything; its score is all experience, from many ratings."""
    known: dict[str, Any] = {
        "external_id": model_id.partition("/")[2],
        "experience_term": score,
        "rating_mean": score,
        "rating_count": 20.0,
        "task_rating_count": 40.0,
        "level": Level.AGENT_TASK,
    }
    return Candidate(model_id=model_id, **(known | changes))


def table(*candidates: Candidate, **changes: Any) -> RankedTable:
    """A table of candidates in the order given."""
    return RankedTable(revision=1, agent_id="a", task_type="code", candidates=candidates, **changes)


def _subset(values: tuple[str, ...]) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(values))


@st.composite
def candidates(draw: st.DrawFn, number: int) -> Candidate:
    name = f"m{number}"
    rated = draw(st.sampled_from([0.0, 3.0, 40.0]))
    return Candidate(
        model_id=f"{draw(st.sampled_from('pq'))}/{name}",
        external_id=name,
        model_type=draw(st.sampled_from(MODEL_TYPES[:2])),
        capabilities=draw(_subset(CAPABILITIES)),
        domains=draw(_subset(DOMAINS)),
        context_length=draw(st.sampled_from([None, 0, 4_000, 8_000, 128_000])),
        priority=draw(st.sampled_from([0, 50, 100])),
        cost_tier=draw(st.sampled_from(COST_TIERS)),
        cost_usd=draw(st.sampled_from([None, 0.0, 1.0, 5.0])),
        state_removal=draw(
            st.sampled_from(
                [None, None, None, (RemovedBy.DISABLED, "not enabled"), (RemovedBy.PROVIDER, "disabled")]
            )
        ),
        capsule_roles=draw(st.none() | _subset(ROLES[:2])),
        allowed_roles=draw(st.just(frozenset()) | _subset(ROLES[:2])),
        regions=draw(_subset(REGIONS)),
        trains_on_data=draw(st.none() | st.booleans()),
        retains_data=draw(st.none() | st.booleans()),
        credentials_ok=draw(st.booleans()),
        latency_ms=draw(st.none() | st.sampled_from([100.0, 900.0])),
        error_rate=draw(st.none() | st.sampled_from([0.0, 0.5])),
        fallback_model_ids=draw(st.none() | st.sampled_from([(), ("p/m1", "q/m2", "p/m0", "nobody")])),
        experience_term=draw(st.sampled_from([0.0, 0.5, 0.51, 0.9])),
        rating_count=rated,
        task_rating_count=rated,
    )


@st.composite
def tables(draw: st.DrawFn, most: int = 7) -> RankedTable:
    made = [draw(candidates(number)) for number in range(draw(st.integers(0, most)))]
    ids = st.sampled_from(["", "nobody", *(each.model_id for each in made)])
    limits = st.none() | st.just(500.0)
    return table(
        *sorted(made, key=lambda each: (-each.score, each.model_id)),
        policy=Policy(
            similarity_margin=draw(st.sampled_from([0.0, 0.02, 1.0])),
            cheaper_when_similar=draw(st.booleans()),
            session_affinity=draw(st.none() | st.booleans()),
            require_credentials=draw(st.booleans()),
            max_cost_tier=draw(st.none() | st.sampled_from(COST_TIERS)),
            max_latency_ms=draw(limits),
            max_error_rate=draw(st.none() | st.just(0.2)),
        ),
        default_model_id=draw(ids),
        override_model_id=draw(ids),
        preferred_model_ids=tuple(draw(st.lists(ids, max_size=2))),
        fallback_model_ids=draw(st.none() | st.sampled_from([(), ("p/m1", "q/m2", "nobody")])),
        degraded=draw(st.booleans()),
    )


@st.composite
def queries(draw: st.DrawFn) -> Query:
    words = st.lists(st.sampled_from((*CAPABILITIES, "unheard-of")), max_size=2)
    globs = st.lists(st.sampled_from(GLOBS), max_size=2)
    tiers = st.none() | st.sampled_from(COST_TIERS)
    tokens = st.sampled_from([0, 0, 3_000, 8_000, 9_000, 10**6])
    demand = st.builds(
        DataDemand, regions=_subset(REGIONS), no_training=st.booleans(), no_retention=st.booleans()
    )
    return Query(
        model_type=draw(st.sampled_from(MODEL_TYPES[:2])),
        capabilities=tuple(draw(words)),
        domains=tuple(draw(st.lists(st.sampled_from((*DOMAINS, "unheard-of")), max_size=1))),
        allowed_models=draw(st.none() | globs.map(tuple)),
        excluded_models=tuple(draw(globs)),
        roles=draw(_subset(ROLES)),
        min_context_length=draw(tokens),
        estimated_prompt_tokens=draw(tokens),
        max_cost_tier=draw(tiers),
        prefer_cost_tier=draw(tiers),
        max_latency_ms=draw(st.none() | st.sampled_from([0, 500])),
        data=draw(st.none() | demand),
        conversation_id=draw(st.sampled_from(["", "c1", "c2"])),
        previous_model_id=draw(st.sampled_from(["", "p/m0", "q/m1", "nobody"])),
        max_fallbacks=draw(st.integers(0, 5)),
    )


def easy(query: Query) -> Query:
    """The request without what most often leaves nothing."""
    return replace(query, allowed_models=None, data=None, domains=(), min_context_length=0)
