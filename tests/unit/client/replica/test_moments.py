"""What a replica answers in the very moment in which it learns something."""

from __future__ import annotations

from typing import Any

from imrs_client import ImrsClient, NotFound, Replica
from imrs_client.snapshot import apply
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


def answer(replica: Replica) -> str:
    try:
        return replica.route().selected.model_id
    except NotFound as error:
        return error.reason


def test_an_agent_that_is_back_is_gone_or_there_and_nothing_between() -> None:
    told = content({"*": table(candidate("p/good", 0.9))})
    head = Head(kind=FULL, revision=5, fingerprint=told.fingerprint)
    pieces: list[Any] = [AgentSnapshot.FromString(each) for each in snapshots.chunks(head, told.whole)]
    with ImrsClient(NOBODY, token="t") as client:
        replica = Watched(client, report=False)
        replica._fail(GONE)
        assert answer(replica) == "AGENT_NOT_FOUND"
        replica.answers = []
        replica._hear(apply(None, pieces))
    assert set(replica.answers) <= {"AGENT_NOT_FOUND", "p/good"}
    assert replica.answers[-1] == "p/good"
