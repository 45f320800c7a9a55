"""Worker processes: spawned, watched, restarted when they die or hang, and ended in order."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any, Self

import structlog

from imrs_server.cli import pulse, silence
from imrs_server.cli.silence import Silence
from imrs_server.console.process import spawn, without

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from imrs_server.cli.ending import Ending
    from imrs_server.console.standing import Standing

log = structlog.get_logger()

READY = "ready"
# A worker that lives for so long has started well; what ends it then is not its start.
SETTLED_SECONDS = 30.0
MOST_FALLS = 6
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 5.0
# Longer than a worker gives to the calls that it has in hand.
STOP_SECONDS = 40.0
# On which a worker writes where each of its threads is, be they all stuck.
STACKS_SIGNAL = signal.SIGUSR1
_STACKS_SECONDS = 1.0
# What a new process may need for its imports on a busy machine, before it can say anything.
_IMPORT_SECONDS = 30.0
# After so much of the silence that is too long a worker is taken for one that does not serve just now.
_DOUBTED_SHARE = 1 / 3


class WorkersFailed(Exception):
    """There is no point in going on; the message is for the operator."""


@dataclass
class _Worker:
    """The place of one worker, and the process that holds it just now."""

    number: int
    process: SpawnProcess | None = None
    messages: Connection | None = None
    silence: Silence = field(default_factory=lambda: Silence(0.0))
    start_time: float = 0.0
    ready: bool = False
    doubted: bool = False
    """It served, and has not been heard for some time."""
    falls: int = 0
    """How often in a row its process ended soon after its start."""
    refusals: int = 0
    """How often in a row the system did not let a process be started."""
    due_time: float = field(default=0.0)
    """When to start a process, while there is none; by the monotonic clock."""


class Workers:
    """``count`` processes that each run ``body(messages, given, number, again)``.

    ``given`` is pickled to them; ``again`` is whether the place was held before. A body sends READY when it
    serves, or words for the operator when it never will, and returns after SIGTERM. Whoever dies is replaced,
    ever more slowly; ``bury`` is told of its process id before. ``standing`` is kept up to date. Who says
    nothing for ``silence_seconds``, not even BEAT, hangs: he is ended, and so replaced; with 0 nobody is.
    """

    def __init__(
        self,
        body: Callable[[Connection, Any, int, bool], None],
        given: object,
        count: int,
        *,
        standing: Standing,
        bury: Callable[[int], None] = lambda _pid: None,
        settled_seconds: float = SETTLED_SECONDS,
        silence_seconds: float = 0.0,
    ) -> None:
        self._body = body
        self._given = given
        self._workers = [_Worker(number) for number in range(count)]
        self._standing = standing
        self._bury = bury
        self._settled_seconds = settled_seconds
        self._silence_seconds = silence_seconds
        self._look_seconds = pulse.every_seconds(silence_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """End all; they get the time that they need for what they have in hand."""
        alive = [each.process for each in self._workers if each.process is not None]
        for process in alive:
            process.terminate()
        end = time.monotonic() + STOP_SECONDS
        for process in alive:
            process.join(max(end - time.monotonic(), 0))
            if process.is_alive():
                log.error("worker.killed", pid=process.pid, detail="it did not end when it was told to")
                process.kill()
                process.join()

    def run(self, ending: Ending) -> None:
        """Until the end is wished for. Raises WorkersFailed."""
        while not ending.wished:
            for worker in self._workers:
                if worker.process is None and worker.due_time <= time.monotonic():
                    self._start_if_possible(worker)
            looked_time = time.monotonic()
            found = wait([ending.fileno(), *self._watched()], self._pause_seconds())
            passed_seconds = time.monotonic() - looked_time
            for worker in self._workers:
                if worker.messages in found:
                    self._hear(worker)
                else:
                    worker.silence.lasted(passed_seconds)
                if worker.process is None:
                    continue
                if worker.process.sentinel in found:
                    self._ended(worker, worker.process)
                elif self._look_seconds:
                    self._judge(worker, worker.process)

    def _watched(self) -> list[Any]:
        processes = [each.process.sentinel for each in self._workers if each.process is not None]
        return [*processes, *(each.messages for each in self._workers if each.messages is not None)]

    def _pause_seconds(self) -> float | None:
        pauses = [max(each.due_time - time.monotonic(), 0) for each in self._workers if each.process is None]
        if self._look_seconds:
            pauses.append(self._look_seconds)
        return min(pauses, default=None)

    def _start_if_possible(self, worker: _Worker) -> None:
        """What the system refuses just now must not end the others. At the very first it is told at once."""
        try:
            self._start(worker)
        except OSError as error:
            if not worker.start_time:
                raise
            worker.refusals += 1
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(worker.refusals, 10), _LONGEST_PAUSE_SECONDS)
            worker.due_time = time.monotonic() + pause
            log.warning("worker.unstarted", worker=worker.number, detail=str(error), restart_seconds=pause)

    def _start(self, worker: _Worker) -> None:
        ours, theirs = spawn.Pipe(duplex=False)
        process = spawn.Process(
            target=self._body,
            args=(theirs, self._given, worker.number, worker.start_time > 0),
            name=f"imrs-worker-{worker.number}",
            daemon=True,
        )
        try:
            with theirs, without(signal.SIGINT):
                process.start()
        except OSError:
            ours.close()
            raise
        worker.process, worker.messages, worker.start_time = process, ours, time.monotonic()
        worker.silence, worker.refusals = Silence(self._look_seconds), 0

    def _hear(self, worker: _Worker) -> None:
        assert worker.messages is not None
        said = ""
        with suppress(EOFError, OSError):  # it has ended, which its process tells
            said = worker.messages.recv()
        if said:
            worker.silence.heard()
        if said == pulse.BEAT:
            return
        if said == READY:
            worker.ready = True
            self._tell()
            return
        worker.messages.close()
        worker.messages = None
        if said:
            raise WorkersFailed(said)

    def _judge(self, worker: _Worker, process: SpawnProcess) -> None:
        """Doubt him who has not been heard for some time, and end him who has not for too long."""
        silent, most = worker.silence.seconds, self._silence_seconds
        if not worker.silence.ever_heard:
            most = max(most, _IMPORT_SECONDS)
        if silent >= most:
            self._end_hung(worker, process)
            return
        doubted = silent >= most * _DOUBTED_SHARE
        if worker.ready and doubted != worker.doubted:
            worker.doubted = doubted
            said = log.warning if doubted else log.info
            said("worker.silent" if doubted else "worker.heard", worker=worker.number, pid=process.pid)
            self._tell()

    def _end_hung(self, worker: _Worker, process: SpawnProcess) -> None:
        """By force: a process that hangs does not hear that it should end. That it ended is seen later."""
        assert process.pid is not None
        if silence.is_traced(process.pid):
            # It stays in doubt, and has time to say something when the debugger lets go of it.
            worker.silence.seconds *= _DOUBTED_SHARE
            return
        log.error(
            "worker.hung",
            worker=worker.number,
            pid=process.pid,
            silent_seconds=round(worker.silence.seconds, 1),
            state=silence.state(process.pid),
            detail="it is killed and another started; the stacks of its threads, where it could still write"
            " them, follow this line and say where it hung; where it was only slow, raise"
            " IMRS_WORKER_SILENCE_SECONDS (0 never ends a worker)",
        )
        with suppress(ProcessLookupError):
            os.kill(process.pid, STACKS_SIGNAL)
        process.join(_STACKS_SECONDS)
        process.kill()
        # However long it takes to die, it is judged no more.
        worker.silence = Silence(0.0)
        worker.ready = worker.doubted = False
        self._tell()

    def _ended(self, worker: _Worker, process: SpawnProcess) -> None:
        """Raises WorkersFailed where another start would end the same way."""
        while worker.messages is not None:
            self._hear(worker)
        process.join()
        how, lived = _how(process.exitcode or 0), time.monotonic() - worker.start_time
        worker.process, worker.ready, worker.doubted = None, False, False
        self._tell()
        assert process.pid is not None
        self._bury(process.pid)
        worker.falls = worker.falls + 1 if lived < self._settled_seconds else 1
        if worker.falls >= MOST_FALLS:
            raise WorkersFailed(
                f"worker {worker.number} ended {worker.falls} times in a row soon after its start, "
                f"the last time {how}; what it wrote before that says why"
            )
        pause = _FIRST_PAUSE_SECONDS * 2 ** (worker.falls - 1)
        worker.due_time = time.monotonic() + pause
        log.error("worker.died", worker=worker.number, pid=process.pid, how=how, restart_seconds=pause)

    def _tell(self) -> None:
        serving = sum(each.ready and not each.doubted for each in self._workers)
        # First, so that who reads in the log that they are ready finds them so.
        self._standing.tell(serving)
        if serving == len(self._workers):
            log.info("workers.ready", workers=serving)


def _how(status: int) -> str:
    if status >= 0:
        return f"with status {status}"
    try:
        return f"by {signal.Signals(-status).name}"
    except ValueError:
        return f"by signal {-status}"
