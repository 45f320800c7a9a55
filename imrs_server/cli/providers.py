"""``imrs providers``: the APIs that models come from, their keys and their catalogues."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote, resource, syncing
from imrs_server.cli.arguments import EnumType, IntervalType
from imrs_server.cli.output import forms
from imrs_server.cli.output.forms import View
from imrs_server.cli.resource import Resource

if TYPE_CHECKING:
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
        "--sync-every", "sync_interval", type=IntervalType(), help="Sync so often, such as 6h; 0: never."
    ),
    "options": click.option(
        "--option", "options", multiple=True, callback=arguments.entries(str), metavar="NAME=VALUE",
        help="What its dialect wants to know, such as api_version=2024-10-21; without a value, no longer.",
    ),
}  # fmt: skip


_PROVIDERS: Final = Resource(kind=pb.Provider, id="provider_id", fields=_FIELDS)

resource.add(
    command,
    _PROVIDERS.listing(
        "List providers.",
        _VIEW,
        click.option("--type", "provider_type", type=EnumType(pb.Provider.Type), help="Only of this type."),
        click.option("--state", type=EnumType(pb.Provider.State), help="Only in this state."),
        arguments.DELETED,
    ),
    _PROVIDERS.show("Show all of a provider, but its key."),
    _PROVIDERS.update("Change what is given of a provider, and nothing else."),
    _PROVIDERS.switch(
        "enable",
        "Let a provider's models be chosen again.",
        told="{id} is active",
        state=pb.Provider.State.ACTIVE,
    ),
    _PROVIDERS.switch(
        "disable",
        "Take a provider's models out of every choice, until it is enabled again.",
        told="{id} is disabled: none of its models is chosen",
        then="`imrs providers enable {id}` brings them back as they were.",
        state=pb.Provider.State.DISABLED,
    ),
    _PROVIDERS.delete(
        "Delete a provider; it can be undeleted.",
        question="Delete {id}? None of its models can be chosen then.",
        then="`imrs providers undelete {id}` takes that back.",
    ),
    _PROVIDERS.undelete("Bring a deleted provider back."),
)


@command.command()
@click.argument("provider_id")
@click.option(
    "--type", "provider_type", type=EnumType(pb.Provider.Type), required=True, help="Whose API it is."
)
@_PROVIDERS.described
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
    provider, _ = _PROVIDERS.read(given, provider_id=provider_id, provider_type=provider_type)
    if key_stdin:
        provider.api_key = arguments.secret(_KEY)
    request = pb.CreateProviderRequest(provider=provider, validate_only=dry_run)
    made = client.admin.CreateProvider(request)
    says = f"{provider_id} could be added" if dry_run else f"added {provider_id}"
    next_step = f"`imrs providers sync {provider_id}` reads its models."
    if not made.credentials_ok and not dry_run:
        next_step = f"`imrs providers set-key {provider_id}` gives it a key; then {next_step}"
    form.done(made, says, then="" if dry_run else next_step)


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
