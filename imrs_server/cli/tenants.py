"""``imrs tenants``: who has agents here, and what people call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import remote, resource
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from uuid import UUID

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={"tenant": "tenant_id", "name": "display_name", "first seen": "create_time"},
    empty="No tenants yet: one is there when a token names it. `imrs tokens issue` makes such a token.",
)
_TENANTS: Final = Resource(kind=pb.Tenant, id="tenant_id")


@click.group()
def command() -> None:
    """See tenants and give them names, as a platform admin."""


resource.add(command, _TENANTS.listing("List tenants.", _VIEW))


@command.command("set")
@click.argument("tenant_id", type=click.UUID)
@click.option("--name", "display_name", required=True, help="What people call it.")
@remote.calls
@forms.single
def set_(client: ImrsClient, tenant_id: UUID, *, display_name: str, form: Form) -> None:
    """Give a tenant a name.

    imrs tenants set 01930000-0000-7000-8000-000000000001 --name "Acme Inc."
    """
    tenant = pb.Tenant(tenant_id=str(tenant_id), display_name=display_name)
    form.done(_TENANTS.call(client, "Set", tenant=tenant), f"{tenant_id} is called {display_name}")
