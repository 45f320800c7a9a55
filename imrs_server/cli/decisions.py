"""``imrs decisions``: which models were chosen, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import EnumType
from imrs_server.cli.output import forms, tables, text
from imrs_server.cli.output.forms import Kind, View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "time": "create_time", "decision": "decision_id", "agent": "agent_id", "task": "task.task_type",
        "model": "selected.model_id", "reason": "reason", "score": "selected.score",
        "of": "candidates_eligible",
    },
    empty="No decision is like that. Decisions come by Route; `imrs decisions explain` tries one.",
)  # fmt: skip
_CANDIDATES: Final = {
    "model": "model_id", "usable": "eligible", "score": "score", "priority": "priority_term",
    "experience": "experience_term", "exploration": "exploration_term", "ratings": "rating_count",
    "mean": "rating_mean", "from": "level", "not for": "removed_by", "detail": "detail",
}  # fmt: skip


@click.group()
def command() -> None:
    """See decisions, as a tenant's admin."""


_DECISIONS: Final = Resource(kind=pb.Decision, id="decision_id", service="route")

resource.add(
    command,
    _DECISIONS.listing(
        "List decisions, the newest first.",
        _VIEW,
        click.option("--agent", "agent_id", default="", help="Only of this agent."),
        click.option("--reason", type=EnumType(pb.Decision.Reason), help="Only with this reason."),
        arguments.between,
    ),
    _DECISIONS.show("Show all of a decision."),
)


@command.command()
@click.argument("agent_id")
@click.argument("message", default="")
@click.option("--task", "task_type", default="", help="The task type; else it is detected.")
@click.option("--tool", "tools_used", multiple=True, help="A tool that the request used.")
@click.option(
    "--capability", "required_capabilities", multiple=True, help="What the model must be able to do."
)
@click.option(
    "--max-tier", "max_cost_tier", type=EnumType(pb.Model.CostTier), help="The dearest tier allowed."
)
@remote.calls
@forms.single
def explain(client: ImrsClient, *, form: Form, **asked: Any) -> None:
    """Say which model an agent would get for MESSAGE, and why: every candidate. Nothing is stored.

    imrs decisions explain coder "Write a function that parses a date"
    """
    found = client.route.ExplainRoute(pb.RouteRequest(**asked))
    if form.kind is Kind.JSON:
        forms.echo_json(found)
        return
    tables.echo_pairs(
        {
            "selected": text.told(found, "selected.model_id"),
            "reason": text.told(found, "reason"),
            "task": f"{text.told(found, 'task.task_type')}, {text.told(found, 'task.source').lower()}",
            "candidates": f"{found.candidates_eligible:,} of {found.candidates_total:,} are usable",
        }
    )
    if not found.candidates:
        agent_id = text.harmless(found.agent_id)
        click.echo(
            f"`imrs agents enable-models {agent_id} --provider PROVIDER_ID` lets it use models.", err=True
        )
        return
    columns = tables.columns(pb.CandidateReport.DESCRIPTOR, _CANDIDATES)
    tables.echo(columns, (tables.cells(each, _CANDIDATES) for each in found.candidates))
