"""What a command finds around it; or a message that says what is wrong, and what would be right."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from imrs_server.settings import Settings
from imrs_server.storage.database import MalformedDsn, conninfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pydantic_settings import BaseSettings

    from imrs_server.domain.errors import DatabaseUnavailable

S = TypeVar("S", bound="BaseSettings")
T = TypeVar("T")


class AddressTaken(Exception):
    """An address cannot be served on; the message says where to choose another."""


def read(kind: type[S]) -> S:
    """Settings of one kind. Raises click.ClickException that names each variable, and never its value."""
    try:
        return kind()
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        raise _refusal(_line(kind, each) for each in problems) from None


def server() -> Settings:
    """Settings of the server, in which the DSNs are some. Raises like ``read``."""
    found = read(Settings)
    given = {"DATABASE_URL": found.database_url, "LISTEN_DATABASE_URL": found.listen_database_url}
    wrong = {name: _fault(dsn.get_secret_value()) for name, dsn in given.items() if dsn is not None}
    if any(wrong.values()):
        raise _refusal(f"IMRS_{name}: {fault}" for name, fault in wrong.items() if fault)
    return found


def on(address: str, option: str, make: Callable[[], T]) -> T:
    """Make what serves on an address; raises AddressTaken where that cannot be."""
    try:
        return make()
    except (OSError, RuntimeError, OverflowError) as error:
        # gRPC's message ends with advice on how to debug gRPC.
        said = str(error).partition(";")[0]
        raise AddressTaken(f"cannot serve on {address}: {said}. Choose another with {option}.") from None


def why(error: DatabaseUnavailable) -> str:
    """The error with PostgreSQL's words, for the operator: they name host and user, never a password."""
    said = str(error.__cause__ or "").strip().partition("\n")[0]
    return f"{error} {said}".strip()


def _refusal(lines: Iterable[str]) -> click.ClickException:
    return click.ClickException("\n  ".join(["the environment is not as it must be:", *lines]))


def _line(kind: type[BaseSettings], problem: Any) -> str:
    if not problem["loc"]:
        return str(problem["ctx"]["error"])
    name = str(problem["loc"][0])
    field = kind.model_fields.get(name)
    says = "is missing" if problem["type"] == "missing" else problem["msg"].removeprefix("Value error, ")
    return f"IMRS_{name.upper()}: {says} ({(field and field.description) or 'see docs/operations.md'})"


def _fault(dsn: str) -> str | None:
    try:
        conninfo(dsn)
    except MalformedDsn as error:
        return str(error)
    return None
