"""Commands that every kind of thing has, written once: list, show, update, delete and their like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

import click
from google.protobuf.field_mask_pb2 import FieldMask

from imrs_client import v1 as pb
from imrs_server.cli import arguments, remote
from imrs_server.cli.output import forms

if TYPE_CHECKING:
    from imrs_client import ImrsClient
    from imrs_server.cli.output.forms import Form, View

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of thing of the API, such as ``pb.Agent``, and the commands that are alike for all kinds.

    Its methods are found by its name: ListAgents, GetAgent and so on of ``service``; ``plural`` is what a
    list ends in. ``id`` is the field that names one. ``fields`` are the options that describe one,
    by the paths of the fields that they set; an option's parameter is the last step of its path. Texts may
    say ``{id}``.
    """

    kind: type[Any]
    id: str
    service: str = "admin"
    plural: str = "s"
    fields: Mapping[str, Decorator] = field(default_factory=dict)

    def listing(self, says: str, view: View, *options: Decorator, name: str = "list") -> click.Command:
        """``list``: ``options`` are about fields of the request, or fill it as ``arguments.between`` does."""

        def body(
            client: ImrsClient, *, form: Form, between: Callable[[Any], None] | None = None, **only: Any
        ) -> None:
            method, request = self._method(client, "List", self.plural)
            asked = request(**only)
            if between is not None:
                between(asked)
            form.list(method, asked, view)

        return _command(name, says, body, remote.calls, *options, forms.listing)

    def show(self, says: str) -> click.Command:
        def body(client: ImrsClient, *, form: Form, **named: str) -> None:
            form.one(self.call(client, "Get", **named))

        return _command("show", says, body, click.argument(self.id), remote.calls, forms.single)

    def update(self, says: str) -> click.Command:
        """``update``: changes the fields whose options are given."""

        def body(client: ImrsClient, *, form: Form, **given: Any) -> None:
            name = given.pop(self.id)
            wanted, paths = self.read(given, **{self.id: name})
            if not paths:
                raise click.UsageError("nothing to change: give one of the options")
            form.done(self.save(client, wanted, paths), f"changed {', '.join(paths)} of {name}")

        named = click.argument(self.id)
        return _command("update", says, body, named, self.described, remote.calls, forms.single)

    def switch(self, name: str, says: str, *, told: str, then: str = "", **fields: Any) -> click.Command:
        """A command that gives the named thing these fields, such as a state."""

        def body(client: ImrsClient, *, form: Form, **named: str) -> None:
            changed = self.save(client, self.kind(**named, **fields), list(fields))
            name = named[self.id]
            form.done(changed, told.format(id=name), then=then.format(id=name))

        return _command(name, says, body, click.argument(self.id), remote.calls, forms.single)

    def delete(
        self, says: str, *, question: str, told: str = "deleted {id}", then: str = ""
    ) -> click.Command:
        """``delete``, which asks the ``question`` unless told not to."""

        def body(client: ImrsClient, *, yes: bool, form: Form, **named: str) -> None:
            name = named[self.id]
            arguments.confirm(yes, question.format(id=name))
            gone = self.call(client, "Delete", **named)
            answer = gone if isinstance(gone, self.kind) else named
            form.done(answer, told.format(id=name), then=then.format(id=name))

        named = click.argument(self.id)
        return _command("delete", says, body, named, arguments.YES, remote.calls, forms.single)

    def undelete(self, says: str) -> click.Command:
        def body(client: ImrsClient, *, form: Form, **named: str) -> None:
            form.done(self.call(client, "Undelete", **named), f"{named[self.id]} is back")

        return _command("undelete", says, body, click.argument(self.id), remote.calls, forms.single)

    def described(self, command: Callable[..., Any]) -> Callable[..., Any]:
        """Give a command the options of the fields; ``read`` takes what it is given."""
        for option in reversed(list(self.fields.values())):
            command = option(command)
        return command

    def read(self, given: Mapping[str, Any], **known: Any) -> tuple[Any, list[str]]:
        """The thing that options describe, and the paths of the fields that they name."""
        wanted = self.kind(**known)
        said = arguments.said(given)
        paths: list[str] = []
        for path in self.fields:
            value = said.get(path.rpartition(".")[2])
            if value is arguments.CLEARED:
                paths.append(path)
            elif value is not None:
                _put(wanted, path, value)
                # Of a map, the entries that are named change.
                paths += [f"{path}.{step(key)}" for key in value] if isinstance(value, dict) else [path]
        return wanted, paths

    def path(self, shown: str) -> str:
        """A field, or an entry of a map, by the name that ``show`` has for it, as masks name it."""
        kind, above, rest = self.kind.DESCRIPTOR, "", shown
        while rest:
            name, dot, rest = rest.partition(".")
            field = kind.fields_by_name.get(name)
            above += name + dot
            if field is None or field.message_type is None or "`" in rest:
                break
            kind = field.message_type
            if kind.GetOptions().map_entry:
                return above + (step(rest) if rest else "")
        return above + rest

    def save(self, client: ImrsClient, wanted: Any, paths: list[str]) -> Any:
        """Change what is at these paths, and nothing else; what is not set in ``wanted`` is set no longer."""
        return self.call(client, "Update", **{self._noun: wanted}, update_mask=FieldMask(paths=paths))

    def call(self, client: ImrsClient, verb: str, **request: Any) -> Any:
        """Call ``{verb}Agent`` with these fields of its request."""
        method, kind = self._method(client, verb)
        return method(kind(**request))

    @property
    def _noun(self) -> str:
        return str(self.kind.DESCRIPTOR.name).lower()

    def _method(self, client: ImrsClient, verb: str, plural: str = "") -> tuple[Any, Any]:
        """A method, and the type of its request."""
        name = f"{verb}{self.kind.DESCRIPTOR.name}{plural}"
        return getattr(getattr(client, self.service), name), getattr(pb, f"{name}Request")


def step(key: str) -> str:
    """A key of a map as a step of a path."""
    plain = key and not {".", "`"} & set(key)
    return key if plain else "`" + key.replace("`", "``") + "`"


def add(group: click.Group, *commands: click.Command) -> None:
    for each in commands:
        group.add_command(each)


def _command(name: str, says: str, body: Callable[..., Any], *decorators: Decorator) -> click.Command:
    """A command with options and arguments in this order."""
    for each in reversed(decorators):
        body = each(body)
    return click.command(name, help=says)(body)


def _put(message: Any, path: str, value: Any) -> None:
    *above, name = path.split(".")
    for step in above:
        message = getattr(message, step)
    if isinstance(value, timedelta):
        getattr(message, name).FromTimedelta(value)
    elif isinstance(value, dict):
        message.MergeFrom(type(message)(**{name: {k: each for k, each in value.items() if each is not None}}))
    elif isinstance(getattr(message, name), pb.StringList):
        getattr(message, name).values.extend(value)
    elif isinstance(value, list | tuple):
        getattr(message, name).extend(value)
    else:
        setattr(message, name, value)
