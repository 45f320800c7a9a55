"""A server that runs: what it says of itself, and of what it sees."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from imrs_client import ImrsClient, ImrsError, PermissionDenied, Unavailable
from imrs_client import v1 as pb
from imrs_client.channel import stays_here
from imrs_server.cli import advice
from imrs_server.cli.doctor import clocks, ports
from imrs_server.cli.doctor.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_SECONDS: Final = 5.0
_OLD_SECONDS: Final = 30.0
_DEFAULT_ADDRESS: Final = "127.0.0.1:50051"
_LEVELS: Final = {
    pb.ComponentStatus.State.UP: Level.OK,
    pb.ComponentStatus.State.OFF: Level.OK,
    pb.ComponentStatus.State.DEGRADED: Level.WARN,
    pb.ComponentStatus.State.DOWN: Level.FAIL,
}


def examine(*, alone: bool) -> Iterator[Finding]:
    """``alone``: the environment says nothing else of the server, such as which ports it has."""
    token = os.environ.get("IMRS_TOKEN", "")
    address = os.environ.get("IMRS_ADDRESS") or os.environ.get("IMRS_GRPC_ADDR") or _DEFAULT_ADDRESS
    if not token:
        how = "Set IMRS_TOKEN to a platform admin's token to have a running server asked."
        yield Finding("server", Level.SKIP, "no server was asked", how)
        return
    with ImrsClient(address, token=token) as client:
        asked_time = datetime.now(UTC)
        try:
            status = client.admin.GetStatus(pb.GetStatusRequest(), timeout=ANSWER_SECONDS)
        except Unavailable:
            says = f"no server answers at {address}"
            yield Finding("server", Level.WARN, says, "Start it with `imrs serve`, or set IMRS_ADDRESS.")
        except PermissionDenied:
            says = f"a server answers at {address}, and says no more: the token is no platform admin's"
            yield Finding("server", Level.SKIP, says, "Sign one with `imrs token --role platform_admin`.")
        except ImrsError as error:
            yield Finding("server", Level.FAIL, f"{address}: {error}", advice.of(error))
        else:
            yield from _status(address, status)
            yield from _clocks(status, asked_time, datetime.now(UTC))
            yield from _places() if alone else ()


def _status(address: str, status: pb.GetStatusResponse) -> Iterator[Finding]:
    says = f"{address} runs version {status.version}, its index is of revision {status.index_revision}"
    age_seconds = status.index_age.ToTimedelta().total_seconds()
    if age_seconds > _OLD_SECONDS:
        told = f"{says}, and {age_seconds:.0f} s old"
        yield Finding("server", Level.WARN, told, "It has not heard of the database since.")
    else:
        yield Finding("server", Level.OK, says)
    if status.listener_connected:
        yield Finding("listener", Level.OK, "the server hears of changes at once")
    else:
        yield Finding("listener", Level.WARN, "the server hears no news of the database", "Its log says why.")
    yield _part("database", status.database)
    yield _part("vault", status.vault)
    yield from _providers(status)
    for each in status.cooldowns:
        what = each.model_id or f"every model of {each.provider_id}"
        share = (
            f"gets {each.share:.0%} of its calls" if each.share else "gets no calls while others can stand in"
        )
        until = f"until {each.due_time.ToDatetime():%H:%M:%S} UTC"
        how = f"`imrs providers check {each.provider_id}`"
        yield Finding("providers", Level.WARN, f"{what} {share} {until}: {each.cause}", how)


def _part(check: str, part: pb.ComponentStatus) -> Finding:
    state = pb.ComponentStatus.State.Name(part.state).lower()
    says = f"the server sees {part.version or 'it'} {state}, within {part.latency_ms} ms"
    return Finding(
        check, _LEVELS.get(part.state, Level.WARN), f"{says}: {part.detail}" if part.detail else says
    )


def _clocks(status: pb.GetStatusResponse, asked: datetime, answered: datetime) -> Iterator[Finding]:
    if status.database.HasField("clock_ahead"):
        ahead = status.database.clock_ahead.ToTimedelta()
        yield clocks.compare("the database's", ahead.total_seconds(), "the server's")
    there = status.replicas[0].seen_time.ToDatetime(UTC)
    # Between question and answer: nobody knows when.
    ahead = max(there - answered, timedelta(0)) or min(there - asked, timedelta(0))
    yield clocks.compare("the server's", ahead.total_seconds(), "this machine's")


def _places() -> Iterator[Finding]:
    """Where the environment says that the server serves, as `imrs dev` writes it into dev.env."""
    for name in ("IMRS_GRPC_ADDR", "IMRS_HTTP_ADDR", "IMRS_METRICS_ADDR"):
        address = os.environ.get(name, "")
        if address and stays_here(address):
            yield ports.served(name, address)


def _providers(status: pb.GetStatusResponse) -> Iterator[Finding]:
    active = [each for each in status.providers if each.state == pb.Provider.State.ACTIVE]
    for each in active:
        if not each.credentials_ok:
            says = f"provider {each.provider_id} has no key that works"
            yield Finding("providers", Level.WARN, says, f"`imrs providers set-key {each.provider_id}`")
        if each.last_sync_error:
            says = f"the last sync of {each.provider_id} failed: {each.last_sync_error}"
            yield Finding("providers", Level.WARN, says, f"`imrs providers check {each.provider_id}`")
    if active and all(each.credentials_ok and not each.last_sync_error for each in active):
        yield Finding("providers", Level.OK, f"{len(active)} active, each with what it needs")
