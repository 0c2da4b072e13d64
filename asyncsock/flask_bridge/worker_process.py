"""A worker process of `SocketIO.run(workers=...)`, and what it and its parent say to each other.

A worker runs the program again, from its start. The environment tells it the descriptors of the listening
socket and of its end of a pair of sockets. Each message on that is one byte; the end of file tells a worker
that its parent is gone, even if that was killed.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable

VARIABLE = "ASYNCSOCK_WORKER"  # <descriptor of the listening socket>,<descriptor of the worker's end>
STOP = b"s"  # close the sessions and end; from a worker: the whole server
END = b"e"  # end without waiting for sessions and handlers
SERVES = b"r"  # from a worker: it takes connections
# Beyond the grace period, in seconds: for what still has to be published, and for the program after `run`.
EXTRA_TIME = 8.0

logger = logging.getLogger("uvicorn.error")  # where uvicorn says what its own processes do


class WorkerProcess:
    """A worker as its parent sees it.

    Args:
        listener: The bound socket that all workers share.
        generation: How many times the workers were to be replaced before it was started.
        successor_of: The worker that leaves when this one serves, if any.
    """

    def __init__(
        self, listener: socket.socket, generation: int = 0, successor_of: WorkerProcess | None = None
    ) -> None:
        self.generation = generation
        self.successor_of = successor_of
        self.started_at = time.monotonic()
        self.leave_by: float | None = None  # when it has to have ended, once it was told to
        self.serves = False
        self.asks_for_end = False  # `SocketIO.stop` was called in it
        self._link, workers_end = socket.socketpair()
        self._link.setblocking(False)
        descriptors = listener.fileno(), workers_end.fileno()
        with workers_end:
            self._process = subprocess.Popen(
                [sys.executable, *sys.orig_argv[1:]],
                env={**os.environ, VARIABLE: "{},{}".format(*descriptors)},
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,  # a program typed at a prompt then ends, and does not wait for more
            )
        self.pid = self._process.pid

    def listen(self) -> None:
        """Take what the worker says."""
        try:
            said = self._link.recv(16)
        except OSError:
            return
        self.serves |= SERVES in said
        self.asks_for_end |= STOP in said

    def stop(self, grace: float | None) -> None:
        """Have it close its sessions and end, in `grace` seconds or as long as it wants.

        One that does not serve yet has no sessions, and ends at once.
        """
        self.leave_by = math.inf if grace is None else time.monotonic() + grace + EXTRA_TIME
        self._say(STOP)
        if not self.serves:
            self._process.terminate()

    def end(self) -> None:
        """Have it end without waiting."""
        self._say(END)

    def kill(self) -> None:
        """End it with SIGKILL."""
        self._process.kill()

    def ended(self) -> str | None:
        """How it has ended, in words; None while it runs."""
        code = self._process.poll()
        if code is None:
            return None
        return f"exit code {code}" if code >= 0 else _name_of(-code)

    def close(self) -> None:
        """Close the connection to it."""
        self._link.close()

    def _say(self, message: bytes) -> None:
        try:
            self._link.send(message)
        except OSError:
            pass  # it has just ended


class Parent:
    """The parent as a worker sees it. Use `find`."""

    def __init__(self, listener: socket.socket, link: socket.socket) -> None:
        self.listener = listener
        self._link = link

    @classmethod
    def find(cls) -> Parent | None:
        """The parent, if this process was started as a worker."""
        descriptors = os.environ.pop(VARIABLE, "")  # processes that it starts are no workers
        if not descriptors:
            return None
        listener, link = (socket.socket(fileno=int(descriptor)) for descriptor in descriptors.split(","))
        for own in (listener, link):
            own.set_inheritable(False)
        return cls(listener, link)

    def serving(self) -> None:
        """Say that this worker takes connections."""
        self._say(SERVES)

    def stop(self) -> None:
        """Have the parent stop all workers."""
        self._say(STOP)

    def obey(self, stop: Callable[[], object], end: Callable[[], object], grace: float | None) -> None:
        """From now on call these functions, in another thread, when the parent says so.

        If the parent is gone, `stop` is called, and `grace` seconds later the process is ended. With None it
        may take as long as it wants.
        """
        threading.Thread(target=self._obey, args=(stop, end, grace), daemon=True).start()

    def _obey(self, stop: Callable[[], object], end: Callable[[], object], grace: float | None) -> None:
        while order := self._hear():
            if order == STOP:
                stop()
            else:
                end()
        logger.warning("The parent process is gone: worker process [%d] stops", os.getpid())
        stop()
        if grace is None:
            return
        time.sleep(grace + EXTRA_TIME)
        os._exit(1)  # nobody is there who would kill a process that hangs

    def _hear(self) -> bytes:
        try:
            return self._link.recv(1)
        except OSError:
            return b""

    def _say(self, message: bytes) -> None:
        try:
            self._link.send(message)
        except OSError:
            pass  # it is gone, which the thread hears


def _name_of(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
