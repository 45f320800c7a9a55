"""AdminService: syncs of a provider's catalogue."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC
from typing import TYPE_CHECKING

from imrs_server.domain.written import Written
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import models as convert

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

    from imrs_client import v1 as pb
    from imrs_server.use_cases.revert import Reverts
    from imrs_server.use_cases.sync import Sync


class SyncMethods:
    """What AdminService says about syncs."""

    sync: Sync
    reverts: Reverts

    def SyncProvider(
        self, request: pb.SyncProviderRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.SyncProgress]:
        steps = self.sync.run(
            who(), request.provider_id, validate_only=request.validate_only, force=request.force
        )
        # A caller who goes away ends the sync, and with it the lock, now and not when memory is tidied.
        with closing(steps):
            for step in steps:
                if step.revision is not None:
                    committed(context, Written(step, step.revision))
                yield convert.to_progress(step)

    def RevertSync(self, request: pb.RevertSyncRequest, context: grpc.ServicerContext) -> pb.SyncResult:
        synced_time = request.synced_time.ToDatetime(UTC)
        written = self.reverts.revert(who(), request.provider_id, synced_time)
        return convert.to_result(committed(context, written))
