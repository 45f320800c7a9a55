"""The commands of ``imrs agents`` that are about keys of an agent's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.output import forms

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form


@click.command("set-key")
@click.argument("agent_id")
@click.argument("provider_id")
@remote.calls
@forms.single
def set_key(client: ImrsClient, agent_id: str, provider_id: str, *, form: Form) -> None:
    """Give an agent a key of its own with a provider: from standard input, or typed unseen.

    imrs agents set-key helper openai < key
    """
    api_key = arguments.secret("The agent's API key")
    request = pb.SetAgentKeyRequest(agent_id=agent_id, provider_id=provider_id, api_key=api_key)
    client.admin.SetAgentKey(request)
    told = {"agent_id": agent_id, "provider_id": provider_id}
    form.done(told, f"{agent_id} has a key of its own with {provider_id}")


@click.command("delete-key")
@click.argument("agent_id")
@click.argument("provider_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote.calls
@forms.single
def delete_key(client: ImrsClient, agent_id: str, provider_id: str, *, yes: bool, form: Form) -> None:
    """Delete an agent's own key; the provider's key serves it again."""
    arguments.confirm(yes, f"Delete the key of {agent_id} with {provider_id}? It cannot be brought back.")
    client.admin.DeleteAgentKey(pb.DeleteAgentKeyRequest(agent_id=agent_id, provider_id=provider_id))
    told = {"agent_id": agent_id, "provider_id": provider_id}
    form.done(told, f"{agent_id} uses the key of {provider_id}")


COMMANDS: Final[tuple[Any, ...]] = (set_key, delete_key)
