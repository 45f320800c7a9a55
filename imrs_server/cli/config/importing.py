"""``imrs config import``: configurations of other systems as one file of ours."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from imrs_client import ImrsClient
from imrs_server.cli import arguments, remote
from imrs_server.cli.config.origins import backup, keys, kinds, shape, sources
from imrs_server.cli.config.origins.draft import Key
from imrs_server.cli.config.origins.fields import Notes
from imrs_server.cli.config.origins.keys import Sent
from imrs_server.cli.config.origins.reading import Unreadable
from imrs_server.cli.config.origins.sources import Wanted
from imrs_server.cli.output import forms, text
from imrs_server.cli.output.forms import Kind
from imrs_server.config_file import file
from imrs_server.config_file.problems import ConfigInvalid

if TYPE_CHECKING:
    from imrs_server.cli.output.forms import Form

_POOL_URL = "http://127.0.0.1:8050"
_SECTIONS = ("providers", "models", "preferences", "agents")

Connect = Callable[[], AbstractContextManager[ImrsClient]]


def _sources(
    _context: click.Context, _argument: click.Parameter, given: tuple[str, ...]
) -> list[tuple[str, Path]]:
    found = []
    for each in given:
        kind, colon, rest = each.partition(":")
        kind, path = (kind, Path(rest)) if colon and kind in kinds.KINDS else ("", Path(each))
        if not path.is_file():
            raise click.BadParameter(f"{path}: there is no such file")
        found.append((kind, path))
    return found


@click.command("import")
@click.argument("given", metavar="[KIND:]FILE...", nargs=-1, required=True, callback=_sources)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("models.yaml"),
    show_default=True,
    help="The file to write; what is there is in the backup.",
)
@click.option(
    "--api-base",
    "addresses",
    multiple=True,
    callback=arguments.pairs,
    metavar="PROVIDER=URL",
    help="Where a provider is that the sources only name.",
)
@click.option("--pool-url", default=_POOL_URL, show_default=True, help="The manager of a model pool.")
@click.option("--keys", "with_keys", is_flag=True, help="Send keys to Vault, through the server.")
@click.option("--dry-run", is_flag=True, help="Print the file, and write nothing.")
@remote.may_call
@forms.single
def command(
    connect: Connect,
    given: list[tuple[str, Path]],
    *,
    output: Path,
    addresses: dict[str, str],
    pool_url: str,
    with_keys: bool,
    dry_run: bool,
    form: Form,
) -> None:
    """Make a configuration file of what other systems have.

    FILEs are Python with get_llm(...) calls or a dict of metadata, an agent's YAML, a compose file, lines of
    variables, JSON of preferences, and tables as CSV or JSON: agent_llm_configs, agent_configs,
    agent_model_config, LLMProvider, LLMModelConfig, AgentModelConfig, GlobalDefault. What each is shows in
    it, unless KIND: says it.

    Copies all of them first, runs nothing, and says what it could not map. Ends with 1 where the file has to
    be mended, or a key is not in Vault.
    """
    # Before anything is written: a token that is missing is said now.
    with connect() if with_keys and not dry_run else nullcontext() as client:
        done = _read(given, Wanted(addresses=addresses, pool_url=pool_url))
        written = shape.text(done.content, _comments(given))
        done.to_mend = _to_mend(written, output)
        if dry_run:
            click.echo(written, nl=False)
        else:
            _write(done, given, output, written)
        if client is not None:
            done.sent, done.kept = keys.send(client, _wanted_keys(done)), []
    if form.kind is Kind.JSON and not dry_run:
        forms.echo_json(_told(done, output))
    else:
        _tell(done, output, dry_run=dry_run)
    if done.to_mend or any(each.problem for each in done.sent):
        sys.exit(1)


@dataclass(slots=True, kw_only=True)
class _Done:
    content: dict[str, Any]
    notes: Notes
    backup: Path | None = None
    to_mend: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    kept: list[Key] = field(default_factory=list)


def _read(given: list[tuple[str, Path]], wanted: Wanted) -> _Done:
    try:
        draft = sources.collect(given, wanted)
    except Unreadable as error:
        raise click.ClickException(text.harmless(str(error))) from None
    return _Done(content=shape.fit(draft), notes=draft.notes, kept=draft.keys)


def _wanted_keys(done: _Done) -> list[Key]:
    """Those of the sources and of the environment, of providers that the file has."""
    providers = _providers(done.content)
    for key in done.kept:
        if key.provider_id not in providers:
            what = f"key of {key.provider_id}"
            done.notes.add(key.place, what, "is of a provider that the file does not have")
    found = [each for each in done.kept if each.provider_id in providers]
    return [
        *found,
        *keys.of_environment(providers - {each.provider_id for each in found if not each.agent_id}),
    ]


def _comments(given: list[tuple[str, Path]]) -> list[str]:
    names = ", ".join(text.harmless(path.name) for _, path in given)
    return [f"Made by `imrs config import` of {names}.", "`imrs config plan` says what it would change."]


def _to_mend(written: str, output: Path) -> list[str]:
    try:
        file.check(written)
    except ConfigInvalid as invalid:
        return [each.within(str(output)) for each in invalid.problems]
    return []


def _write(done: _Done, given: list[tuple[str, Path]], output: Path, written: str) -> None:
    try:
        done.backup = backup.make(output, [path for _, path in given], datetime.now(UTC))
        backup.write(output, written)
    except OSError as error:
        raise click.ClickException(f"{error.filename or output}: {error.strerror}") from None


def _providers(content: dict[str, Any]) -> set[str]:
    agents = content.get("agents", {}).values()
    return set(content.get("providers", {})) | {each["provider"] for each in agents if "provider" in each}


def _told(done: _Done, output: Path) -> dict[str, Any]:
    return {
        "output": str(output),
        "backup": str(done.backup),
        **{name: len(done.content.get(name, {})) for name in _SECTIONS},
        "not_mapped": [
            {"place": str(each.place), "what": each.what, "why": each.why, "times": each.times}
            for each in done.notes
        ],
        "to_mend": done.to_mend,
        "keys": [
            {**_named(each.key), "in_vault": not each.problem, "problem": each.problem} for each in done.sent
        ]
        + [{**_named(each), "in_vault": False, "problem": "--keys was not given"} for each in done.kept],
    }


def _named(key: Key) -> dict[str, str]:
    return {"provider_id": key.provider_id, "agent_id": key.agent_id, "place": str(key.place)}


def _tell(done: _Done, output: Path, *, dry_run: bool) -> None:
    def say(line: str) -> None:
        click.echo(text.harmless(line), err=dry_run)

    if not dry_run:
        say(f"copies of what was read: {done.backup}")
    counts = ", ".join(f"{len(done.content[name]):,} {name}" for name in _SECTIONS if name in done.content)
    say(f"{'would write' if dry_run else 'wrote'} {output}: {counts or 'nothing'}")
    for note in done.notes:
        times = f" ({note.times:,} times)" if note.times > 1 else ""
        say(f"not mapped: {note.place}: {note.what}: {note.why}{times}")
    for sent in done.sent:
        whose = (
            f"{sent.key.agent_id} with {sent.key.provider_id}" if sent.key.agent_id else sent.key.provider_id
        )
        say(f"key of {whose}: {sent.problem or 'is in Vault'}")
    if done.kept:
        say(f"{len(done.kept):,} keys were found and left where they are: --keys sends them to Vault")
    for line in done.to_mend:
        say(f"to be mended: {line}")
    if not dry_run and not done.to_mend:
        forms.hint(f"`imrs config plan {output}` says what it would change.")
