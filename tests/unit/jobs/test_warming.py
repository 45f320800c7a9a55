"""Offers are there before an agent asks for them, and follow what changes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain.agent import Agent
from imrs_server.domain.vault_view import VaultView
from imrs_server.index import rows
from imrs_server.index.rows import Enrolled
from imrs_server.index.warm import Index
from imrs_server.jobs import warming
from imrs_server.jobs.warming import Warming
from imrs_server.storage.index import PLAIN, Key
from tests.support.evidence import number
from tests.support.schema import HERE
from tests.support.state import model, state

if TYPE_CHECKING:
    from imrs_server.index.state import State

NAMES = tuple(f"m{i}" for i in range(2000))


def plain(**priorities: int) -> Enrolled:
    packed = b"".join(PLAIN.pack(number(f"p/{name}"), each, True) for name, each in priorities.items())
    return Enrolled(Agent(agent_id="a", tenant_id=HERE), plain=packed)


def with_agents(**agents: Enrolled) -> State:
    found = {
        Key(HERE, name): replace(each, agent=Agent(agent_id=name, tenant_id=HERE))
        for name, each in agents.items()
    }
    return replace(state(*map(model, NAMES)), agents=rows.given(found))


def warm(job: Warming) -> int:
    """How many turns it took until there was nothing left to do."""
    turns = 1
    while job.turn() == warming.PAUSE_SECONDS:
        turns += 1
    return turns


def test_every_model_is_made_a_few_at_a_time() -> None:
    index = Index()
    index.confirm(with_agents())
    assert warm(Warming(index)) > 1
    assert index.current is not None
    assert len(index.current.made.shared.enabled) == len(NAMES)


def test_agents_have_the_very_same_offers_each_with_its_own_priority() -> None:
    found = with_agents(a=plain(m1=-1, m2=90), b=plain(m2=-1, m1=10))
    one, other = (found.agent(HERE, name) for name in "ab")
    assert one is not None
    assert other is not None
    assert {*map(id, one.offers)} == {*map(id, other.offers)}
    assert [(each.model_id, each.priority) for each in one.table("").ranked.candidates] == [
        ("p/m2", 90),
        ("p/m1", 50),
    ]
    assert [(each.model_id, each.priority) for each in other.table("").ranked.candidates] == [
        ("p/m2", 50),
        ("p/m1", 10),
    ]


def test_a_new_view_of_vault_makes_them_anew() -> None:
    index = Index()
    index.confirm(with_agents(a=plain(m1=-1)))
    job = Warming(index)
    warm(job)
    index.see(VaultView(answers=False))
    warm(job)
    assert index.current is not None
    assert not any(each.credentials_ok for each in index.current.made.shared.enabled.values())


def test_what_no_agent_may_use_any_more_is_passed_over() -> None:
    found = with_agents(a=plain(m1=-1, gone=-1))
    tables = found.agent(HERE, "a")
    assert tables is not None
    assert [each.model.model_id for each in tables.offers] == ["p/m1"]
