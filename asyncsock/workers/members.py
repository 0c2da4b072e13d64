"""The workers in a directory: each has a socket there, whose file is called after it."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from base64 import urlsafe_b64encode
from pathlib import Path

from .directory import answers, is_of_this_user
from .loads import SUFFIX as LOAD

NAME_LENGTH = 4  # characters
SUFFIX = ".worker"
BACKLOG = 256
COARSE = 50_000_000  # nanoseconds in which the time of a directory may not show a second change


def make_name() -> str:
    """A new name of a process: `NAME_LENGTH` letters, digits, ``-`` and ``_``."""
    return urlsafe_b64encode(os.urandom(3)).decode()


class Members:
    """The workers that share a directory, of which this process is one.

    Args:
        directory: The directory.
        name: The name of this process, which `make_name` has made.

    Attributes:
        listener: The socket on which the others reach it; it does not block.
    """

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self._names: frozenset[str] = frozenset()
        self._looked_at = 0  # the time of the directory when it was read, if nothing can have changed since
        self._sweep()
        self.name = name
        self.listener = self._listen()

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        early = self.directory / f".{self.name}"  # which nobody finds before it can be connected to
        try:
            listener.bind(str(early))
            listener.listen(BACKLOG)
            listener.setblocking(False)
            early.rename(self._path(self.name))
        except BaseException:
            listener.close()
            raise
        return listener

    def close(self) -> None:
        """Leave the directory."""
        self.listener.close()
        self._path(self.name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # others are still there
            self.directory.rmdir()

    def others(self) -> frozenset[str]:
        """The names of the other workers."""
        try:
            time_of_directory = self.directory.stat().st_mtime_ns
            if time_of_directory != self._looked_at:
                self._look(time_of_directory)
        except OSError:  # somebody has removed it
            return frozenset()
        return self._names

    def _look(self, time_of_directory: int) -> None:
        found = [path.name.removesuffix(SUFFIX) for path in self.directory.glob(f"*{SUFFIX}")]
        self._names = frozenset(name for name in found if len(name) == NAME_LENGTH) - {self.name}
        is_settled = time.time_ns() - time_of_directory > COARSE
        self._looked_at = time_of_directory if is_settled else 0

    def connect(self, name: str) -> socket.socket | None:
        """Connect to another worker; None if it is not there, or does not accept connections.

        The socket does not block.
        """
        if name not in self.others():
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.setblocking(False)
        try:
            connection.connect(str(self._path(name)))
            if is_of_this_user(connection):
                return connection
        except ConnectionRefusedError:  # it was killed
            remove(self._path(name))
        except OSError:  # it has left, or is too busy
            pass
        connection.close()
        return None

    def _sweep(self) -> None:
        """Remove what workers that were killed have left."""
        for path in self.directory.glob(f"*{SUFFIX}"):
            if not answers(path):
                remove(path)

    def _path(self, name: str) -> Path:
        return self.directory / f"{name}{SUFFIX}"


def remove(path: Path) -> None:
    """Remove what a worker has left, of which ``path`` is the socket."""
    path.unlink(missing_ok=True)
    path.with_suffix(LOAD).unlink(missing_ok=True)
