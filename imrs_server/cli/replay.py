"""``imrs replay``: what another policy, other models or other prices would have changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from google.protobuf import json_format

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import Form, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client import ImrsClient


def _policy(_ctx: click.Context, _param: click.Parameter, text: str | None) -> pb.RoutingPolicy | None:
    if text is None:
        return None
    try:
        return json_format.Parse(text, pb.RoutingPolicy())
    except json_format.ParseError as error:
        raise click.BadParameter(f'{error}; a RoutingPolicy is such as {{"max_cost_tier": "LOW"}}') from None


def _prices(
    _ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]
) -> list[pb.ReplayDecisionsRequest.Price]:
    found = []
    for text in given:
        # A model_id has no limit on what it may hold, so the prices are looked for from the end.
        model_id, equals, prices = text.rpartition("=")
        input_usd, comma, output_usd = prices.partition(",")
        if not (model_id and equals and comma):
            raise click.BadParameter(f"{text}: must be MODEL=INPUT,OUTPUT, such as openai/gpt-4o=2.5,10")
        found.append(
            pb.ReplayDecisionsRequest.Price(
                model_id=model_id, input_price_usd=input_usd, output_price_usd=output_usd
            )
        )
    return found


@click.command("replay")
@remote.calls
@click.argument("agent_id")
@click.option("--policy", callback=_policy, metavar="JSON", help="A RoutingPolicy, over the agent's own.")
@click.option("--add", multiple=True, metavar="MODEL", help="A model that the agent would have too.")
@click.option("--remove", multiple=True, metavar="MODEL", help="A model that it would not have.")
@click.option(
    "--price",
    multiple=True,
    callback=_prices,
    metavar="MODEL=INPUT,OUTPUT",
    help="What a model would cost, in USD per 1M tokens.",
)
@arguments.between
@forms.single
def command(
    client: ImrsClient,
    agent_id: str,
    policy: pb.RoutingPolicy | None,
    add: tuple[str, ...],
    remove: tuple[str, ...],
    price: list[pb.ReplayDecisionsRequest.Price],
    *,
    between: Callable[[Any], None],
    form: Form,
) -> None:
    """Take the decisions of an agent again, and say what would have been. Changes nothing.

    Those of the last 30 days, unless a range is given.
    """
    request = pb.ReplayDecisionsRequest(
        agent_id=agent_id, policy=policy, added_models=add, removed_models=remove, prices=price
    )
    between(request)
    found = client.route.ReplayDecisions(request)
    if form.kind is Kind.JSON:
        forms.echo_json(found)
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: pb.ReplayDecisionsResponse) -> list[str]:
    skipped = f", {found.skipped_count} could not be taken again" if found.skipped_count else ""
    unserved = f", {found.unserved_count} without any model" if found.unserved_count else ""
    unpriced = f", {found.unpriced_count} calls left out" if found.unpriced_count else ""
    lines = [
        f"decisions   {found.replayed_count}{skipped}",
        f"changed     {found.changed_share:.1%}{unserved}",
        f"cost        {_signed(found.cost_difference_usd)} USD{unpriced}",
        f"rated       {found.rated_count}"
        + (f", mean {found.logged_rating:.3f}" if found.HasField("logged_rating") else ""),
    ]
    lines += [_estimate(each) for each in found.estimates]
    if not found.identifiable:
        lines.append(f"quality     not identifiable: {found.detail}")
    if found.HasField("model_estimate"):
        lines.append(f"by models   {found.model_estimate:.3f}, from the mean ratings of models alone")
    return lines + [_example(each) for each in found.examples[:5]]


def _estimate(each: pb.ReplayDecisionsResponse.Estimate) -> str:
    return (
        f"{each.method:<12}{each.value:.3f}, 95 % from {each.lower:.3f} to {each.upper:.3f}"
        f" (worth {each.effective_sample_size:.0f} ratings, coverage {each.coverage:.0%})"
    )


def _example(each: pb.ReplayDecisionsResponse.Example) -> str:
    models = f"{each.logged_model_id} -> {each.replayed_model_id or 'none'}"
    return f"  {each.decision_id}  {each.task_type}  {models}"


def _signed(amount: str) -> str:
    return amount if amount.startswith("-") or amount == "0" else f"+{amount}"
