"""Runs one program and ends it when whoever asked for it is gone.

Executed by path (`python -I -S supervisor.py SPEC`) and therefore on the standard library alone; SPEC is the
JSON of `process.Spec`. Standard input is the lifeline: the parent holds the other end, and its end of file
means "stop", whether the parent closed it or was killed. A pipe is the one sign of death that every system
gives, that does not depend on which thread started us, and that no change of credentials switches off.
Standard output carries one line of JSON: the program's `pid`, or the `error` that kept it from starting.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION_3 = 0x20080522
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2


def call(name: str, *arguments: Any) -> None:
    """Call the C library; raises OSError where it answers -1."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def enter_namespace(uid: int, gid: int) -> None:
    """Be called `uid` and `gid` inside a user namespace of our own, while files still see who we are."""
    outside_uid, outside_gid = os.geteuid(), os.getegid()
    call("unshare", CLONE_NEWUSER)
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{uid} {outside_uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{gid} {outside_gid} 1", encoding="ascii")


def become(uid: int, gid: int) -> None:
    """Drop root but keep the right to read and to enter any folder, across exec.

    Containers often withhold CAP_DAC_READ_SEARCH but leave CAP_DAC_OVERRIDE, which includes it.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    permitted = int(status.split("CapPrm:")[1].split()[0], 16)
    kept = next((c for c in (CAP_DAC_READ_SEARCH, CAP_DAC_OVERRIDE) if permitted >> c & 1), None)
    call("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = 0 if kept is None else 1 << kept
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    call("capset", header, (ctypes.c_uint32 * 6)(mask, mask, mask, 0, 0, 0))
    if kept is not None:
        call("prctl", PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, kept, 0, 0)


def execute(spec: dict[str, Any], supervisor: int) -> None:
    """In the forked child: take the account, tie the life to the supervisor's, become the program."""
    os.setsid()
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGCHLD,
    ):
        signal.signal(number, signal.SIG_DFL)
    if spec["way"] == "namespace":
        enter_namespace(spec["uid"], spec["gid"])
    elif spec["way"] == "uid":
        become(spec["uid"], spec["gid"])
    os.chdir(spec["cwd"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    if sys.platform == "linux":
        # After the change of account, which clears it. It covers the kill -9 of the supervisor itself.
        call("prctl", PR_SET_PDEATHSIG, spec["orphan_signal"], 0, 0, 0)
        if os.getppid() != supervisor:
            os._exit(1)
    os.execv(spec["argv"][0], spec["argv"])  # noqa: S606  our own arguments


def spawn(spec: dict[str, Any]) -> int:
    """Fork and execute; raises OSError with the child's own words where it fails."""
    supervisor = os.getpid()
    failure, tell = os.pipe()  # closed by a successful exec
    pid = os.fork()
    if pid == 0:
        try:
            execute(spec, supervisor)
        except BaseException as error:  # noqa: BLE001  the forked child must not return into the supervisor's code
            os.write(tell, str(error).encode()[:4000])
        os._exit(127)
    os.close(tell)
    with os.fdopen(failure, "rb") as words:
        message = words.read()
    if message:
        os.waitpid(pid, 0)
        raise OSError(message.decode())
    return pid


def send(pid: int, number: int, *, group: bool = False) -> None:
    with suppress(ProcessLookupError, PermissionError):  # gone; macOS says EPERM of a group of zombies
        (os.killpg if group else os.kill)(pid, number)


def watch(pid: int, spec: dict[str, Any], wake: int) -> int:
    """Wait until the program ends, by itself or because the lifeline broke; answers its wait status."""
    stops = [*spec["stop_signals"], signal.SIGKILL]
    ending, deadline = False, None
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            send(pid, signal.SIGKILL, group=True)  # what it may have started in its group
            return status
        if ending and stops and (deadline is None or time.monotonic() >= deadline):
            send(pid, stops[0], group=stops[0] == signal.SIGKILL)
            send(pid, signal.SIGCONT)
            del stops[0]
            deadline = time.monotonic() + spec["grace_seconds"]
        left = max(0.0, deadline - time.monotonic()) if deadline is not None and stops else None
        readable, _, _ = select.select([wake] if ending else [0, wake], [], [], left)
        if wake in readable:
            ending = ending or any(number != signal.SIGCHLD for number in os.read(wake, 512))
        if 0 in readable:
            ending = ending or not os.read(0, 512)


def main() -> int:
    spec = json.loads(sys.argv[1])
    wake, bell = os.pipe()
    os.set_blocking(bell, False)
    signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        pid = spawn(spec)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)  # noqa: T201  the answer to the parent
        return 127
    with suppress(BrokenPipeError):  # the parent was killed meanwhile: the lifeline says so too
        print(json.dumps({"pid": pid}), flush=True)  # noqa: T201  the answer to the parent
    status = watch(pid, spec, wake)
    return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)


if __name__ == "__main__":
    sys.exit(main())
