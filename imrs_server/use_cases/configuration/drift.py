"""What others have changed of what configuration files own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.storage import configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from uuid import UUID

    from imrs_server.domain.configuration import Owned, Thing
    from imrs_server.storage.database import Tx
    from imrs_server.use_cases.configuration.kind import Kind


def count(tx: Tx, kinds_of: Callable[[UUID | None], Iterable[Kind]]) -> int:
    """How many things are not as the files of all tenants gave them; needs ``Database.system``."""
    return sum(
        _drifted(tx, kinds_of(tenant_id), list(configuration.owned(tx, tenant_id, source).values()))
        for tenant_id, source in configuration.sources(tx)
    )


def _drifted(tx: Tx, kinds: Iterable[Kind], owned: list[Owned]) -> int:
    found = 0
    for kind in kinds:
        mine = [each for each in owned if each.target.section == kind.section]
        things = kind.read(tx, [each.target.id for each in mine]) if mine else {}
        found += sum(not _holds(each, things) for each in mine)
    return found


def _holds(owned: Owned, things: Mapping[str, Thing]) -> bool:
    thing = things.get(owned.target.id)
    if thing is None or not (thing.alive or owned.fields.get("enabled") is False):
        return False
    return all(thing.fields.get(path) == value for path, value in owned.fields.items())
