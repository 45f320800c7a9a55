"""``imrs endpoints``: where the models of a pool run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import DurationType, EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from datetime import timedelta

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "endpoint": "endpoint_id", "model": "model_id", "state": "state", "weight": "weight",
        "in flight": "in_flight", "ttl": "ttl", "bytes": "memory_bytes", "last used": "last_used_time",
        "base url": "base_url", "load error": "load_error",
    },
    empty="No endpoints: models are called where their provider is. Set one with `imrs endpoints set`.",
)  # fmt: skip


@click.group()
def command() -> None:
    """See and change the model pool, as a platform admin."""


_ENDPOINTS: Final = Resource(kind=pb.Endpoint, id="endpoint_id")

resource.add(
    command,
    _ENDPOINTS.listing(
        "List endpoints.",
        _VIEW,
        click.option("--model", "model_id", default="", help="Only of this model."),
        click.option("--state", type=EnumType(pb.Endpoint.State), help="Only in this state."),
    ),
    _ENDPOINTS.delete("Delete an endpoint.", question="Delete {id}? It gets no calls then."),
)


@command.command("set")
@click.argument("endpoint_id")
@click.option("--model", "model_id", required=True, help="The model that runs there.")
@click.option("--url", "base_url", required=True, help="Where it is called.")
@click.option("--weight", type=click.IntRange(0, 1000), help="Its share of the calls beside the others.")
@click.option("--ttl", type=DurationType(), help="Unloaded after so long without a call, such as 10m.")
@remote.calls
@forms.single
def set_(
    client: ImrsClient,
    endpoint_id: str,
    *,
    weight: int | None,
    ttl: timedelta | None,
    form: Form,
    **given: str,
) -> None:
    """Add an endpoint, or change it.

    imrs endpoints set gpu-1 --model local/llama --url http://10.1.0.7:8051/v1
    """
    endpoint = pb.Endpoint(
        endpoint_id=endpoint_id,
        weight=weight or 0,
        ttl=arguments.proto_duration(ttl) if ttl is not None else None,
        model_id=given["model_id"],
        base_url=given["base_url"],
    )
    made = client.admin.SetEndpoint(pb.SetEndpointRequest(endpoint=endpoint))
    form.done(made, f"{endpoint_id} serves {made.model_id}")


@command.command()
@click.argument("endpoint_id")
@remote.calls
@forms.single
def load(client: ImrsClient, endpoint_id: str, *, form: Form) -> None:
    """Load the model of an endpoint, and wait for it."""
    found = client.admin.LoadEndpoint(pb.LoadEndpointRequest(endpoint_id=endpoint_id))
    form.done(found, f"{endpoint_id} is {pb.Endpoint.State.Name(found.state)}")


@command.command()
@click.argument("endpoint_id")
@remote.calls
@forms.single
def unload(client: ImrsClient, endpoint_id: str, *, form: Form) -> None:
    """Unload the model of an endpoint; the next call loads it again."""
    found = client.admin.UnloadEndpoint(pb.UnloadEndpointRequest(endpoint_id=endpoint_id))
    form.done(found, f"{endpoint_id} is {pb.Endpoint.State.Name(found.state)}")
