"""``imrs defaults``: what holds where neither an agent nor a request says otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, policies, remote, task_rules
from imrs_server.cli.output import forms
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_DEFAULTS: Final = Resource(
    kind=pb.Defaults,
    id="scope",
    fields={
        "default_model_id": click.option(
            "--default-model", "default_model_id", help="Answers where nothing tells models apart."
        ),
        **arguments.PARAMETERS,
        **policies.options("routing"),
        **task_rules.OPTIONS,
    },
)
_SHADOW: Final = Resource(kind=pb.Defaults, id="scope", fields=policies.options("routing.shadow"))


def _scoped(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--global``, and the parameter ``everybody``."""
    return click.option(
        "--global", "everybody", is_flag=True, help="Of all tenants, as a platform admin; else of yours."
    )(command)


@click.group()
def command() -> None:
    """See and set defaults: of the tenant, over those of all tenants."""


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

    imrs defaults set --temperature 0.3 --half-life 30d --feedback-weight COPY=2

    imrs defaults set --tool deploy=ops --words ops=terraform --words "ops=roll ... back"
    """
    _set(_DEFAULTS, client, given, form, everybody)


@command.command("set-shadow")
@_scoped
@_SHADOW.described
@remote.calls
@forms.single
def set_shadow(client: ImrsClient, *, everybody: bool, form: Form, **given: Any) -> None:
    """Set a policy on trial: decided beside the one that serves, and logged.

    What it leaves unset is as in the policy that serves.

    imrs defaults set-shadow --scoring srs --exploration off
    """
    again = " --global" if everybody else ""
    then = f"`imrs defaults unset routing.shadow{again}` ends the trial."
    _set(_SHADOW, client, given, form, everybody, then=then)


@command.command()
@click.argument("fields", nargs=-1, required=True, metavar="FIELD...")
@_scoped
@remote.calls
@forms.single
def unset(client: ImrsClient, fields: tuple[str, ...], *, everybody: bool, form: Form) -> None:
    """Have fields set no longer, by the names that `imrs defaults show` has for them.

    imrs defaults unset parameters.temperature routing.feedback_weights.COPY routing.shadow
    """
    nothing = pb.Defaults(scope=_scope(everybody))
    saved = _DEFAULTS.save(client, nothing, [_DEFAULTS.path(field) for field in fields])
    form.done(saved, f"{', '.join(fields)}: no longer set {_for(everybody)}")


def _set(
    resource: Resource,
    client: ImrsClient,
    given: dict[str, Any],
    form: Form,
    everybody: bool,
    *,
    then: str = "",
) -> None:
    wanted, paths = resource.read(given, scope=_scope(everybody))
    if not paths:
        raise click.UsageError("nothing to set: give one of the options")
    form.done(resource.save(client, wanted, paths), f"set {', '.join(paths)} {_for(everybody)}", then=then)


def _scope(everybody: bool) -> pb.Defaults.Scope.ValueType:
    return pb.Defaults.Scope.GLOBAL if everybody else pb.Defaults.Scope.TENANT


def _for(everybody: bool) -> str:
    return "for all tenants" if everybody else "for the tenant"
