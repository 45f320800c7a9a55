"""``imrs budgets``: what agents and tenants may spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import DurationType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from datetime import timedelta

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "budget": "budget_id", "agent": "agent_id", "level": "level", "window": "window",
        "spent USD": "spent_usd",
        "limit USD": "limit_usd", "reserved USD": "reserved_usd", "spent tokens": "spent_tokens",
        "limit tokens": "limit_tokens", "begins anew": "reset_time",
    },
    empty="No budgets: nothing limits what is spent. Set one with `imrs budgets set --usd 50 --window 30d`.",
)  # fmt: skip


@click.group()
def command() -> None:
    """See and set budgets, as a tenant's admin."""


_BUDGETS: Final = Resource(kind=pb.Budget, id="budget_id")

resource.add(
    command,
    _BUDGETS.listing(
        "List budgets, with what is spent of them.",
        _VIEW,
        click.option("--agent", "agent_id", default="", help="Only of this agent."),
    ),
    _BUDGETS.delete(
        "Delete a budget, with what is counted of it.",
        question="Delete budget {id}? What it limited is not limited by it then.",
        told="deleted budget {id}",
    ),
)


@command.command("set")
@click.argument("budget_id", default="")
@click.option("--agent", "agent_id", default="", help="Of this agent; without it, of the whole tenant.")
@click.option("--usd", "limit_usd", metavar="USD", help="So many dollars a window.")
@click.option("--tokens", "limit_tokens", type=click.IntRange(1), help="So many tokens a window.")
@click.option("--window", type=DurationType(), required=True, help="Such as 1d or 30d.")
@remote.calls
@forms.single
def set_(
    client: ImrsClient,
    budget_id: str,
    *,
    agent_id: str,
    limit_usd: str | None,
    limit_tokens: int | None,
    window: timedelta,
    form: Form,
) -> None:
    """Set a budget: a new one, or BUDGET_ID anew.

    imrs budgets set --agent coder --usd 50 --window 30d
    """
    if limit_usd is None and limit_tokens is None:
        raise click.UsageError("give --usd or --tokens")
    budget = pb.Budget(
        budget_id=budget_id,
        agent_id=agent_id,
        limit_usd=limit_usd,
        limit_tokens=limit_tokens,
        window=arguments.proto_duration(window),
    )
    made = client.admin.SetBudget(pb.SetBudgetRequest(budget=budget))
    form.done(made, f"budget {made.budget_id} of {made.agent_id or 'the tenant'} is set")
