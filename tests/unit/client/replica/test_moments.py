"""What a replica answers in the very moment in which it learns something."""

from __future__ import annotations

from typing import Any

from imrs_client import ImrsClient, NotFound, Replica
from imrs_client.snapshot import Snapshot, apply
from imrs_client.v1 import AgentSnapshot
from imrs_server.transport.convert import snapshots
from imrs_server.transport.convert.snapshots import Head
from tests.support.tables import candidate, table
from tests.unit.transport.test_snapshots import FULL, content

NOBODY = "127.0.0.1:1"
GONE = NotFound("There is no such agent.", reason="AGENT_NOT_FOUND")


class Watched(Replica):
    """Asked for a decision after each thing that it notes."""

    answers: list[str]

    def __setattr__(self, name: str, value: object) -> None:
        super().__setattr__(name, value)
        if "answers" in vars(self) and name != "answers":
            self.answers.append(answer(self))


class Overtaken(Replica):
    """Hears its news in the moment in which it has found that it knows nothing."""

    news: Snapshot

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name == "_known" and found is None and (news := vars(self).pop("news", None)) is not None:
            self._hear(news)
        return found


def answer(replica: Replica) -> str:
    try:
        return replica.route().selected.model_id
    except NotFound as error:
        return error.reason


def snapshot() -> Snapshot:
    told = content({"*": table(candidate("p/good", 0.9))})
    head = Head(kind=FULL, revision=5, fingerprint=told.fingerprint)
    pieces: list[Any] = [AgentSnapshot.FromString(each) for each in snapshots.chunks(head, told.whole)]
    return apply(None, pieces)


def test_an_agent_that_is_back_is_gone_or_there_and_nothing_between() -> None:
    with ImrsClient(NOBODY, token="t") as client:
        replica = Watched(client, report=False)
        replica._fail(GONE)
        assert answer(replica) == "AGENT_NOT_FOUND"
        replica.answers = []
        replica._hear(snapshot())
    assert set(replica.answers) <= {"AGENT_NOT_FOUND", "p/good"}
    assert replica.answers[-1] == "p/good"


def test_an_agent_that_comes_back_while_a_decision_is_taken_takes_it() -> None:
    with ImrsClient(NOBODY, token="t") as client:
        replica = Overtaken(client, default_model="q/default", report=False)
        replica._fail(GONE)
        assert answer(replica) == "AGENT_NOT_FOUND"
        replica.news = snapshot()
        assert answer(replica) == "p/good"
