"""``imrs preferences``: the models that classes of agents prefer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "class": "agent_class", "models": "model_ids", "temperature": "parameters.temperature",
        "top p": "parameters.top_p", "max output": "parameters.max_output_tokens",
    },
    empty="No preferences: every class of agents gets what is ranked best. `imrs preferences set` says more.",
)  # fmt: skip
_PREFERENCES: Final = Resource(kind=pb.Preference, id="agent_class", fields=arguments.PARAMETERS)


@click.group()
def command() -> None:
    """See and set what classes of agents prefer, as a platform admin; `*` are classes without an entry."""


resource.add(
    command,
    _PREFERENCES.listing("List what classes of agents prefer.", _VIEW),
    _PREFERENCES.show("Show what a class prefers."),
    _PREFERENCES.delete(
        "Delete what a class prefers.",
        question="Delete what {id} prefers? Its agents get what is ranked best then, or what `*` prefers.",
        told="{id} prefers nothing of its own",
    ),
)


@command.command("set")
@click.argument("agent_class")
@click.argument("model_ids", nargs=-1, required=True)
@_PREFERENCES.described
@remote.calls
@forms.single
def set_(
    client: ImrsClient, agent_class: str, model_ids: tuple[str, ...], *, form: Form, **given: Any
) -> None:
    """Set what a class prefers, in place of all that it did: the best first, then its fallbacks.

    imrs preferences set support openai/gpt-4o openai/gpt-4o-mini --temperature 0.2
    """
    preference, _ = _PREFERENCES.read(given, agent_class=agent_class, model_ids=model_ids)
    made = _PREFERENCES.call(client, "Set", preference=preference)
    form.done(made, f"{agent_class} prefers {', '.join(made.model_ids)}")
