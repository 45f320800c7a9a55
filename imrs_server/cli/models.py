"""``imrs models``: the catalogue, what became of it, and how well its models do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource
from imrs_server.cli.arguments import EnumType
from imrs_server.cli.output import fields, forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "model": "model_id", "type": "model_type", "tier": "cost_tier", "context": "context_length",
        "in USD/M": "input_price_usd", "out USD/M": "output_price_usd", "priority": "priority",
        "available": "available", "lifecycle": "lifecycle", "capabilities": "capabilities",
    },
    empty="No model is like that. `imrs providers sync PROVIDER_ID` reads a provider's models.",
)  # fmt: skip
_CHANGES: Final = View(
    shown={
        "time": "create_time", "model": "model_id", "action": "action", "changes": "diffs",
    },
    empty="Nothing changed.",
)  # fmt: skip
_PERFORMANCE: Final = View(
    shown={
        "model": "model_id", "agent": "agent_id", "task": "task_type", "rating": "avg_rating",
        "ratings": "rating_count", "calls": "usage_count", "avg ms": "avg_latency_ms",
        "p95 ms": "p95_latency_ms", "score": "score", "from": "lower", "to": "upper",
    },
    empty="Nothing is known yet: ratings come by SubmitFeedback, `imrs feedback submit` or `imrs import`.",
)  # fmt: skip


@click.group()
def command() -> None:
    """See and change the catalogue of models; to change it takes a platform admin."""


@command.command("list")
@remote.calls
@arguments.model_filter
@arguments.DELETED
@forms.listing
def list_(client: ImrsClient, *, chosen: pb.ModelFilter | None, show_deleted: bool, form: Form) -> None:
    """List models: all, or those that pass every option."""
    request = pb.ListModelsRequest(filter=chosen, show_deleted=show_deleted)
    form.list(client.catalog.ListModels, request, _VIEW)


_FIELDS: Final = {
    "display_name": click.option("--name", "display_name", help="What people call it."),
    "model_type": click.option("--type", "model_type", type=EnumType(pb.Model.Type), help="What it is for."),
    "cost_tier": click.option(
        "--tier", "cost_tier", type=EnumType(pb.Model.CostTier), help="How dear it is."
    ),
    "priority": click.option(
        "--priority", type=click.IntRange(0, 100), help="Of two equals, the higher wins."
    ),
    "capabilities": click.option("--capability", "capabilities", multiple=True, help="What it can do."),
    "domains": click.option("--domain", "domains", multiple=True, help="What it knows well."),
    "context_length": click.option(
        "--context", "context_length", type=click.IntRange(1), help="Tokens of its context."
    ),
    "max_output_tokens": click.option(
        "--max-output", "max_output_tokens", type=click.IntRange(1), help="Tokens of an answer at most."
    ),
    "input_price_usd": click.option("--input-price", "input_price_usd", metavar="USD", help="Of 1M tokens."),
    "output_price_usd": click.option(
        "--output-price", "output_price_usd", metavar="USD", help="Of 1M tokens."
    ),
    "cached_input_price_usd": click.option(
        "--cached-price", "cached_input_price_usd", metavar="USD", help="Of 1M tokens that were cached."
    ),
}


_MODELS: Final = Resource(kind=pb.Model, id="model_id", service="catalog", fields=_FIELDS)

resource.add(
    command,
    _MODELS.show("Show all of a model."),
    _MODELS.update("Change what is given of a model; syncs leave that alone from then on."),
    _MODELS.delete(
        "Delete a model; syncs do not bring it back, but it can be undeleted.",
        question="Delete {id}? No agent can use it then.",
        then="`imrs models undelete {id}` takes that back.",
    ),
    _MODELS.undelete("Bring a deleted model back."),
)


@command.command()
@click.argument("model_id", metavar="PROVIDER_ID/EXTERNAL_ID")
@_MODELS.described
@remote.calls
@forms.single
def add(client: ImrsClient, model_id: str, *, form: Form, **given: Any) -> None:
    """Add a model that a sync does not find.

    imrs models add openai/gpt-internal --context 128000 --input-price 2.5 --output-price 10
    """
    provider_id, slash, external_id = model_id.partition("/")
    if not (slash and external_id):
        raise click.UsageError(f"{model_id} must be PROVIDER_ID/EXTERNAL_ID, such as openai/gpt-4o")
    model, _ = _MODELS.read(given, provider_id=provider_id, external_id=external_id)
    made = client.catalog.CreateModel(pb.CreateModelRequest(model=model))
    then = f"`imrs agents enable-models AGENT_ID {made.model_id}` lets an agent use it."
    form.done(made, f"added {made.model_id}", then=then)


@command.command()
@click.argument("model_ids", nargs=-1)
@arguments.model_filter
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@remote.calls
@forms.single
def enable(
    client: ImrsClient,
    model_ids: tuple[str, ...],
    *,
    chosen: pb.ModelFilter | None,
    dry_run: bool,
    form: Form,
) -> None:
    """Let models be chosen again: these, or those that pass every option."""
    _switch(client, model_ids, chosen, available=True, dry_run=dry_run, form=form)


@command.command()
@click.argument("model_ids", nargs=-1)
@arguments.model_filter
@click.option("--dry-run", is_flag=True, help="Only say how many it would be.")
@remote.calls
@forms.single
def disable(
    client: ImrsClient,
    model_ids: tuple[str, ...],
    *,
    chosen: pb.ModelFilter | None,
    dry_run: bool,
    form: Form,
) -> None:
    """Take models out of every choice: these, or those that pass every option."""
    _switch(client, model_ids, chosen, available=False, dry_run=dry_run, form=form)


def _switch(
    client: ImrsClient,
    model_ids: tuple[str, ...],
    chosen: pb.ModelFilter | None,
    *,
    available: bool,
    dry_run: bool,
    form: Form,
) -> None:
    if bool(model_ids) == bool(chosen):
        raise click.UsageError("name models, or say by options which ones, such as --tier free")
    if chosen is not None:
        update = pb.BulkUpdateModelsRequest.Update(available=available)
        request = pb.BulkUpdateModelsRequest(filter=chosen, update=update, validate_only=dry_run)
        counted = client.catalog.BulkUpdateModels(request)
        would = "would be changed" if dry_run else "were changed"
        form.done(
            counted, f"{counted.matched_count:,} models are like that, {counted.updated_count:,} {would}"
        )
        return
    if dry_run:
        raise click.UsageError("--dry-run is for models that are chosen by options")
    changed = []
    for model_id in model_ids:
        model = pb.Model(model_id=model_id, available=available)
        changed.append(fields.as_dict(_MODELS.save(client, model, ["available"])))
    says = f"{', '.join(model_ids)}: {'available' if available else 'not available'}"
    form.done({"models": changed}, says)


@command.command()
@click.option("--model", "model_id", default="", help="Of this model.")
@click.option("--provider", "provider_id", default="", help="Of this provider.")
@arguments.between
@remote.calls
@forms.listing
def changes(
    client: ImrsClient, *, model_id: str, provider_id: str, between: Callable[[Any], None], form: Form
) -> None:
    """List what syncs changed, of one model or one provider."""
    if bool(model_id) == bool(provider_id):
        raise click.UsageError("give --model or --provider")
    request = pb.ListModelChangesRequest(model_id=model_id, provider_id=provider_id)
    between(request)
    form.list(client.catalog.ListModelChanges, request, _CHANGES)


@command.command()
@click.option("--model", "model_id", default="", help="Only of this model.")
@click.option("--agent", "agent_id", default="", help="Only of this agent.")
@click.option("--task", "task_type", default="", help="Only of this task type.")
@arguments.between
@remote.calls
@forms.listing
def performance(client: ImrsClient, *, between: Callable[[Any], None], form: Form, **only: Any) -> None:
    """List how models were rated, how fast they were, and what is made of that."""
    request = pb.ListPerformanceRequest(**only)
    between(request)
    form.list(client.feedback.ListPerformance, request, _PERFORMANCE)
