"""Commands as clients of a server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from imrs_client.methods import TIMEOUTS_SECONDS
from imrs_server.cli import main
from tests.unit.client.conftest import service

if TYPE_CHECKING:
    from tests.unit.client.conftest import Service

__all__ = ["service"]


def test_a_command_has_more_time_than_a_program_gives_to_such_a_call(service: Service) -> None:
    words = ["feedback", "submit", "m1", "--rating", "1"]
    done = CliRunner().invoke(main, words, env={"IMRS_ADDRESS": service.address, "IMRS_TOKEN": "t"})
    assert done.exit_code == 0, done.output
    usual_seconds = TIMEOUTS_SECONDS["SubmitFeedback"]
    assert usual_seconds is not None
    [told_seconds] = service.deadlines_seconds
    assert told_seconds > 2 * usual_seconds
