"""The snapshot of an agent, from the server's tables to a client's and back to the same decisions."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imrs_client import parameters as client_parameters
from imrs_client import v1 as pb
from imrs_client.decide import NothingEligible, decide, explain
from imrs_client.snapshot import OTHERS, Snapshot, SnapshotGap, apply
from imrs_client.tasks import SRS_RULES, Rules, merge
from imrs_server.domain import parameters
from imrs_server.domain.agent import Agent, ModelOverride
from imrs_server.domain.decision import SelectedModel
from imrs_server.domain.model import CostTier
from imrs_server.domain.parameters import Parameters
from imrs_server.domain.preference import Preference
from imrs_server.index.view import Entry, Settings
from imrs_server.transport.convert import common, snapshots
from imrs_server.transport.convert.snapshots import Content, Head
from tests.support import chance
from tests.support.columns import columns
from tests.support.tables import candidate, queries, table, tables

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_client.query import Query
    from imrs_client.ranked import Candidate, RankedTable

AGENT = Agent(agent_id="bot", tenant_id=UUID(int=7), agent_class="writers")
FULL, DELTA, HEARTBEAT = pb.AgentSnapshot.FULL, pb.AgentSnapshot.DELTA, pb.AgentSnapshot.HEARTBEAT


def entry(each: Candidate, **changes: Any) -> Entry:
    selected = SelectedModel(
        model_id=each.model_id,
        external_id=each.external_id,
        priority=each.priority,
        cost_tier=CostTier(each.cost_tier),
        capabilities=tuple(sorted(each.capabilities)),
        context_length=each.context_length,
        credentials_ok=each.credentials_ok,
    )
    return Entry(candidate=each, selected=selected, **changes)


def content(ranked: Mapping[str, RankedTable], **changes: Any) -> Content:
    """What the server tells of tables whose settings are those of the first."""
    first = next(iter(ranked.values()))
    agent = replace(
        AGENT,
        override=ModelOverride(model_id=first.override_model_id) if first.override_model_id else None,
        fallback_model_ids=first.fallback_model_ids,
    )
    preference = Preference(agent_class="writers", model_ids=first.preferred_model_ids)
    model_ids = frozenset(each.model_id for each in first.candidates)
    settled = Settings(
        agent=agent, policy=first.policy, default_model_id=first.default_model_id, preferences=(preference,)
    )
    told = replace(settled, **changes)
    return Content(
        agent=snapshots.agent(told, model_ids),
        models=snapshots.models(entry(each) for each in first.candidates),
        tables=snapshots.tables({name: columns(each) for name, each in ranked.items()}),
    )


def received(head: Head, pieces: Any) -> list[pb.AgentSnapshot]:
    return [pb.AgentSnapshot.FromString(each) for each in snapshots.chunks(head, pieces)]


def whole(told: Content, revision: int = 5) -> Snapshot:
    return apply(None, received(Head(kind=FULL, revision=revision), told.whole))


def changed(before: Snapshot, old: Content, new: Content) -> Snapshot:
    head = Head(kind=DELTA, revision=before.revision + 1, base_revision=before.revision)
    return apply(before, received(head, new.since(old)))


def outcome(ranked: RankedTable, query: Query) -> Any:
    try:
        return decide(ranked, query)
    except NothingEligible as nothing:
        return nothing.removed


def assert_same(original: RankedTable, decoded: RankedTable, query: Query) -> None:
    assert outcome(decoded, query) == outcome(original, query)


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_random_tables_and_requests_decide_alike_after_the_journey(seed: int) -> None:
    """1,000 for each seed: encoded, serialised, parsed, decoded; the choice and what it was drawn from."""
    random = Random(seed)
    found = []
    for _ in range(1_000):
        ranked, query = chance.table(random), chance.query(random)
        decoded = whole(content({OTHERS: ranked})).table("anything").ranked
        assert_same(ranked, decoded, query)
        found.append(outcome(ranked, query))
    # The test would say nothing were all requests alike.
    assert sum(isinstance(each, dict) for each in found) in range(100, 900)
    assert len({each.reason for each in found if not isinstance(each, dict)}) >= 5


@settings(max_examples=60)
@given(tables(), queries())
def test_every_candidate_has_the_same_report(ranked: RankedTable, query: Query) -> None:
    decoded = whole(content({OTHERS: ranked})).table("code").ranked
    assert_same(ranked, decoded, query)
    assert explain(decoded, query) == explain(ranked, query)
    assert [each.score for each in decoded.candidates] == [each.score for each in ranked.candidates]


@pytest.mark.parametrize("seed", range(3))
def test_any_difference_leads_to_what_the_whole_says(seed: int) -> None:
    random = Random(seed)
    for _ in range(200):
        old, new = (
            content({OTHERS: first, **({"code": first} if random.random() < 0.5 else {})})
            for first in (chance.table(random), chance.table(random))
        )
        before = whole(old)
        before.table("code")
        after, direct = changed(before, old, new), whole(new)
        assert after.models == direct.models
        assert after.tables == direct.tables
        assert after.agent == direct.agent
        for task_type in ("code", "chat"):
            assert after.table(task_type).ranked.candidates == direct.table(task_type).ranked.candidates
            assert_same(after.table(task_type).ranked, direct.table(task_type).ranked, chance.query(random))


def other(random: Random, before: RankedTable, share: float) -> RankedTable:
    """The table with another standing of some candidates."""
    drawn = {each.external_id: each for each in chance.table(random, 30).candidates}
    task = (
        "priority_term", "experience_term", "exploration_term", "rating_mean", "rating_count", "level",
        "task_rating_count", "estimate", "deviation", "latency_ms", "error_rate",
    )  # fmt: skip
    changed = [
        replace(each, **{name: getattr(drawn[each.external_id], name) for name in task})
        if each.external_id in drawn and random.random() < share
        else each
        for each in before.candidates
    ]
    ordered = sorted(changed, key=lambda each: (-each.score, each.model_id))
    return replace(before, candidates=tuple(ordered))


def test_a_patch_leads_to_what_the_whole_says() -> None:
    random = Random(5)
    patches = 0
    for _ in range(300):
        first = chance.table(random, 30)
        second = other(random, first, random.choice([0.0, 0.1, 0.2, 0.8]))
        tables_before, tables_after = ({OTHERS: first, "code": first}, {OTHERS: first, "code": second})
        old, new = content(tables_before), content(tables_after)
        sent = received(Head(kind=DELTA, revision=6, base_revision=5), new.since(old))
        patches += any(each.patch for chunk in sent for each in chunk.tables)
        after, direct = apply(whole(old), sent), whole(new, revision=6)
        assert after.tables == direct.tables
        assert after.table("code").ranked.candidates == direct.table("code").ranked.candidates
        assert_same(after.table("code").ranked, direct.table("code").ranked, chance.query(random))
    assert patches in range(100, 290)


def test_a_patch_of_a_table_that_is_not_there_is_refused() -> None:
    before = whole(content({OTHERS: table(candidate("p/a"))}))
    patch = pb.SnapshotTable(task_type="code", patch=True)
    delta = pb.AgentSnapshot(kind=DELTA, revision=6, base_revision=5, last_chunk=True, tables=[patch])
    with pytest.raises(SnapshotGap):
        apply(before, [delta])


def test_little_is_sent_of_a_large_table_of_which_little_changed() -> None:
    ranked = [candidate(f"p/{number:04}", 0.5 - number / 10_000) for number in range(2_000)]
    first = table(*ranked)
    second = table(
        replace(ranked[1], experience_term=0.9, rating_mean=0.9, rating_count=1.0), ranked[0], *ranked[2:]
    )
    old, new = content({OTHERS: first}), content({OTHERS: second})
    assert sum(map(len, new.since(old))) < 6_000 < sum(map(len, new.tables[OTHERS].pieces)) / 5
    assert changed(whole(old), old, new).tables == whole(new).tables


def test_a_task_type_without_a_table_takes_the_common_one() -> None:
    rated, common_table = table(candidate("p/a", 0.9)), table(candidate("p/a", 0.1))
    snapshot = whole(content({OTHERS: common_table, "code": rated}))
    assert snapshot.table("code").ranked.candidates[0].score == 0.9
    assert snapshot.table("poetry").ranked.candidates[0].score == 0.1
    assert snapshot.table("poetry") is snapshot.table("prose")


def test_what_did_not_change_is_kept_and_what_did_is_made_before_it_is_asked_for() -> None:
    common_table = table(candidate("p/a", 0.1))
    old = content({OTHERS: common_table, "code": table(candidate("p/a", 0.2))})
    new = content({OTHERS: common_table, "code": table(candidate("p/a", 0.3))})
    before = whole(old)
    kept = before.table("chat")
    before.table("code")
    after = changed(before, old, new)
    assert after.table("chat") is kept
    assert after.table("code").ranked.candidates[0].score == 0.3
    assert before.table("code").ranked.candidates[0].score == 0.2
    assert after.rules is before.rules


def test_a_large_table_comes_in_bounded_chunks() -> None:
    ranked = table(*(candidate(f"p/{number:05}", 0.5) for number in range(20_000)))
    told = content({OTHERS: ranked, "code": ranked})
    parts = snapshots.chunks(Head(kind=FULL, revision=9, fingerprint=told.fingerprint), told.whole)
    assert max(map(len, parts)) < snapshots.CHUNK_BYTES + 1_000
    messages = [pb.AgentSnapshot.FromString(each) for each in parts]
    assert [each.chunk_index for each in messages] == list(range(len(messages)))
    assert [each.last_chunk for each in messages] == [False] * (len(messages) - 1) + [True]
    snapshot = apply(None, messages)
    assert [each.model_id for each in snapshot.table("code").ranked.candidates] == [
        each.model_id for each in ranked.candidates
    ]
    assert snapshot.fingerprint == told.fingerprint


def test_settings_as_long_as_they_may_be_come_in_chunks_that_a_client_takes() -> None:
    line = "\U0001f600" * 255
    preferences = tuple(
        Preference(agent_class=f"class {number}", parameters=Parameters(extra={"a": "x" * 60_000}))
        for number in range(100)
    )
    rules = Rules(
        tools={f"{number} {line}"[:255]: "code" for number in range(1000)},
        mime_types={f"{number} {line}"[:255]: "code" for number in range(1000)},
        words={f"task-{number}": (line,) * 200 for number in range(30)},
    )
    changes = {"agent": replace(AGENT, agent_class=""), "preferences": preferences, "rules": rules}
    told = content({OTHERS: table(candidate("p/a"))}, **changes)
    parts = snapshots.chunks(Head(kind=FULL, revision=5), told.whole)
    assert max(map(len, parts)) < 4 << 20
    snapshot = apply(None, [pb.AgentSnapshot.FromString(each) for each in parts])
    assert snapshot.rules == merge(rules, SRS_RULES)
    assert [each.agent_class for each in snapshot.agent.class_preferences] == [
        each.agent_class for each in preferences
    ]


def test_a_difference_to_something_else_is_refused() -> None:
    told = content({OTHERS: table(candidate("p/a"))})
    delta = received(Head(kind=DELTA, revision=9, base_revision=8), told.since(told))
    with pytest.raises(SnapshotGap):
        apply(None, delta)
    with pytest.raises(SnapshotGap) as caught:
        apply(whole(told, revision=7), delta)
    assert (caught.value.base_revision, caught.value.revision) == (8, 7)


def test_a_heartbeat_moves_the_revision_and_nothing_else() -> None:
    before = whole(content({OTHERS: table(candidate("p/a"))}), revision=5)
    made = before.table("code")
    head = Head(kind=HEARTBEAT, revision=8, base_revision=5, stale=True, fingerprint=b"f")
    after = apply(before, received(head, ()))
    assert (after.revision, after.stale, after.fingerprint) == (8, True, b"f")
    assert after.table("code") is made


def test_the_fingerprint_is_that_of_the_content() -> None:
    one, two = table(candidate("p/a", 0.5), candidate("p/b", 0.4)), table(candidate("p/a", 0.5))
    assert content({OTHERS: one, "code": one}).fingerprint == content({OTHERS: one, "code": one}).fingerprint
    prints = {content(each).fingerprint for each in ({OTHERS: one}, {OTHERS: two}, {OTHERS: one, "x": one})}
    assert len(prints) == 3


def test_an_agent_without_a_class_takes_the_preference_of_the_class_that_a_request_names() -> None:
    ranked = table(candidate("p/a", 0.9), candidate("p/b", 0.1))
    warm, cold = Parameters(temperature=0.9), Parameters(temperature=0.1)
    told = content(
        {OTHERS: ranked},
        agent=replace(AGENT, agent_class=""),
        preferences=(
            Preference(agent_class="*", model_ids=("p/b",), parameters=cold),
            Preference(agent_class="poets", model_ids=("x/y", "p/a"), parameters=warm),
        ),
    )
    snapshot = whole(told)
    assert snapshot.table("code").ranked.preferred_model_ids == ()
    assert snapshot.table("code", "poets").ranked.preferred_model_ids == ("p/a",)
    assert snapshot.table("code", "cooks").ranked.preferred_model_ids == ("p/b",)
    assert snapshot.table("code", "poets").answer(0).parameters.temperature == 0.9
    assert not snapshot.table("code").answer(0).parameters.HasField("temperature")


def test_rules_of_detection_arrive_over_the_built_in_ones() -> None:
    rules = Rules(
        tools={"scan": "audit"},
        mime_types={"image/*": "pictures"},
        words={f"task-{number}": (f"word{number}", "other") for number in range(120)} | {"code": ()},
    )
    snapshot = whole(content({OTHERS: table()}, rules=rules))
    assert snapshot.rules == merge(rules, SRS_RULES)


values = st.none() | st.booleans() | st.integers(-5, 5) | st.text("ab", max_size=2)
levels = st.builds(
    Parameters,
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    max_output_tokens=st.none() | st.integers(1, 100),
    stop=st.none() | st.lists(st.text("ab", max_size=2), max_size=2).map(tuple),
    extra=st.dictionaries(st.sampled_from("xyz"), values | st.lists(values, max_size=2), max_size=3),
)


@settings(max_examples=200)
@given(st.lists(levels, max_size=5))
def test_a_client_merges_parameters_as_the_server_does(given_levels: list[Parameters]) -> None:
    told = [common.to_parameters(each) for each in given_levels]
    expected = common.to_parameters(parameters.resolve(*given_levels))
    assert client_parameters.resolve(*told) == expected


def test_an_answer_merges_its_layers_in_their_order() -> None:
    ranked = table(candidate("p/a", 0.75))
    told = replace(
        content(
            {OTHERS: ranked},
            layers={
                "global": Parameters(temperature=0.1, top_p=0.1, max_output_tokens=1, extra={"x": 1, "y": 1}),
                "tenant": Parameters(temperature=0.2),
                "agent": Parameters(max_output_tokens=5, extra={"x": 5}),
            },
        ),
        models=snapshots.models(
            [
                entry(
                    ranked.candidates[0],
                    own=Parameters(top_p=0.3, max_output_tokens=3),
                    agent_own=Parameters(extra={"x": 6}),
                )
            ]
        ),
    )
    answer = whole(told).table("code")
    made = answer.answer(0)
    assert (made.model_id, made.external_id, made.score) == ("p/a", "a", 0.75)
    assert made.parameters == pb.Parameters(
        temperature=0.2, top_p=0.3, max_output_tokens=5, extra=common.to_struct({"x": 6, "y": 1})
    )
    asked = answer.answer(0, pb.Parameters(temperature=0.9, extra=common.to_struct({"y": None})))
    assert asked.parameters.temperature == 0.9
    assert dict(asked.parameters.extra.fields).keys() == {"x"}
    assert answer.answer(0) is made
