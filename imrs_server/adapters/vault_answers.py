"""What Vault answers: its refusals in the words of the domain, and members of what it tells."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import requests
from hvac import exceptions as refused

from imrs_server.domain.errors import VaultForbidden, VaultSealed, VaultUnreachable

if TYPE_CHECKING:
    from collections.abc import Iterator


class NotThere(Exception):
    """Vault knows the mount, and nothing at this path."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises NotThere, VaultSealed, VaultForbidden or VaultUnreachable for what hvac and requests raise."""
    try:
        yield
    except requests.RequestException as failure:
        raise VaultUnreachable from failure
    except refused.VaultDown as failure:
        # A proxy before Vault, or a cluster without a leader, answers 503 as well.
        sealed = any("sealed" in str(error).lower() for error in failure.errors or ())
        raise (VaultSealed if sealed else VaultUnreachable) from failure
    except refused.VaultNotInitialized as failure:
        raise VaultSealed from failure
    except (refused.Forbidden, refused.Unauthorized, refused.InvalidRequest) as failure:
        raise VaultForbidden from failure
    except refused.InvalidPath as failure:
        # "no handler for route": the mount is not there, which no key will change.
        if failure.errors:
            raise VaultForbidden from failure
        raise NotThere from failure
    except refused.VaultError as failure:
        raise VaultUnreachable from failure


def member(answer: Any, name: str) -> Any:
    """A member of an object, None where it has none or is none."""
    return answer.get(name) if isinstance(answer, dict) else None


def moment(text: Any) -> datetime | None:
    """A time as Vault writes it; None where it is none."""
    try:
        return datetime.fromisoformat(text) if isinstance(text, str) and text else None
    except ValueError:
        return None
