"""The commands of ``imrs agents`` that are about models: which an agent may use, and which it may not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_EMPTY: Final = "This agent may use no model: `imrs agents enable-models` lets it."
_ENABLED: Final = View(
    shown={
        "model": "model_id", "enabled": "enabled", "tier": "cost_tier", "priority": "effective_priority",
        "in USD/M": "input_price_usd", "out USD/M": "output_price_usd", "by": "source",
        "since": "enabled_time",
    },
    empty=_EMPTY,
)  # fmt: skip
_EFFECTIVE: Final = View(
    shown={
        "model": "model_id", "usable": "eligible", "not for": "removed_by", "detail": "detail",
        "priority": "effective_priority", "tier": "cost_tier",
    },
    empty=_EMPTY,
)  # fmt: skip
_RULES: Final = View(
    shown={
        "rule": "rule_id", "provider": "filter.provider_id", "tier": "filter.cost_tier",
        "capabilities": "filter.capabilities", "type": "filter.model_type", "search": "filter.search",
        "priority": "priority_override", "since": "create_time",
    },
    empty="No rules: `imrs agents enable-models AGENT_ID --provider ... --standing` makes one.",
)  # fmt: skip


@click.command()
@click.argument("agent_id")
@click.option("--effective", is_flag=True, help="Which ones Route may really choose, and why not the others.")
@remote.calls
@forms.listing
def models(client: ImrsClient, agent_id: str, *, effective: bool, form: Form) -> None:
    """List the models of an agent."""
    request = pb.ListAgentModelsRequest(agent_id=agent_id, effective=effective)
    form.list(client.admin.ListAgentModels, request, _EFFECTIVE if effective else _ENABLED)


@click.command("enable-models")
@click.argument("agent_id")
@click.argument("model_ids", nargs=-1)
@arguments.model_filter
@click.option("--standing", is_flag=True, help="Models that come to be like that later, too.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@remote.calls
@forms.single
def enable(
    client: ImrsClient,
    agent_id: str,
    model_ids: tuple[str, ...],
    *,
    chosen: pb.ModelFilter | None,
    standing: bool,
    dry_run: bool,
    form: Form,
) -> None:
    """Let an agent use these models, and those that pass every option.

    imrs agents enable-models helper --provider local --standing
    """
    if not model_ids and chosen is None:
        raise click.UsageError("name models, or say by options which ones, such as --provider openai")
    done = client.admin.EnableAgentModels(
        pb.EnableAgentModelsRequest(
            agent_id=agent_id, model_ids=model_ids, filter=chosen, standing=standing, validate_only=dry_run
        )
    )
    would = "could use" if dry_run else "may use"
    form.done(
        done,
        f"{agent_id} {would} {done.enabled_count:,} more models",
        then=f"`imrs agents models {agent_id} --effective` says which of them can be chosen now.",
    )


@click.command("disable-models")
@click.argument("agent_id")
@click.argument("model_ids", nargs=-1)
@arguments.model_filter
@click.option("--all", "every", is_flag=True, help="All of them.")
@remote.calls
@forms.single
def disable(
    client: ImrsClient,
    agent_id: str,
    model_ids: tuple[str, ...],
    *,
    chosen: pb.ModelFilter | None,
    every: bool,
    form: Form,
) -> None:
    """Take models from an agent; others may go on using them."""
    if not (model_ids or chosen is not None or every):
        raise click.UsageError("name models, say by options which ones, or --all")
    done = client.admin.DisableAgentModels(
        pb.DisableAgentModelsRequest(agent_id=agent_id, model_ids=model_ids, filter=chosen, all=every)
    )
    form.done(done, f"{agent_id} may no longer use {done.disabled_count:,} models")


@click.command("set-priority")
@click.argument("agent_id")
@click.argument("model_id")
@click.argument("priority", type=click.IntRange(0, 100), required=False)
@remote.calls
@forms.single
def set_priority(
    client: ImrsClient, agent_id: str, model_id: str, priority: int | None, *, form: Form
) -> None:
    """Give a model another priority for one agent; without PRIORITY it is the catalogue's again."""
    model = pb.AgentModel(agent_id=agent_id, model_id=model_id, priority_override=priority)
    mask = FieldMask(paths=["priority_override"])
    changed = client.admin.UpdateAgentModel(pb.UpdateAgentModelRequest(agent_model=model, update_mask=mask))
    says = f"the priority of {model_id} for {agent_id} is {changed.effective_priority}"
    form.done(changed, says)


@click.command()
@click.argument("agent_id")
@remote.calls
@forms.listing
def rules(client: ImrsClient, agent_id: str, *, form: Form) -> None:
    """List an agent's standing rules."""
    form.list(client.admin.ListAgentRules, pb.ListAgentRulesRequest(agent_id=agent_id), _RULES)


@click.command("delete-rule")
@click.argument("agent_id")
@click.argument("rule_id")
@remote.calls
@forms.single
def delete_rule(client: ImrsClient, agent_id: str, rule_id: str, *, form: Form) -> None:
    """Delete a standing rule; the models that it enabled for the agent go with it."""
    client.admin.DeleteAgentRule(pb.DeleteAgentRuleRequest(agent_id=agent_id, rule_id=rule_id))
    form.done({"rule_id": rule_id}, f"deleted rule {rule_id} of {agent_id}")


COMMANDS: Final[tuple[Any, ...]] = (models, enable, disable, set_priority, rules, delete_rule)
