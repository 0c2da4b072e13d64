"""The parent of several worker processes that share one listening socket: `SocketIO.run(workers=...)`."""

from __future__ import annotations

import math
import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from .process_signals import ProgramSignals
from .worker_process import WorkerProcess, logger

STARTUP_FAILURE = 3  # uvicorn's exit code
TICK = 0.1  # how often the parent looks after its workers, in seconds
RESTART_INTERVAL = 1.0  # between the starts of a worker and of the one that takes its place, in seconds


def check_workers(workers: Any, reloads: bool) -> None:
    """Refuse a number of workers that cannot be started.

    Raises:
        ValueError: It is not a number, or there is a reloader.
        RuntimeError: Not here.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise ValueError(f"workers={workers!r}: it must be a number of processes, 1 or more")
    if workers == 1:
        return
    if reloads:
        raise ValueError(
            f"workers={workers} does not go with the reloader, which restarts one process: leave workers out "
            "while you develop, or pass debug=False or use_reloader=False"
        )
    if sys.platform == "win32":
        raise RuntimeError(
            f"workers={workers}: on Windows processes cannot share a listening socket. Leave workers out, or "
            "start the program once for each port, behind a proxy"
        )
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError(
            f"workers={workers}: the workers run the program again, and its signals stop them. Call run() in "
            "the main thread"
        )


@contextmanager
def listening_socket(config: uvicorn.Config) -> Generator[socket.socket, None, None]:
    """The socket that uvicorn's options name, for all workers; uvicorn logs its address.

    Raises:
        SystemExit: It cannot be opened; uvicorn has logged why.
    """
    if config.uds is not None:
        _remove_socket(config.uds)  # as asyncio does, for a server that was killed
    with config.bind_socket() as listener:
        try:
            yield listener
        finally:
            if config.uds is not None:
                _remove_socket(config.uds)


def _remove_socket(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.stat(path).st_mode):
            os.remove(path)
    except FileNotFoundError:
        pass


class Supervisor:
    """Starts workers, replaces those that end, and stops them all.

    Args:
        count: How many.
        listener: The socket that they share.
        grace: How long one may take to end, in seconds; None: as long as it wants.
    """

    def __init__(self, count: int, listener: socket.socket, grace: float | None) -> None:
        self._count = count
        self._listener = listener
        self._grace = grace
        self._signals = ProgramSignals(self._stop_at_signal)
        self._workers: list[WorkerProcess] = []
        self._starts: list[float] = []  # when workers that have ended are replaced
        self._generation = 0  # rises when all workers are to be replaced
        self._urgency = 0  # how the workers have to end: 1 with their sessions closed, 2 at once, 3 killed
        self._urged = 0  # the urgency that they know of
        self._failed = False

    def run(self) -> None:
        """Return when `stop` or a signal has ended them all.

        Raises:
            SystemExit: A worker has ended before it served, and so the others were stopped.
        """
        with self._signals.taken(), self._replacing_at_sighup():
            try:
                for _ in range(self._count):
                    self._workers.append(WorkerProcess(self._listener))
                while self._workers or not self._urgency:
                    self._look()
            finally:
                for worker in self._workers:
                    worker.close()  # it then ends by itself
        if self._signals.raised is not None:
            raise self._signals.raised
        if self._failed:
            sys.exit(STARTUP_FAILURE)

    def stop(self) -> None:
        """Have all workers close their sessions and end. From any thread."""
        self._urgency = max(self._urgency, 1)

    def _stop_at_signal(self, number: int) -> None:
        self._urgency += 1

    @contextmanager
    def _replacing_at_sighup(self) -> Generator[None, None, None]:
        """Replace the workers at SIGHUP, unless the program handles or ignores it.

        In a terminal it keeps its meaning: the terminal is gone.
        """
        in_terminal = sys.stdin is not None and sys.stdin.isatty()
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_DFL or in_terminal:
            yield
            return
        signal.signal(signal.SIGHUP, self._replace_all)
        try:
            yield
        finally:
            signal.signal(signal.SIGHUP, signal.SIG_DFL)

    def _replace_all(self, number: int, frame: FrameType | None) -> None:
        self._generation += 1

    def _look(self) -> None:
        """Wait for a moment, and do what is to be done."""
        self._signals.take_again()
        time.sleep(TICK)
        for worker in list(self._workers):
            how = worker.ended()
            worker.listen()
            if worker.asks_for_end:
                self.stop()
            if how is not None:
                self._remove(worker, how)
        self._urge()
        self._kill_late()
        if not self._urgency:
            self._start_due()
            self._replace_outdated()

    def _remove(self, worker: WorkerProcess, how: str) -> None:
        worker.close()
        self._workers.remove(worker)
        if self._urgency or worker.leave_by is not None:
            return
        if worker.serves:
            if not any(other.successor_of is worker for other in self._workers):
                logger.warning("Worker process [%d] has ended (%s), and is replaced", worker.pid, how)
                self._starts.append(worker.started_at + RESTART_INTERVAL)
        elif worker.successor_of in self._workers:
            logger.error(
                "Worker process [%d] has ended (%s) before it served: those that serve are not replaced",
                worker.pid,
                how,
            )
            for other in self._workers:
                other.generation = self._generation
        else:
            logger.error(
                "Worker process [%d] has ended (%s) before it served: the server stops. A worker runs the "
                "program again, and has to come to the same run()",
                worker.pid,
                how,
            )
            self._failed = True
            self.stop()

    def _urge(self) -> None:
        """Tell the workers what has become more urgent."""
        while self._urged < min(self._urgency, 3):
            self._urged += 1
            for worker in self._workers:
                if self._urged == 1:
                    if worker.leave_by is None:
                        worker.stop(self._grace)
                elif self._urged == 2:
                    worker.end()
                else:
                    worker.kill()

    def _kill_late(self) -> None:
        for worker in self._workers:
            if worker.leave_by is not None and time.monotonic() > worker.leave_by:
                logger.warning(
                    "Worker process [%d] has not ended in time, and is killed: look for what blocks it, or "
                    "raise timeout_graceful_shutdown",
                    worker.pid,
                )
                worker.kill()
                worker.leave_by = math.inf

    def _start_due(self) -> None:
        due = [moment for moment in self._starts if moment <= time.monotonic()]
        for moment in due:
            self._starts.remove(moment)
            self._workers.append(WorkerProcess(self._listener, self._generation))

    def _replace_outdated(self) -> None:
        """Replace the workers of earlier generations: each leaves when its successor serves."""
        for worker in self._workers:
            if worker.serves and worker.successor_of is not None:
                worker.successor_of.stop(self._grace)
                worker.successor_of = None
        if any(not worker.serves or worker.leave_by is not None for worker in self._workers):
            return
        for worker in self._workers:
            if worker.generation < self._generation:
                self._workers.append(WorkerProcess(self._listener, self._generation, successor_of=worker))
                return
