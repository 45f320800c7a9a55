"""Two servers and one database: who fails cools for both, says so, and comes back in steps."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from imrs_client import InvalidArgument, Replica, ResourceExhausted, Unavailable
from imrs_client import v1 as pb
from tests.support.breakers import HOUR_SECONDS
from tests.support.chatting import refuses
from tests.support.pair import PROMPT, Pair, pairing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault


@pytest.fixture
def pair(database: str, vault: Vault) -> Iterator[Pair]:
    with pairing(database, vault) as found:
        yield found


def test_a_limit_of_calls_cools_the_model_for_all_servers_at_once(pair: Pair) -> None:
    one, other = pair.bots
    pair.fails(refuses(429, retry_after="42"))
    asked = len(pair.first.requests)

    # The server that saw it does not wait for the index.
    done = pair.ask(one)
    assert done.model_id == "second/m"
    eventually(lambda: pair.selected(other) == "first/n")
    eventually(lambda: pair.selected(one) == "first/n")
    for bot in pair.bots:
        ((model_id, detail),) = pair.removed(bot).items()
        assert model_id == "first/m"
        assert detail.startswith("rate limited; cools until 20")
        assert pair.ask(bot).model_id == "second/m"
    assert len(pair.first.requests) == asked

    for service in pair.services:
        (cooldown,) = service.platform.admin.GetStatus(pb.GetStatusRequest()).cooldowns
        assert (cooldown.provider_id, cooldown.model_id) == ("first", "first/m")
        assert (cooldown.state, cooldown.share) == (pb.CooldownStatus.State.COOLING, 0)
        assert (cooldown.cause, cooldown.openings) == ("rate_limited", 1)
        assert cooldown.due_time.ToSeconds() - cooldown.since_time.ToSeconds() == pytest.approx(42, abs=1)


def test_a_model_that_keeps_failing_cools_and_one_that_fails_now_and_then_does_not(pair: Pair) -> None:
    pair.fails(refuses(503), times=2)
    assert pair.breakers() == []
    pair.fails(refuses(500))
    eventually(lambda: [pair.selected(bot) for bot in pair.bots] == ["first/n"] * 2)
    ((cause, openings),) = pair.breakers("cause, openings")
    assert (cause, openings) == ("overloaded", 1)
    pair.move_on()
    for _ in range(5):
        pair.move_on()
    assert pair.breakers() == []
    assert [pair.selected(bot) for bot in pair.bots] == ["first/m"] * 2


def test_its_share_comes_back_in_steps_and_alike_on_every_server(pair: Pair) -> None:
    pair.fails(refuses(429, retry_after="60"))
    eventually(lambda: pair.selected(pair.bots[1]) == "first/n")
    shares = []
    for _ in range(4):
        pair.move_on()
        answers = [[pair.selected(bot, seed=seed) for seed in range(400)] for bot in pair.bots]
        assert answers[0] == answers[1]
        shares.append(answers[0].count("first/m") / 400)
    for share, wanted in zip(shares, (0.10, 0.25, 0.50, 1.0), strict=True):
        assert share == pytest.approx(wanted, abs=0.08)


def test_an_agent_that_decides_by_itself_goes_by_it_too(pair: Pair) -> None:
    """And is given the same share on the way back, request by request."""
    with Replica(pair.bots[1], report=False) as replica:
        replica.wait_until_ready(20)
        assert replica.route().selected.model_id == "first/m"
        pair.fails(refuses(429, retry_after="60"))
        eventually(lambda: replica.route().selected.model_id == "first/n")
        pair.move_on()
        ((revision,),) = pair.execute("select rev from index_revision")
        assert replica.wait_for_revision(int(revision), 20)
        seeds = range(200)
        own = [replica.route(seed=seed).selected.model_id for seed in seeds]
        assert own == [pair.selected(pair.bots[0], seed=seed) for seed in seeds]
        assert set(own) == {"first/m", "first/n"}


def test_trouble_on_the_way_back_opens_it_again_for_longer(pair: Pair) -> None:
    """A provider that flaps: well whenever it is hardly asked."""
    lengths = []
    pair.fails(refuses(503))
    for _ in range(4):
        assert pair.execute("select * from breakers where phase = 'COOLING'") == []
        # Seeds of requests that are sent to it.
        seeds = (n for n in range(1000) if pair.selected(pair.bots[0], seed=n) == "first/m")
        for _ in range(2):
            pair.first.script(refuses(503))
            assert pair.ask(pair.bots[0], seed=next(seeds)).model_id == "second/m"
        eventually(lambda: bool(pair.execute("select * from breakers where phase = 'COOLING'")))
        lengths += pair.execute("select extract(epoch from due_time - since_time)::int from breakers")
        eventually(lambda: all("first/m" in pair.removed(bot) for bot in pair.bots))
        pair.move_on()
    assert [each for (each,) in lengths] == [10, 20, 40, 80]


def test_a_refused_key_cools_the_provider_until_there_is_a_new_one(pair: Pair) -> None:
    pair.fails(refuses(401))
    eventually(lambda: [pair.selected(bot) for bot in pair.bots] == ["second/m"] * 2)
    assert set(pair.removed(pair.bots[1])) == {"first/m", "first/n"}
    platform = pair.platform
    platform.admin.RotateProviderKey(pb.RotateProviderKeyRequest(provider_id="first", api_key="sk-new"))
    pair.settled(platform.last_revision)
    assert [pair.ask(bot).model_id for bot in pair.bots] == ["first/m"] * 2
    assert pair.breakers() == []


def test_an_agents_own_key_and_that_of_the_provider_do_not_pay_for_each_other(pair: Pair) -> None:
    tenant = pair.services[0].tenant
    tenant.admin.CreateAgent(pb.CreateAgentRequest(agent=pb.Agent(agent_id="owner")))
    tenant.admin.EnableAgentModels(pb.EnableAgentModelsRequest(agent_id="owner", filter=pb.ModelFilter()))
    own = pb.SetAgentKeyRequest(agent_id="owner", provider_id="first", api_key="sk-own")
    tenant.admin.SetAgentKey(own)
    pair.settled(tenant.last_revision)
    owner = pair.services[0].agent("owner")

    pair.first.script(refuses(401))
    assert pair.ask(owner).model_id == "second/m"
    pair.first.script(refuses(429, retry_after="60"))
    assert pair.ask(owner).model_id == "second/m"
    assert pair.breakers() == []

    pair.fails(refuses(429, retry_after="60"))
    eventually(lambda: pair.selected(pair.bots[0]) == "first/n")
    assert pair.selected(owner) == "first/m"
    assert pair.ask(owner).model_id == "first/m"


def test_what_is_the_requests_fault_cools_nobody(pair: Pair) -> None:
    pair.first.script(*[refuses(400)] * 5)
    for _ in range(5):
        with pytest.raises(InvalidArgument):
            pair.ask(pair.bots[0])
    pair.fails(refuses(400, "context_length_exceeded"), times=5)
    assert pair.breakers() == []
    assert pair.selected(pair.bots[0]) == "first/m"


def test_one_request_that_fails_again_and_again_says_the_same_only_once(pair: Pair) -> None:
    """Or a prompt that its provider chokes on would take the model from everybody."""
    only = pb.StringList(values=["first/m"])
    pair.first.script(*[refuses(500)] * 4)
    with pytest.raises(Unavailable):
        pair.bots[0].complete(PROMPT, allowed_models=only, max_attempts=4, timeout_seconds=20)
    assert len(pair.first.requests) == 4
    assert pair.breakers() == []
    pair.fails(refuses(500))
    assert pair.breakers() == []


def test_where_all_cool_a_model_that_fails_is_still_better_than_none(pair: Pair) -> None:
    """And when it answers, it is on its way back before its time."""
    only = pb.StringList(values=["first/m"])
    bot, other = pair.bots
    pair.first.script(*[refuses(503)] * 3)
    for _ in range(3):
        with pytest.raises(Unavailable):
            bot.complete(PROMPT, allowed_models=only)
    eventually(lambda: "first/m" in pair.removed(other))
    pair.due_in(HOUR_SECONDS)
    assert pair.selected(other, allowed_models=only) == "first/m"
    done = other.complete(PROMPT, allowed_models=only)
    assert done.model_id == "first/m"
    eventually(lambda: pair.execute("select phase from breakers") == [("RETURNING",)])


def test_where_all_are_limited_the_call_waits_or_ends_and_nobody_is_asked(pair: Pair) -> None:
    only = pb.StringList(values=["first/m"])
    bot, other = pair.bots
    pair.first.script(refuses(429, retry_after="60"))
    with pytest.raises(ResourceExhausted):
        bot.complete(PROMPT, allowed_models=only)
    eventually(lambda: "first/m" in pair.removed(other))
    with pytest.raises(ResourceExhausted) as caught:
        other.complete(PROMPT, allowed_models=only, timeout=timedelta(seconds=20))
    assert caught.value.reason == "PROVIDER_RATE_LIMITED"
    assert 0 < (caught.value.retry_after_seconds or 0) <= 60
    assert len(pair.first.requests) == 1
    pair.due_in(15)
    done = other.complete(PROMPT, allowed_models=only, timeout_seconds=40)
    assert done.model_id == "first/m"
    (failed,) = done.failed_attempts
    assert failed.error_kind == "rate_limited"
    assert failed.detail.startswith("not called: rate limited; ")
