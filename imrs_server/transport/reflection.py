"""Reflection: what services there are and how their messages look, for tools such as grpcurl."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from google.protobuf import descriptor_pool
from google.rpc import error_details_pb2
from grpc_reflection.v1alpha import reflection

if TYPE_CHECKING:
    from collections.abc import Iterable

    import grpc
    from google.protobuf.descriptor import FileDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool

# Importing it puts google/rpc/error_details.proto where reflection finds it: grpcurl then prints details.
assert error_details_pb2.DESCRIPTOR is not None


def add(services: Iterable[str], server: grpc.Server) -> None:
    """Serve reflection for these services and for itself."""
    names = (*services, reflection.SERVICE_NAME)
    reflection.enable_server_reflection(names, server, pool=cast("DescriptorPool", _Pool()))


class _Pool:
    """The default pool, which also knows where a method is: protobuf's own look-up stops at services."""

    def __getattr__(self, name: str) -> Any:
        return getattr(descriptor_pool.Default(), name)

    @staticmethod
    def FindFileContainingSymbol(symbol: str) -> FileDescriptor:
        """Raises KeyError."""
        pool = descriptor_pool.Default()
        try:
            return pool.FindFileContainingSymbol(symbol)
        except KeyError:
            owner, _, method = symbol.rpartition(".")
            service = pool.FindServiceByName(owner)
            if method not in service.methods_by_name:
                raise
            return service.file
