"""``imrs tokens``: tokens that the server issues, and can take back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import DurationType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource
from imrs_server.domain.principal import Role

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from uuid import UUID

    from google.protobuf.timestamp_pb2 import Timestamp

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "token": "token_id", "subject": "subject", "roles": "roles", "agent": "agent_id",
        "issued by": "issued_by", "issued": "create_time", "ends": "expire_time", "revoked": "revoke_time",
    },
    empty="No tokens were issued here, or all have ended. `imrs tokens issue` issues one.",
)  # fmt: skip
_TOKENS: Final = Resource(kind=pb.Token, id="token_id")


@click.group()
def command() -> None:
    """Issue, see and revoke tokens, as a tenant's admin.

    `imrs token` signs one without a server; that one is in no list, and cannot be revoked.
    """


resource.add(
    command,
    _TOKENS.listing(
        "List the tokens that were issued here, but not the tokens themselves.",
        _VIEW,
        click.option("--agent", "agent_id", default="", help="Only of this agent."),
        click.option("--revoked", "show_revoked", is_flag=True, help="Revoked and ended ones too."),
    ),
)


@command.command()
@click.option(
    "--role",
    "roles",
    multiple=True,
    required=True,
    type=click.Choice([str(each) for each in Role]),
    help="What it may do; may be given several times.",
)
@click.option("--agent", "agent_id", default="", help="The agent, for the role agent.")
@click.option("--subject", default="", help="Who has it; stands in the audit log [default: the agent].")
@click.option("--ttl", type=DurationType(), help="How long it is good, such as 30d [default: 12h].")
@remote.calls
@forms.single
def issue(
    client: ImrsClient,
    *,
    roles: tuple[str, ...],
    agent_id: str,
    subject: str,
    ttl: timedelta | None,
    form: Form,
) -> None:
    """Issue a token, and print it: it is shown only now.

    imrs tokens issue --role agent --agent support-bot --ttl 30d
    """
    request = pb.IssueTokenRequest(
        roles=roles,
        agent_id=agent_id,
        subject=subject,
        ttl=None if ttl is None else arguments.proto_duration(ttl),
    )
    made = client.admin.IssueToken(request)
    then = f"Good until {_minute(made.expire_time)}. `imrs tokens revoke {made.token_id}` ends it before."
    form.done(made, made.token, then=then)


@command.command()
@click.argument("token_id", type=click.UUID)
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote.calls
@forms.single
def revoke(client: ImrsClient, token_id: UUID, *, yes: bool, form: Form) -> None:
    """Revoke a token: every server refuses it from then on."""
    answer = {"token_id": str(token_id)}
    issued = _issued(client, token_id)
    if issued.HasField("revoke_time"):
        form.done(answer, f"{token_id} was revoked already, {_minute(issued.revoke_time)}")
        return
    arguments.confirm(yes, f"Revoke {token_id}? Whoever uses it is refused then, for good.")
    _TOKENS.call(client, "Revoke", token_id=str(token_id))
    form.done(answer, f"revoked {token_id}")


def _issued(client: ImrsClient, token_id: UUID) -> pb.Token:
    """Raises ClickException where there is none: the server says nothing of an id that it does not know."""
    request = pb.ListTokensRequest(token_id=str(token_id), show_revoked=True)
    # A server from before this filter answers with all of them, in pages.
    tokens: Iterator[pb.Token] = client.paginate(client.admin.ListTokens, request)
    for found in tokens:
        if found.token_id == str(token_id):
            return found
    raise click.ClickException(
        f"no token {token_id} was issued here. `imrs tokens list --revoked` shows all that were; one that"
        " `imrs token` signed cannot be revoked."
    )


def _minute(time: Timestamp) -> str:
    return f"{time.ToDatetime():%Y-%m-%d %H:%M} UTC"
