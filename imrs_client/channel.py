"""How a client connects: options, and where a token may travel in the clear."""

from __future__ import annotations

import re
from importlib.metadata import version
from ipaddress import ip_address
from typing import Final

import grpc

from imrs_client.methods import service_config

# A page of a thousand models with what their provider sent of each.
MAX_RECEIVE_BYTES: Final = 64 * 1024 * 1024

Options = list[tuple[str, str | int]]


def options() -> Options:
    """Options of every channel: notice a dead connection and come back soon, no proxy, retry what is safe."""
    return [
        ("grpc.service_config", service_config()),
        ("grpc.primary_user_agent", f"imrs-client/{version('imrs-client')}"),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.ping_timeout_ms", 5_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 5_000),
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", MAX_RECEIVE_BYTES),
    ]


def stays_here(target: str) -> bool:
    """Whether what is sent to the target cannot leave this machine: a loopback address or a Unix socket."""
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    # A resolver may stand in front: `dns:///localhost:50051`.
    address = re.sub(r"^(dns:(///)?|ipv[46]:)", "", target)
    host = re.sub(r":\d+$", "", address).strip("[]")
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def credentials_for(
    target: str, given: grpc.ChannelCredentials | None, *, insecure: bool
) -> grpc.ChannelCredentials | None:
    """What to connect with; None for a plain connection, in which a token can be read by whoever listens."""
    if given is not None:
        if insecure:
            raise ValueError("credentials and insecure contradict each other")
        return given
    return None if insecure or stays_here(target) else grpc.ssl_channel_credentials()


def trusting(certificates: bytes) -> grpc.ChannelCredentials:
    """Credentials of a TLS connection to a server whose certificate one of these (PEM) has signed."""
    return grpc.ssl_channel_credentials(root_certificates=certificates)
