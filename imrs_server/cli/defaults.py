"""``imrs defaults``: what holds where neither an agent nor a request says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.arguments import DurationType, EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_Policy: Final = pb.RoutingPolicy
_SHARE: Final = click.FloatRange(0, 1)
_DEFAULTS: Final = Resource(
    kind=pb.Defaults,
    id="scope",
    fields={
        "default_model_id": click.option(
            "--default-model", "default_model_id", help="Answers where nothing tells models apart."
        ),
        **arguments.PARAMETERS,
        "routing.priority_weight": click.option(
            "--priority-weight", type=_SHARE, help="Of the priority in the score."
        ),
        "routing.experience_weight": click.option(
            "--experience-weight", type=_SHARE, help="Of the ratings in the score."
        ),
        "routing.scoring": click.option(
            "--scoring", type=EnumType(_Policy.Scoring), help="How ratings become a score."
        ),
        "routing.exploration": click.option(
            "--exploration", type=EnumType(_Policy.Exploration), help="How little-known models get a chance."
        ),
        "routing.exploration_rate": click.option(
            "--exploration-rate", type=_SHARE, help="Share of requests that explore, with epsilon."
        ),
        "routing.cost_preference": click.option(
            "--cost-preference", type=EnumType(_Policy.CostPreference), help="Between similar models."
        ),
        "routing.similarity_margin": click.option(
            "--similarity-margin", type=_SHARE, help="Scores this near to the best are similar."
        ),
        "routing.half_life": click.option(
            "--half-life", type=DurationType(), help="When a rating weighs half, such as 45d; 0: never."
        ),
        "routing.max_cost_tier": click.option(
            "--max-tier", "max_cost_tier", type=EnumType(pb.Model.CostTier), help="The dearest tier allowed."
        ),
        "routing.session_affinity": click.option(
            "--affinity/--no-affinity", "session_affinity", default=None, help="Conversations keep a model."
        ),
        "routing.require_credentials": click.option(
            "--require-key/--no-require-key", "require_credentials", default=None, help="Only with a key."
        ),
        "routing.max_latency_ms": click.option(
            "--max-latency", "max_latency_ms", type=click.IntRange(1), help="Milliseconds on average."
        ),
        "routing.max_error_rate": click.option(
            "--max-error-rate", type=_SHARE, help="Share of calls that failed."
        ),
    },
)


# What options cannot say can be unset all the same.
_UNSET: Final = (
    *_DEFAULTS.fields, "parameters.stop", "parameters.extra", "routing.signal_ratings",
    "routing.feedback_weights", "routing.shadow", "task_rules",
)  # fmt: skip


def _scoped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--global``, and the parameter ``everybody``."""
    return click.option(
        "--global", "everybody", is_flag=True, help="Of all tenants, as a platform admin; else of yours."
    )(command)


@click.group()
def command() -> None:
    """See and set defaults: of the tenant, over those of all tenants.

    Rules of task types, weights of feedback and shadow policies are set in a file: `imrs config schema`.
    """


@command.command()
@_scoped
@remote.calls
@forms.single
def show(client: ImrsClient, *, everybody: bool, form: Form) -> None:
    """Show what is set; the rest is built in."""
    form.one(_DEFAULTS.call(client, "Get", scope=_scope(everybody)))


@command.command("set")
@_scoped
@_DEFAULTS.described
@remote.calls
@forms.single
def set_(client: ImrsClient, *, everybody: bool, form: Form, **given: Any) -> None:
    """Set what is given, and nothing else.

    imrs defaults set --temperature 0.3 --half-life 30d
    """
    wanted, paths = _DEFAULTS.read(given, scope=_scope(everybody))
    if not paths:
        raise click.UsageError("nothing to set: give one of the options")
    form.done(_DEFAULTS.save(client, wanted, paths), f"set {', '.join(paths)} {_for(everybody)}")


@command.command()
@click.argument("fields", nargs=-1, required=True, type=click.Choice(_UNSET), metavar="FIELD...")
@_scoped
@remote.calls
@forms.single
def unset(client: ImrsClient, fields: tuple[str, ...], *, everybody: bool, form: Form) -> None:
    """Have fields set no longer, by the names that `imrs defaults show` has for them.

    imrs defaults unset parameters.temperature routing.half_life
    """
    wanted = pb.Defaults(scope=_scope(everybody))
    saved = _DEFAULTS.save(client, wanted, list(fields))
    form.done(saved, f"{', '.join(fields)}: no longer set {_for(everybody)}")


def _scope(everybody: bool) -> pb.Defaults.Scope.ValueType:
    return pb.Defaults.Scope.GLOBAL if everybody else pb.Defaults.Scope.TENANT


def _for(everybody: bool) -> str:
    return "for all tenants" if everybody else "for the tenant"
