"""``imrs feedback``: what was said of answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "time": "create_time", "feedback": "feedback_id", "agent": "agent_id", "model": "model_id",
        "task": "task_type", "rating": "rating", "signal": "signal", "type": "feedback_type",
        "user": "user_id", "comment": "comment", "revoked": "revoke_time",
    },
    empty="No feedback is like that. `imrs feedback submit MESSAGE_ID --signal thumbs_up` gives some.",
)  # fmt: skip


@click.group()
def command() -> None:
    """See and give feedback."""


_FEEDBACK: Final = Resource(kind=pb.Feedback, id="feedback_id", service="feedback", plural="")

resource.add(
    command,
    _FEEDBACK.listing(
        "List feedback, the newest first.",
        _VIEW,
        click.option("--message", "message_id", default="", help="Only on this message."),
        click.option("--agent", "agent_id", default="", help="Only of this agent's answers."),
        click.option("--model", "model_id", default="", help="Only of this model's answers."),
        click.option("--task", "task_type", default="", help="Only of this task type."),
        click.option("--type", "feedback_type", type=EnumType(pb.Feedback.Type), help="Only of this type."),
        click.option("--user", "user_id", default="", help="Only of this user."),
        arguments.between,
    ),
)


@command.command()
@click.argument("message_id")
@click.option("--rating", type=click.FloatRange(0, 1), help="From 0 (bad) to 1 (good).")
@click.option("--signal", type=EnumType(pb.Feedback.Signal), help="Or what the user did.")
@click.option("--comment", default="", help="In words.")
@click.option("--user", "user_id", default="", help="On whose behalf.")
@remote.calls
@forms.single
def submit(
    client: ImrsClient, message_id: str, *, rating: float | None, signal: Any, form: Form, **given: Any
) -> None:
    """Rate an answer; MESSAGE_ID is the decision_id where nothing else was said."""
    if rating is None and signal is None:
        raise click.UsageError("give --rating, or --signal such as thumbs_up")
    made = client.rate(message_id, rating, signal=signal or pb.Feedback.SIGNAL_UNSPECIFIED, **given)
    about = "once its message is known" if made.pending else f"about {made.model_id}"
    form.done(made, f"{made.feedback_id} counts {about}, {made.rating:g}")


@command.command()
@click.argument("feedback_id")
@remote.calls
@forms.single
def revoke(client: ImrsClient, feedback_id: str, *, form: Form) -> None:
    """Take feedback back: it counts no more."""
    gone = client.feedback.RevokeFeedback(pb.RevokeFeedbackRequest(feedback_id=feedback_id))
    form.done(gone, f"{feedback_id} counts no more")
