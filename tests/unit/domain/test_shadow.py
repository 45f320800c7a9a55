"""What the policy on trial would have chosen."""

from __future__ import annotations

from imrs_client.ids import new_id
from imrs_client.limits import Budget, Cooling, Funds, Limits
from imrs_client.query import Query
from imrs_client.ranked import Policy
from imrs_server.domain.shadow import Shadow, beside
from tests.support.tables import candidate, table

BEST = candidate("p/best", 0.9, estimate=0.6)
OTHER = candidate("p/other", 0.8, estimate=0.5, task_rating_count=0)
CERTAIN = table(BEST, OTHER)
LUCKY = table(BEST, OTHER, policy=Policy(exploration_rate=0.5))


def test_without_a_policy_on_trial_there_is_none() -> None:
    assert beside(None, Limits()) is None
    assert beside(CERTAIN, Limits()) == Shadow(CERTAIN, Limits())


def test_it_has_the_limits_of_what_serves() -> None:
    decision_id = new_id()
    assert Shadow(CERTAIN, Limits()).choice(Query(), decision_id) == "p/best"
    cooling = Limits(cooling={"p/best": Cooling("failed")})
    assert Shadow(CERTAIN, cooling).choice(Query(), decision_id) == "p/other"
    spent = Limits(budget=Budget(Funds.SPENT, "spent", keeps_free=False))
    assert Shadow(CERTAIN, spent).choice(Query(), decision_id) == ""


def test_what_served_drew_nothing_and_still_it_draws_for_each_decision() -> None:
    ids = [new_id() for _ in range(400)]
    found = [Shadow(LUCKY, Limits()).choice(Query(), each) for each in ids]
    # An other than the best in a quarter of them: in half of them something is drawn, of two.
    assert 50 < found.count("p/other") < 150
    assert [Shadow(LUCKY, Limits()).choice(Query(), each) for each in ids] == found


def test_a_draw_of_what_served_is_its_own() -> None:
    shadow = Shadow(LUCKY, Limits())
    assert len({shadow.choice(Query(chance="seed 1"), new_id()) for _ in range(50)}) == 1
