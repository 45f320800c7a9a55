"""``imrs agents``: agents, and which models they may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import v1 as pb
from imrs_server.cli import agent_keys, agent_models, arguments, remote
from imrs_server.cli.arguments import EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "agent": "agent_id", "name": "display_name", "class": "agent_class", "state": "state",
        "default model": "default_model_id", "pinned": "override.model_id", "tags": "tags",
        "changed": "update_time",
    },
    empty="There are no agents. Add one with `imrs agents add`.",
)  # fmt: skip


@click.group()
def command() -> None:
    """See and change agents and their models, as a tenant's admin."""


for each in (*agent_models.COMMANDS, *agent_keys.COMMANDS):
    command.add_command(each)


@command.command("list")
@remote.calls
@click.option("--class", "agent_class", default="", help="Only of this class.")
@click.option("--state", type=EnumType(pb.Agent.State), help="Only in this state.")
@click.option("--tag", default="", help="Only with this tag.")
@click.option("--search", default="", metavar="WORD", help="Only with this in id or name.")
@click.option("--deleted", "show_deleted", is_flag=True, help="Deleted ones too.")
@forms.listing
def list_(client: ImrsClient, *, form: Form, **only: Any) -> None:
    """List agents."""
    form.list(client.admin.ListAgents, pb.ListAgentsRequest(**only), _VIEW)


@command.command()
@click.argument("agent_id")
@remote.calls
@forms.single
def show(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """Show all of an agent."""
    form.one(client.admin.GetAgent(pb.GetAgentRequest(agent_id=agent_id)))


_FIELDS: Final = {
    "display_name": click.option("--name", "display_name", help="What people call it."),
    "agent_class": click.option("--class", "agent_class", help="What kind of agent it is, for preferences."),
    "use_case": click.option("--use-case", help="What it does."),
    "tags": click.option("--tag", "tags", multiple=True, help="May be given several times."),
    "labels": click.option(
        "--label", "labels", multiple=True, callback=arguments.pairs, metavar="NAME=VALUE", help="Likewise."
    ),
    "parameters.temperature": click.option(
        "--temperature", type=click.FloatRange(0, 2), help="Of its calls."
    ),
    "parameters.top_p": click.option("--top-p", type=click.FloatRange(0, 1), help="Of its calls."),
    "parameters.max_output_tokens": click.option(
        "--max-output", "max_output_tokens", type=click.IntRange(1), help="Tokens of an answer at most."
    ),
}


def _described(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FIELDS.values()):
        command = option(command)
    return command


def _agent(agent_id: str, given: dict[str, Any]) -> tuple[pb.Agent, list[str]]:
    """What the options say, and the fields that they name."""
    agent = pb.Agent(agent_id=agent_id)
    said = arguments.said(given)
    paths = []
    for path in _FIELDS:
        name = path.rpartition(".")[2]
        value = said.get(name)
        if value is None:
            continue
        paths.append(path)
        if path == "labels":
            agent.labels.update(value)
        elif path == "tags":
            agent.tags.extend(value)
        else:
            setattr(agent.parameters if "." in path else agent, name, value)
    return agent, paths


@command.command()
@click.argument("agent_id")
@_described
@remote.calls
@forms.single
def add(client: ImrsClient, agent_id: str, *, form: Form, **given: Any) -> None:
    """Add an agent.

    imrs agents add helper --name Helper --tag demo
    """
    agent, _ = _agent(agent_id, given)
    made = client.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    then = f"`imrs agents enable-models {agent_id} --provider PROVIDER_ID` lets it use models."
    form.done(made, f"added {agent_id}", then=then)


@command.command()
@click.argument("agent_id")
@_described
@remote.calls
@forms.single
def update(client: ImrsClient, agent_id: str, *, form: Form, **given: Any) -> None:
    """Change what is given of an agent, and nothing else."""
    agent, paths = _agent(agent_id, given)
    if not paths:
        raise click.UsageError("nothing to change: give one of the options")
    form.done(_update(client, agent, paths), f"changed {', '.join(paths)} of {agent_id}")


@command.command()
@click.argument("agent_id")
@click.argument("new_agent_id")
@remote.calls
@forms.single
def clone(client: ImrsClient, agent_id: str, new_agent_id: str, *, form: Form) -> None:
    """Make another agent with the settings and models of one."""
    request = pb.CloneAgentRequest(agent_id=agent_id, new_agent_id=new_agent_id)
    form.done(client.admin.CloneAgent(request), f"{new_agent_id} is as {agent_id}")


@command.command()
@click.argument("agent_id")
@click.argument("model_id", default="")
@click.option("--none", is_flag=True, help="Have no default model any more.")
@remote.calls
@forms.single
def default(client: ImrsClient, agent_id: str, model_id: str, *, none: bool, form: Form) -> None:
    """Set the model that an agent uses where nothing tells its models apart."""
    if bool(model_id) == none:
        raise click.UsageError("name the model, or say --none")
    agent = pb.Agent(agent_id=agent_id, default_model_id=model_id)
    says = f"the default of {agent_id} is {model_id}" if model_id else f"{agent_id} has no default model"
    form.done(_update(client, agent, ["default_model_id"]), says)


@command.command()
@click.argument("agent_id")
@click.argument("model_id")
@remote.calls
@forms.single
def pin(client: ImrsClient, agent_id: str, model_id: str, *, form: Form) -> None:
    """Have an agent use this model, whatever is learned, while it may use it."""
    request = pb.SetModelOverrideRequest(agent_id=agent_id, model_id=model_id)
    changed = client.admin.SetModelOverride(request)
    form.done(changed, f"{agent_id} uses {model_id}", then=f"`imrs agents unpin {agent_id}` takes that back.")


@command.command()
@click.argument("agent_id")
@remote.calls
@forms.single
def unpin(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """Let an agent's model be chosen again."""
    request = pb.ClearModelOverrideRequest(agent_id=agent_id)
    form.done(client.admin.ClearModelOverride(request), f"the models of {agent_id} are chosen again")


@command.command()
@click.argument("agent_id")
@remote.calls
@forms.single
def enable(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """Let an agent ask for models again."""
    agent = pb.Agent(agent_id=agent_id, state=pb.Agent.State.ACTIVE)
    form.done(_update(client, agent, ["state"]), f"{agent_id} is active")


@command.command()
@click.argument("agent_id")
@remote.calls
@forms.single
def disable(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """Refuse an agent's requests, until it is enabled again."""
    agent = pb.Agent(agent_id=agent_id, state=pb.Agent.State.DISABLED)
    form.done(_update(client, agent, ["state"]), f"{agent_id} is disabled")


@command.command()
@click.argument("agent_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote.calls
@forms.single
def delete(client: ImrsClient, agent_id: str, *, yes: bool, form: Form) -> None:
    """Delete an agent; it can be undeleted."""
    arguments.confirm(yes, f"Delete {agent_id}? Its requests are refused then.")
    gone = client.admin.DeleteAgent(pb.DeleteAgentRequest(agent_id=agent_id))
    form.done(gone, f"deleted {agent_id}", then=f"`imrs agents undelete {agent_id}` takes that back.")


@command.command()
@click.argument("agent_id")
@remote.calls
@forms.single
def undelete(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """Bring a deleted agent back."""
    form.done(client.admin.UndeleteAgent(pb.UndeleteAgentRequest(agent_id=agent_id)), f"{agent_id} is back")


def _update(client: ImrsClient, agent: pb.Agent, paths: list[str]) -> pb.Agent:
    return client.admin.UpdateAgent(pb.UpdateAgentRequest(agent=agent, update_mask=FieldMask(paths=paths)))
