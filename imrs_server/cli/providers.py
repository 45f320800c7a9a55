"""``imrs providers``: the APIs that models come from, their keys and their catalogues."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, syncing
from imrs_server.cli.arguments import DurationType, EnumType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form

_VIEW: Final = View(
    shown={
        "provider": "provider_id", "type": "provider_type", "state": "state", "key": "credentials_ok",
        "models": "model_count", "last sync": "last_synced_time", "every": "sync_interval",
        "api base": "api_base", "last error": "last_sync_error",
    },
    empty="There are no providers. Add one with `imrs providers add`.",
)  # fmt: skip

_KEY: Final = "The provider's API key"


@click.group()
def command() -> None:
    """See and change providers, as a platform admin."""


@command.command("list")
@remote.calls
@click.option("--type", "provider_type", type=EnumType(pb.Provider.Type), help="Only of this type.")
@click.option("--state", type=EnumType(pb.Provider.State), help="Only in this state.")
@click.option("--deleted", is_flag=True, help="Deleted ones too.")
@forms.listing
def list_(client: ImrsClient, *, provider_type: Any, state: Any, deleted: bool, form: Form) -> None:
    """List providers."""
    request = pb.ListProvidersRequest(provider_type=provider_type, state=state, show_deleted=deleted)
    form.list(client.admin.ListProviders, request, _VIEW)


@command.command()
@click.argument("provider_id")
@remote.calls
@forms.single
def show(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Show all of a provider, but its key."""
    form.one(client.admin.GetProvider(pb.GetProviderRequest(provider_id=provider_id)))


_FIELDS: Final = {
    "display_name": click.option("--name", "display_name", help="What people call it."),
    "api_base": click.option("--api-base", help="Where its API begins, such as https://api.openai.com/v1."),
    "models_endpoint": click.option("--models-endpoint", help="Path of its model list below that."),
    "dialect": click.option("--dialect", help="How it speaks, where its type does not say that."),
    "pool_url": click.option("--pool-url", help="Where its model pool is managed."),
    "rate_limit_rpm": click.option(
        "--rate-limit", "rate_limit_rpm", type=click.IntRange(1), help="Calls a minute that it allows."
    ),
    "sync_interval": click.option(
        "--sync-every", "sync_interval", type=DurationType(), help="Sync so often, such as 6h; 0: never."
    ),
    "options": click.option(
        "--option", "options", multiple=True, callback=arguments.pairs, metavar="NAME=VALUE",
        help="What its dialect wants to know, such as api_version=2024-10-21.",
    ),
}  # fmt: skip


def _described(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_FIELDS.values()):
        command = option(command)
    return command


def _provider(given: dict[str, Any]) -> tuple[pb.Provider, list[str]]:
    """What the options say, and the fields that they name."""
    said = arguments.said(given)
    provider = pb.Provider()
    for name, value in said.items():
        if name == "options":
            provider.options.update(value)
        elif name == "sync_interval":
            provider.sync_interval.FromTimedelta(value)
        else:
            setattr(provider, name, value)
    return provider, list(said)


@command.command()
@click.argument("provider_id")
@click.option(
    "--type", "provider_type", type=EnumType(pb.Provider.Type), required=True, help="Whose API it is."
)
@_described
@click.option("--key-stdin", is_flag=True, help="Read its key from standard input; asked for on a terminal.")
@click.option("--dry-run", is_flag=True, help="Only check what is said.")
@remote.calls
@forms.single
def add(
    client: ImrsClient,
    provider_id: str,
    *,
    provider_type: Any,
    key_stdin: bool,
    dry_run: bool,
    form: Form,
    **given: Any,
) -> None:
    """Add a provider.

    imrs providers add openai --type openai --api-base https://api.openai.com/v1 --key-stdin < key
    """
    provider, _ = _provider(given)
    provider.provider_id, provider.provider_type = provider_id, provider_type
    if key_stdin:
        provider.api_key = arguments.secret(_KEY)
    request = pb.CreateProviderRequest(provider=provider, validate_only=dry_run)
    made = client.admin.CreateProvider(request)
    says = f"{provider_id} could be added" if dry_run else f"added {provider_id}"
    next_step = f"`imrs providers sync {provider_id}` reads its models."
    if not made.credentials_ok and not dry_run:
        next_step = f"`imrs providers set-key {provider_id}` gives it a key; then {next_step}"
    form.done(made, says, then="" if dry_run else next_step)


@command.command()
@click.argument("provider_id")
@_described
@remote.calls
@forms.single
def update(client: ImrsClient, provider_id: str, *, form: Form, **given: Any) -> None:
    """Change what is given of a provider, and nothing else."""
    provider, paths = _provider(given)
    if not paths:
        raise click.UsageError("nothing to change: give one of the options")
    form.done(_update(client, provider_id, provider, paths), f"changed {', '.join(paths)} of {provider_id}")


@command.command("set-key")
@click.argument("provider_id")
@remote.calls
@forms.single
def set_key(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Give a provider its key, or another one: from standard input, or typed unseen.

    imrs providers set-key openai < key
    """
    request = pb.RotateProviderKeyRequest(provider_id=provider_id, api_key=arguments.secret(_KEY))
    changed = client.admin.RotateProviderKey(request)
    then = f"`imrs providers check {provider_id}` tries it."
    form.done(changed, f"the key of {provider_id} is in Vault, and counts from the next call on", then=then)


@command.command()
@click.argument("provider_id")
@remote.calls
@forms.single
def check(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Call a provider, and say how it answers. Ends with 1 where it cannot be used."""
    found = client.admin.CheckProvider(pb.CheckProviderRequest(provider_id=provider_id))
    usable = found.reachable and found.authorized
    if usable:
        says = f"{provider_id} answers in {found.latency_ms:,} ms, and has {found.model_count:,} models"
    else:
        says = f"{provider_id} {'does not take the key' if found.reachable else 'does not answer'}"
        says += f": {found.detail}" if found.detail else ""
    form.done(found, says)
    if not usable:
        sys.exit(1)


@command.command()
@click.argument("provider_id")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@click.option("--force", is_flag=True, help="Even where more than half of the models would go.")
@remote.calls
@forms.single
def sync(client: ImrsClient, provider_id: str, *, dry_run: bool, force: bool, form: Form) -> None:
    """Read a provider's models into the catalogue."""
    request = pb.SyncProviderRequest(provider_id=provider_id, validate_only=dry_run, force=force)
    result = syncing.run(client, request)
    form.done(result, syncing.told(result, dry_run=dry_run), then=syncing.next_step(result, dry_run=dry_run))


@command.command()
@click.argument("provider_id")
@click.argument("synced_time", type=click.DateTime(["%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M:%S%z"]))
@remote.calls
@forms.single
def revert(client: ImrsClient, provider_id: str, synced_time: datetime, *, form: Form) -> None:
    """Undo one sync; SYNCED_TIME is the one that `imrs models changes` shows with --json."""
    request = pb.RevertSyncRequest(provider_id=provider_id)
    request.synced_time.FromDatetime(synced_time)
    result = client.admin.RevertSync(request)
    form.done(result, f"reverted: {result.models_updated + result.models_added:,} models are as they were")


@command.command()
@click.argument("provider_id")
@remote.calls
@forms.single
def enable(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Let a provider's models be chosen again."""
    changed = _update(client, provider_id, pb.Provider(state=pb.Provider.State.ACTIVE), ["state"])
    form.done(changed, f"{provider_id} is active")


@command.command()
@click.argument("provider_id")
@remote.calls
@forms.single
def disable(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Take a provider's models out of every choice, until it is enabled again."""
    changed = _update(client, provider_id, pb.Provider(state=pb.Provider.State.DISABLED), ["state"])
    then = f"`imrs providers enable {provider_id}` brings them back as they were."
    form.done(changed, f"{provider_id} is disabled: none of its models is chosen", then=then)


@command.command()
@click.argument("provider_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@remote.calls
@forms.single
def delete(client: ImrsClient, provider_id: str, *, yes: bool, form: Form) -> None:
    """Delete a provider; it can be undeleted."""
    arguments.confirm(yes, f"Delete {provider_id}? None of its models can be chosen then.")
    gone = client.admin.DeleteProvider(pb.DeleteProviderRequest(provider_id=provider_id))
    form.done(
        gone, f"deleted {provider_id}", then=f"`imrs providers undelete {provider_id}` takes that back."
    )


@command.command()
@click.argument("provider_id")
@remote.calls
@forms.single
def undelete(client: ImrsClient, provider_id: str, *, form: Form) -> None:
    """Bring a deleted provider back."""
    back = client.admin.UndeleteProvider(pb.UndeleteProviderRequest(provider_id=provider_id))
    form.done(back, f"{provider_id} is back")


def _update(client: ImrsClient, provider_id: str, provider: pb.Provider, paths: list[str]) -> pb.Provider:
    provider.provider_id = provider_id
    request = pb.UpdateProviderRequest(provider=provider, update_mask=FieldMask(paths=paths))
    return client.admin.UpdateProvider(request)
