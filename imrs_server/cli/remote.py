"""Commands that speak to a server as any client does: where it is, who calls, and what went wrong."""

from __future__ import annotations

import os
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from imrs_client import ImrsClient, ImrsError, Unavailable
from imrs_client.channel import trusting
from imrs_client.methods import METHODS, OTHER_TIMEOUT_SECONDS
from imrs_server.cli import advice
from imrs_server.cli.output import text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from uuid import UUID


# Whoever gives a command would rather wait than give it twice, so none has the short time of a call of Route.
_SHORTEST_SECONDS: Final = OTHER_TIMEOUT_SECONDS
_TIMEOUTS_SECONDS: Final = {
    method.name: max(method.timeout_seconds, _SHORTEST_SECONDS)
    for method in METHODS.values()
    if method.timeout_seconds is not None
}
_NAMES = ("address", "token", "tenant", "ca", "insecure")
_OPTIONS = (
    click.option(
        "--address",
        envvar=["IMRS_ADDRESS", "IMRS_GRPC_ADDR"],
        default="127.0.0.1:50051",
        show_default=True,
        help="The server, host:port [env: IMRS_ADDRESS, IMRS_GRPC_ADDR].",
    ),
    click.option("--token", envvar="IMRS_TOKEN", help="A token [env: IMRS_TOKEN]."),
    click.option(
        "--tenant",
        type=click.UUID,
        envvar="IMRS_TENANT_ID",
        help="The tenant that a platform admin means [env: IMRS_TENANT_ID].",
    ),
    click.option(
        "--ca",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        help="Certificates to trust, PEM, for a server whose authority is your own.",
    ),
    click.option(
        "--insecure", is_flag=True, help="Connect without TLS: whoever listens on the way reads the token."
    ),
)


def calls(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of a client, and its first parameter, the client.

    What the server refuses becomes a message; a connection that there is not names the address.
    """

    @wraps(command)
    def around(*args: Any, **options: Any) -> Any:
        with _connected(*(options.pop(name) for name in _NAMES)) as client:
            return command(client, *args, **options)

    return _with_options(around)


def may_call(command: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a command that does not always call: its first parameter connects, in a `with`."""

    @wraps(command)
    def around(*args: Any, **options: Any) -> Any:
        given = [options.pop(name) for name in _NAMES]
        return command(lambda: _connected(*given), *args, **options)

    return _with_options(around)


def _with_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@contextmanager
def _connected(
    address: str, token: str | None, tenant: UUID | None, ca: Path | None, insecure: bool
) -> Iterator[ImrsClient]:
    """A client. Raises click's exceptions, for what the server says too."""
    if not token:
        raise click.BadParameter(f"there is none: {_where_a_token_is()}", param_hint="--token")
    if ca and insecure:
        raise click.UsageError("--ca and --insecure contradict each other")
    client = ImrsClient(
        address,
        token=token,
        tenant_id=str(tenant or ""),
        credentials=trusting(ca.read_bytes()) if ca else None,
        insecure=insecure,
        timeouts_seconds=_TIMEOUTS_SECONDS,
    )
    with client:
        try:
            yield client
        except Unavailable as error:
            where = "" if error.reason else f" (the server at {address})"
            raise _refusal(error, where) from None
        except ImrsError as error:
            raise _refusal(error) from None


def _where_a_token_is() -> str:
    beside = sorted(name for name in os.environ if name.startswith("IMRS_TOKEN_"))
    known = "IMRS_TOKEN_TENANT_ADMIN" if "IMRS_TOKEN_TENANT_ADMIN" in beside else "".join(beside[:1])
    example = f"${known}" if known else "$(imrs token --role platform_admin)"
    return f"set IMRS_TOKEN, such as IMRS_TOKEN={example}"


def _refusal(error: ImrsError, where: str = "") -> click.ClickException:
    next_step = advice.of(error)
    # It may repeat what a provider said.
    lines = [text.harmless(each) for each in (f"{error}{where}", next_step) if each]
    return click.ClickException("\n".join(lines))
