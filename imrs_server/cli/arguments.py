"""Options and arguments that commands have in common."""

from __future__ import annotations

import json
import re
import sys
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click
from google.protobuf.duration_pb2 import Duration

from imrs_client import v1 as pb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

# Of an option that takes away what its field has.
CLEARED: Final = object()
_TIME: Final = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_MOST_KEY_CHARACTERS: Final = 4096


class EnumType(click.Choice[str]):
    """The names of an enum of the API, in any case; answers the number."""

    def __init__(self, kind: Any) -> None:
        self._kind = kind
        super().__init__([name.lower() for name, number in kind.items() if number], case_sensitive=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, int):
            return value
        return self._kind.Value(super().convert(value, param, ctx).upper())


class DurationType(click.ParamType[timedelta]):
    """Such as 90s, 30m, 6h or 7d; 0 is none."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,9})([smhd])|0", value)
        if found is None:
            self.fail(f"{value!r} must be a number with s, m, h or d, such as 6h", param, ctx)
        return timedelta(seconds=int(found[1]) * _UNITS[found[2]]) if found[1] else timedelta(0)


class IntervalType(DurationType):
    """The same, of what is not done at all at 0: the field is CLEARED."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return value if value is CLEARED else super().convert(value, param, ctx) or CLEARED


def proto_duration(given: timedelta) -> Duration:
    found = Duration()
    found.FromTimedelta(given)
    return found


def between(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command ``--since`` and ``--until``, and the parameter ``between``: it fills a request."""

    @wraps(command)
    def around(*args: Any, since: datetime | None, until: datetime | None, **options: Any) -> Any:
        def fill(request: Any) -> None:
            # Without a zone of its own a time is UTC, as protobuf takes it.
            if since is not None:
                request.start_time.FromDatetime(since)
            if until is not None:
                request.end_time.FromDatetime(until)

        return command(*args, between=fill, **options)

    around = click.option("--until", type=_TIME, help="End of the range, not included.")(around)
    return click.option(
        "--since", type=_TIME, help="Begin of the range, such as 2026-11-01; UTC unless it says otherwise."
    )(around)


_FILTER: Final = {
    "provider_id": click.option("--provider", "provider_id", default="", help="Of this provider."),
    "cost_tier": click.option("--tier", "cost_tier", type=EnumType(pb.Model.CostTier), help="Of this tier."),
    "capabilities": click.option("--capability", "capabilities", multiple=True, help="With all of these."),
    "domains": click.option("--domain", "domains", multiple=True, help="With all of these."),
    "model_type": click.option("--type", "model_type", type=EnumType(pb.Model.Type), help="Of this type."),
    "available": click.option("--available/--unavailable", default=None, help="As the admin set it."),
    "search": click.option("--search", default="", metavar="WORD", help="With this in id or name."),
    "min_context_length": click.option(
        "--min-context",
        "min_context_length",
        type=click.IntRange(1),
        help="With so many tokens of context.",
    ),
    "max_input_price_usd": click.option(
        "--max-price",
        "max_input_price_usd",
        default="",
        metavar="USD",
        help="At most so much per 1M tokens.",
    ),
}


def model_filter(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a ModelFilter, and the parameter ``chosen``, None where none is given."""

    @wraps(command)
    def around(*args: Any, **options: Any) -> Any:
        given = said({name: options.pop(name) for name in _FILTER})
        return command(*args, chosen=pb.ModelFilter(**given) if given else None, **options)

    for option in reversed(_FILTER.values()):
        around = option(around)
    return around


def split(
    option: click.Parameter, given: Sequence[str], form: str = "NAME=VALUE", *, at_last: bool = False
) -> Iterator[tuple[str, str]]:
    """The name and the value of each, parted at the first ``=`` or ``at_last``. Raises BadParameter."""
    for each in given:
        name, equals, value = each.rpartition("=") if at_last else each.partition("=")
        if not (name and equals):
            raise click.BadParameter(f"must be {form}, not {each}", param=option)
        yield name, value


def entries(
    of: Callable[[str], Any],
) -> Callable[[click.Context, click.Parameter, Sequence[str]], dict[str, Any]]:
    """Callback for options that are NAME=VALUE, each an entry of a map; without a value it is taken away.

    ``of`` makes the value of its text, and raises ValueError with what would be right.
    """

    def read(_context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in split(option, given):
            try:
                found[name] = of(value) if value else None
            except ValueError as error:
                raise click.BadParameter(f"{name}: {error}", param=option) from None
        return found

    return read


def number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        msg = f"{value!r} must be a number"
        raise ValueError(msg) from None


def json_or_text(value: str) -> Any:
    """What is JSON as such, such as 7, true or a list; anything else as a text."""
    try:
        return json.loads(value)
    except ValueError:
        return value


YES: Final = click.option("--yes", is_flag=True, help="Do not ask.")
DELETED: Final = click.option("--deleted", "show_deleted", is_flag=True, help="Deleted ones too.")
# Of `Parameters`, by their paths in what has some.
PARAMETERS: Final = {
    "parameters.temperature": click.option(
        "--temperature", type=click.FloatRange(0, 2), help="Of its calls."
    ),
    "parameters.top_p": click.option("--top-p", type=click.FloatRange(0, 1), help="Of its calls."),
    "parameters.max_output_tokens": click.option(
        "--max-output", "max_output_tokens", type=click.IntRange(1), help="Tokens of an answer at most."
    ),
    "parameters.stop": click.option("--stop", multiple=True, help="Ends an answer; several are all of them."),
    "parameters.extra": click.option(
        "--extra", multiple=True, callback=entries(json_or_text), metavar="NAME=JSON",
        help="What else goes into its calls, such as seed=7; without a value, no longer.",
    ),
}  # fmt: skip


def said(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, of those that say nothing unless they are."""
    nothing: tuple[Any, ...] = (None, "", (), {})
    return {name: value for name, value in given.items() if value not in nothing}


def pairs(_context: click.Context, option: click.Parameter, given: Sequence[str]) -> dict[str, str]:
    """Callback for options that are NAME=VALUE."""
    return dict(split(option, given))


def secret(what: str) -> str:
    """A key from standard input, or typed unseen: never from the command line, which others can see."""
    if sys.stdin.isatty():
        return str(click.prompt(what, hide_input=True, err=True)).strip()
    found = sys.stdin.read(_MOST_KEY_CHARACTERS + 2).strip()
    if not found:
        raise click.UsageError(f"{what} is read from standard input, which was empty")
    return found


def confirm(yes: bool, question: str) -> None:
    """Ask, unless told not to. Raises click.Abort."""
    if not yes:
        click.confirm(question, abort=True, err=True)
