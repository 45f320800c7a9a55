"""rate_limit_rpm on two servers: exact over both, for Complete and for syncs."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import ResourceExhausted
from imrs_client import v1 as pb
from tests.support.pair import PROMPT, Pair, pairing
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Vault


@pytest.fixture
def pair(database: str, vault: Vault) -> Iterator[Pair]:
    with pairing(database, vault) as found:
        yield found


def limit(pair: Pair, provider_id: str, rpm: int) -> None:
    platform = pair.platform
    provider = pb.Provider(provider_id=provider_id, rate_limit_rpm=rpm)
    mask = FieldMask(paths=["rate_limit_rpm"])
    platform.admin.UpdateProvider(pb.UpdateProviderRequest(provider=provider, update_mask=mask))
    pair.settled(platform.last_revision)


def a_minute_later(pair: Pair) -> None:
    """Let what was granted be that long ago."""
    pair.execute("update provider_calls set second = second - 62")


def test_no_server_calls_once_all_together_have_called_so_often(pair: Pair) -> None:
    """The rest goes to the next model, and nobody hears of a 429."""
    limit(pair, "first", 30)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: pair.ask(pair.bots[n % 2]), range(60)))
    assert Counter(each.model_id for each in answers) == {"first/m": 30, "second/m": 30}
    assert len(pair.first.requests) == 30
    assert {kind for each in answers for kind in kinds(each)} <= {"rate_limited"}

    eventually(lambda: [pair.selected(bot) for bot in pair.bots] == ["second/m"] * 2)
    for bot in pair.bots:
        removed = pair.removed(bot)
        assert set(removed) == {"first/m", "first/n"}
        assert removed["first/m"].startswith("its rate_limit_rpm is used up; cools until 20")
    ((left,),) = pair.execute("select extract(epoch from due_time - now()) from breakers")
    assert 30 < left <= 62

    a_minute_later(pair)
    pair.move_on()
    # The limit is one's own: nothing must be proved.
    assert pair.execute("select * from breakers") == []
    assert [pair.ask(bot).model_id for bot in pair.bots] == ["first/m"] * 2


def kinds(answer: object) -> list[str]:
    return [each.error_kind for each in answer.failed_attempts]  # type: ignore[attr-defined]


def test_a_lonely_model_is_not_called_beyond_its_limit(pair: Pair) -> None:
    limit(pair, "first", 2)
    only = pb.StringList(values=["first/m"])
    bot, other = pair.bots
    for each in (bot, other):
        assert each.complete(PROMPT, allowed_models=only).model_id == "first/m"
    for each in (bot, other):
        with pytest.raises(ResourceExhausted) as caught:
            each.complete(PROMPT, allowed_models=only, timeout_seconds=10)
        assert caught.value.reason == "PROVIDER_RATE_LIMITED"
        assert 30 < (caught.value.retry_after_seconds or 0) <= 62
    assert len(pair.first.requests) == 2


def test_a_limit_that_is_raised_or_taken_away_counts_at_once(pair: Pair) -> None:
    limit(pair, "first", 1)
    assert [pair.ask(bot).model_id for bot in pair.bots] == ["first/m", "second/m"]
    eventually(lambda: [pair.selected(bot) for bot in pair.bots] == ["second/m"] * 2)
    limit(pair, "first", 3)
    assert [pair.ask(bot).model_id for bot in pair.bots] == ["first/m"] * 2
    assert pair.ask(pair.bots[0]).model_id == "second/m"


def test_calls_of_a_sync_count_too(pair: Pair) -> None:
    """It ends as it does where the provider says 429 and the wait is too long."""
    limit(pair, "first", 2)
    pair.first.page("/v1/models", b'{"data": [{"id": "m"}, {"id": "n"}]}')
    platform = pair.platform
    *_, done = platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="first"))
    assert done.result.models_discovered == 2
    assert pair.ask(pair.bots[0]).model_id == "first/m"
    with pytest.raises(ResourceExhausted) as caught:
        list(platform.admin.SyncProvider(pb.SyncProviderRequest(provider_id="first")))
    assert caught.value.reason == "PROVIDER_RATE_LIMITED"
    assert [each.path for each in pair.first.requests] == ["/v1/models", "/v1/chat/completions"]
    assert pair.ask(pair.bots[1]).model_id == "second/m"
