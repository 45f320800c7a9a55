"""Errors that name the line of a file at which their reason stands."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from imrs_server.domain.errors import DomainError, InvalidRequest, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.domain.configuration import Wanted


@contextmanager
def naming_line(wanted: Wanted) -> Iterator[None]:
    """Whatever domain error is raised in it says where in the file ``wanted`` stands."""
    try:
        yield
    except InvalidRequest as error:
        raise InvalidRequest(*(_placed(wanted, each) for each in error.violations)) from None
    except DomainError as error:
        if wanted.path:
            path = ".".join(str(step) for step in wanted.path)
            error.metadata |= {"path": path, "line": str(wanted.line)}
            error.message = f"{error.message} (line {wanted.line}, {path})"
            error.args = (error.message,)
        raise


def _placed(wanted: Wanted, violation: Violation) -> Violation:
    if not wanted.path:
        return violation
    below = violation.field.partition(".")[2] or violation.field
    path = ".".join(str(step) for step in (*wanted.path, below))
    return Violation(path, f"line {wanted.line}: {violation.description}")
