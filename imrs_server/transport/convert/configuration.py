"""What a configuration file does, as messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_client import v1 as pb
from imrs_server.transport.convert import common

if TYPE_CHECKING:
    from imrs_server.domain.configuration import PlannedChange


def to_change(change: PlannedChange) -> pb.PlannedChange:
    return pb.PlannedChange(
        action=common.number(pb.PlannedChange.Action, change.action),
        target=str(change.target),
        diffs=[
            pb.FieldDiff(
                field=each.field, before=common.to_value(each.before), after=common.to_value(each.after)
            )
            for each in change.diffs
        ],
        drifted_fields=change.drifted,
    )
