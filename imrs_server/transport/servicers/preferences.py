"""AdminService: preferences of classes of agents."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import empty_pb2

from imrs_client import v1 as pb
from imrs_server.transport.call import committed, who
from imrs_server.transport.convert import preferences as convert

if TYPE_CHECKING:
    import grpc

    from imrs_server.transport.paging import Pager
    from imrs_server.use_cases.preferences import Preferences


class PreferenceMethods:
    """What AdminService says about preferences."""

    preferences: Preferences
    pager: Pager

    def SetPreference(self, request: pb.SetPreferenceRequest, context: grpc.ServicerContext) -> pb.Preference:
        wanted = request.preference
        written = self.preferences.put(who(), convert.preference(wanted), etag=wanted.etag)
        return convert.to_proto(committed(context, written))

    def GetPreference(
        self, request: pb.GetPreferenceRequest, _context: grpc.ServicerContext
    ) -> pb.Preference:
        return convert.to_proto(self.preferences.get(who(), request.agent_class))

    def ListPreferences(
        self, request: pb.ListPreferencesRequest, _context: grpc.ServicerContext
    ) -> pb.ListPreferencesResponse:
        page = self.preferences.list(who(), self.pager.start(request))
        return pb.ListPreferencesResponse(
            preferences=[convert.to_proto(each) for each in page.items],
            next_page_token=self.pager.next_token(request, page),
            total_size=page.total_size,
        )

    def DeletePreference(
        self, request: pb.DeletePreferenceRequest, context: grpc.ServicerContext
    ) -> empty_pb2.Empty:
        committed(context, self.preferences.delete(who(), request.agent_class, etag=request.etag))
        return empty_pb2.Empty()
