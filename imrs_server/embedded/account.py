"""Under which account PostgreSQL runs: it refuses to be root."""

from __future__ import annotations

import os
import pwd
import sys
from typing import TYPE_CHECKING

from imrs_server.embedded.process import Account, Process, StartError

if TYPE_CHECKING:
    from pathlib import Path

PROBE_SECONDS = 20


def choose(data: Path, program: Path, *, log: Path, lock: int, namespaces: bool = True) -> Account:
    """Choose how to run `program` on the folder `data`, which may not exist yet.

    Root runs it in a user namespace, so that files stay root's and folders that only root may enter stay
    closed; where namespaces are closed (or `namespaces` is false), under another account with the right to
    enter them. Data that belongs to another account already is served under that account.
    """
    if os.geteuid() != 0:
        return Account()
    if sys.platform != "linux":
        raise StartError("PostgreSQL refuses to run as root here: start as an ordinary user")
    if data.exists() and (owner := data.stat()).st_uid != 0:
        return Account(way="uid", uid=owner.st_uid, gid=owner.st_gid)
    uid, gid = stranger()
    if namespaces and works(
        namespace := Account(way="namespace", uid=uid, gid=gid), program, log=log, lock=lock
    ):
        return namespace
    return Account(way="uid", uid=uid, gid=gid)


def stranger() -> tuple[int, int]:
    """Answer uid and gid of an account without rights; initdb wants one that has a name."""
    accounts = sorted(pwd.getpwall(), key=lambda account: account.pw_name != "nobody")
    for account in accounts:
        if account.pw_uid != 0:
            return account.pw_uid, account.pw_gid
    raise StartError("PostgreSQL refuses to run as root, and this system has no other account: add one")


def works(account: Account, program: Path, *, log: Path, lock: int) -> bool:
    """Whether the system lets us run `program` as `account`; containers often forbid user namespaces."""
    try:
        probe = Process(program, "--version", log=log, cwd=log.parent, lock=lock, account=account)
    except StartError:
        return False
    return probe.wait(PROBE_SECONDS) == 0


def give(folder: Path, account: Account) -> None:
    """Hand a folder of our own, with all in it, to `account`."""
    if account.way != "uid":
        return
    for path in [folder, *folder.rglob("*")]:
        if path.lstat().st_uid == 0:
            os.chown(path, account.uid, account.gid, follow_symlinks=False)
