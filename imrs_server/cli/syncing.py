"""A sync while it runs, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from imrs_client import v1 as pb

if TYPE_CHECKING:
    from imrs_client import ImrsClient


def run(client: ImrsClient, request: pb.SyncProviderRequest) -> pb.SyncResult:
    """Sync, with the progress on standard error where a person sees it. Raises ImrsError."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as shown:
        task = shown.add_task("asking", total=None)
        found: pb.SyncResult | None = None
        # To the end: the server lets the next sync begin only then.
        for progress in client.admin.SyncProvider(request):
            stage = pb.SyncProgress.Stage.Name(progress.stage).lower()
            total = progress.models_discovered or None
            shown.update(task, description=stage, completed=progress.models_processed, total=total)
            if progress.HasField("result"):
                found = progress.result
    if found is not None:
        return found
    raise click.ClickException("the sync ended without a result; `imrs providers show` tells its last error")


def told(result: pb.SyncResult, *, dry_run: bool) -> str:
    """What became of the models, in one line."""
    counts = {
        "new": result.models_added,
        "changed": result.models_updated,
        "as they were": result.models_unchanged,
        "missing": result.models_missing,
        "not understood": result.models_invalid,
    }
    parts = ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "none"
    says = f"{result.provider_id} has {result.models_discovered:,} models: {parts}"
    return f"{says}, if it were for real" if dry_run else says


def next_step(result: pb.SyncResult, *, dry_run: bool) -> str:
    if dry_run:
        return "Nothing was written; --json tells every change."
    if result.models_missing:
        return "Missing ones stay in use for a grace period (docs/catalogue.md)."
    return f"`imrs agents enable-models AGENT_ID --provider {result.provider_id}` lets an agent use them."
