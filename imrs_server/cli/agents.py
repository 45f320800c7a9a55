"""``imrs agents``: agents, and which models they may use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import agent_keys, agent_models, arguments, policies, remote, resource
from imrs_server.cli.arguments import EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
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


_AGENTS: Final = Resource(
    kind=pb.Agent,
    id="agent_id",
    fields={
        "display_name": click.option("--name", "display_name", help="What people call it."),
        "agent_class": click.option(
            "--class", "agent_class", help="What kind of agent it is, for preferences."
        ),
        "use_case": click.option("--use-case", help="What it does."),
        "tags": click.option("--tag", "tags", multiple=True, help="May be given several times."),
        "labels": click.option(
            "--label",
            "labels",
            multiple=True,
            callback=arguments.entries(str),
            metavar="NAME=VALUE",
            help="Likewise; without a value it is taken away.",
        ),
        **arguments.PARAMETERS,
    },
)

# The half-life is the tenant's.
_POLICY: Final = Resource(
    kind=pb.Agent, id="agent_id", fields=policies.options("routing", without="half_life")
)

resource.add(
    command,
    *agent_models.COMMANDS,
    *agent_keys.COMMANDS,
    _AGENTS.listing(
        "List agents.",
        _VIEW,
        click.option("--class", "agent_class", default="", help="Only of this class."),
        click.option("--state", type=EnumType(pb.Agent.State), help="Only in this state."),
        click.option("--tag", default="", help="Only with this tag."),
        click.option("--search", default="", metavar="WORD", help="Only with this in id or name."),
        arguments.DELETED,
    ),
    _AGENTS.show("Show all of an agent."),
    _AGENTS.update("Change what is given of an agent, and nothing else."),
    _AGENTS.switch(
        "enable",
        "Let an agent ask for models again.",
        told="{id} is active",
        state=pb.Agent.State.ACTIVE,
    ),
    _AGENTS.switch(
        "disable",
        "Refuse an agent's requests, until it is enabled again.",
        told="{id} is disabled",
        state=pb.Agent.State.DISABLED,
    ),
    _AGENTS.delete(
        "Delete an agent; it can be undeleted.",
        question="Delete {id}? Its requests are refused then.",
        then="`imrs agents undelete {id}` takes that back.",
    ),
    _AGENTS.undelete("Bring a deleted agent back."),
)


@command.command()
@click.argument("agent_id")
@_AGENTS.described
@remote.calls
@forms.single
def add(client: ImrsClient, agent_id: str, *, form: Form, **given: Any) -> None:
    """Add an agent.

    imrs agents add helper --name Helper --tag demo
    """
    agent, _ = _AGENTS.read(given, agent_id=agent_id)
    made = client.admin.CreateAgent(pb.CreateAgentRequest(agent=agent))
    then = f"`imrs agents enable-models {agent_id} --provider PROVIDER_ID` lets it use models."
    form.done(made, f"added {agent_id}", then=then)


@command.command("set-policy")
@click.argument("agent_id")
@_POLICY.described
@remote.calls
@forms.single
def set_policy(client: ImrsClient, agent_id: str, *, form: Form, **given: Any) -> None:
    """Set how models are ranked for an agent, over the policy of its tenant.

    imrs agents set-policy helper --max-tier standard --feedback-weight COPY=2
    """
    wanted, paths = _POLICY.read(given, agent_id=agent_id)
    if not paths:
        raise click.UsageError("nothing to set: give one of the options")
    form.done(_POLICY.save(client, wanted, paths), f"set {', '.join(paths)} for {agent_id}")


@command.command()
@click.argument("agent_id")
@click.argument("fields", nargs=-1, required=True, metavar="FIELD...")
@remote.calls
@forms.single
def unset(client: ImrsClient, agent_id: str, fields: tuple[str, ...], *, form: Form) -> None:
    """Have fields of an agent set no longer, by the names that `imrs agents show` has for them.

    imrs agents unset helper parameters.temperature routing.max_cost_tier
    """
    saved = _AGENTS.save(client, pb.Agent(agent_id=agent_id), [_AGENTS.path(each) for each in fields])
    form.done(saved, f"{', '.join(fields)}: no longer set for {agent_id}")


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
    form.done(_AGENTS.save(client, agent, ["default_model_id"]), says)


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
