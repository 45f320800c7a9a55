"""The addresses to serve on: free, or taken, and by whom."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from imrs_server.cli.doctor.finding import Finding, Level
from imrs_server.cli.ports import Reservation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.settings import Settings

_LISTENING = "0A"
_OURS = re.compile(r"\bimrs_server\b|(^|[/ (])imrs( |$|\))")


def examine(settings: Settings) -> Iterator[Finding]:
    """Each address that the settings serve on."""
    served = [name for name, _ in settings if name.endswith("_addr") and name != "vault_addr"]
    for name in served:
        address = getattr(settings, name)
        if address and not address.endswith(":0"):
            yield _address(f"IMRS_{name.upper()}", address)


def served(name: str, address: str) -> Finding:
    """An address of this machine on which a running server is said to serve."""
    try:
        Reservation(address).__exit__(None, None, None)
    except (OSError, OverflowError):
        owner = _owner(int(address.rpartition(":")[2])) or "another user's process"
        return Finding("ports", Level.OK, f"{address} ({name}) is served by {owner}")
    says = f"nobody serves on {address} ({name})"
    return Finding("ports", Level.WARN, says, "Was the server started with other ports?")


def _address(name: str, address: str) -> Finding:
    try:
        Reservation(address).__exit__(None, None, None)
    except OSError as error:
        port = int(address.rpartition(":")[2])
        owner = _owner(port)
        if _OURS.search(owner):
            return Finding("ports", Level.OK, f"{address} ({name}) is served by {owner}")
        who = f"is taken by {owner}" if owner else f"cannot be served on: {error.strerror}"
        return Finding("ports", Level.FAIL, f"{address} {who}", f"End that, or choose another with {name}.")
    except OverflowError:
        return Finding("ports", Level.FAIL, f"{address} has no port", f"{name} is host:port, up to 65535.")
    return Finding("ports", Level.OK, f"{address} ({name}) is free")


def _owner(port: int) -> str:
    """Who listens on a port, as far as this user may know; '' elsewhere than on Linux."""
    inodes = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            holds = any(str(link.readlink()) in inodes for link in (process / "fd").iterdir())
        except OSError:
            continue
        if holds:
            return _named(int(process.name))
    return "another user's process" if inodes else ""


def _named(pid: int) -> str:
    """A process, and that of ours which it belongs to: a worker is named after who started it."""
    first = ""
    while pid > 1:
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            break
        told = f"process {pid} ({' '.join(words[:4]).strip()})"
        if any(_OURS.search(word) for word in words[:4]):
            return told
        first = first or told
        pid = parent
    return first


def _inodes(port: int) -> Iterator[str]:
    for table in ("tcp", "tcp6"):
        try:
            lines = Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            columns = line.split()
            if columns[3] == _LISTENING and int(columns[1].rpartition(":")[2], 16) == port:
                yield columns[9]
