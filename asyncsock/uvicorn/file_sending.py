"""Files to uvicorn's connections with sendfile(2), from the thread that has the file open.

Over ASGI a file goes through the event loop in pieces, and each wakes the loop and the thread. Here uvicorn
writes the head of the answer; then the thread has the socket until the file is sent.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import select
import socket
import sys
import time
from functools import cache
from typing import Any

from ..engine.http import Send
from ..engine.slow_clients import PROGRESS
from ..engine.tested_versions import warn_once
from .guard import READ_TIMEOUT

PATIENCE = 1.0  # seconds after which a thread that waits for the client looks whether it is still there
TURNS = 3  # of the event loop, in which the head of the answer gets to the system
NOT_SUPPORTED = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)  # by the file's file system
# What is used of uvicorn's object that answers a request.
NAMES = ("disconnected", "expected_content_length", "transport")

logger = logging.getLogger("asyncsock.wsgi")


def answering(send: Send) -> Any:
    """uvicorn's object behind `send`, if files can be sent to its connection; or None.

    They cannot if something wraps `send`, which would have to see the whole answer, or with TLS.
    """
    cycle: Any = getattr(send, "__self__", None)
    module: Any = sys.modules.get("uvicorn.protocols.http.httptools_impl")
    if sys.platform != "linux" or cycle is None or module is None:
        return None
    cls: Any = type(cycle)
    if cls is not getattr(module, "RequestResponseCycle", None) or not _has_names(cls):
        return None
    return cycle if cycle.transport.get_extra_info("sslcontext") is None else None


@cache
def _has_names(cls: Any) -> bool:
    missing = [name for name in NAMES if name not in cls.__init__.__code__.co_names]
    if missing:
        warn_once(
            logger, f"files are sent in pieces: uvicorn has no RequestResponseCycle.{missing[0]}", "uvicorn"
        )
    return not missing


async def lend(cycle: Any) -> LentSocket | None:
    """The socket of a connection to which nothing waits to be written; None if something does, or it ends."""
    for _ in range(TURNS):
        if cycle.disconnected or cycle.transport.is_closing():
            return None
        if not cycle.transport.get_write_buffer_size():
            try:
                return LentSocket(cycle)
            except OSError:  # closed, or too many open files
                return None
        await asyncio.sleep(0)
    return None


class Unread(TimeoutError):
    """The client has not read for too long."""


class LentSocket:
    """The socket of a connection, for a thread to write a part of an answer to. uvicorn writes nothing then.

    It is a duplicate: if uvicorn closes the connection, its number becomes no other connection's.

    Args:
        cycle: uvicorn's object that answers the request.
    """

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle
        self._socket = socket.socket(fileno=os.dup(cycle.transport.get_extra_info("socket").fileno()))

    def send(self, file: int, offset: int, count: int) -> bool:
        """Send a part of a file, and return when the system has taken all of it.

        Args:
            file: The descriptor of the file.
            offset: Where the part begins.
            count: Bytes of the part.

        Returns:
            False if the system cannot send this file so; nothing has been sent then.

        Raises:
            Unread: The client reads nothing, or next to nothing. The connection is shut down.
            ConnectionError: The client has left.
            EOFError: The file has become shorter.
        """
        left = count
        while left:
            try:
                sent = os.sendfile(self._socket.fileno(), file, offset, left)
            except BlockingIOError:
                self._wait(left)
                continue
            except OSError as error:
                if error.errno in NOT_SUPPORTED and left == count:
                    return False
                raise
            if not sent:
                raise EOFError(f"the file ended {left} bytes early")
            offset += sent
            left -= sent
        self._cycle.expected_content_length -= count
        return True

    def _wait(self, left: int) -> None:
        """Wait until the client has read, so that there is room for more."""
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        deadline, unread = time.monotonic() + READ_TIMEOUT, unsent(self._socket)
        while not poll.poll(PATIENCE * 1000):
            if self._cycle.disconnected:
                raise BrokenPipeError
            if time.monotonic() > deadline:
                if unsent(self._socket) > unread - PROGRESS:
                    self._socket.shutdown(socket.SHUT_RDWR)
                    raise Unread(f"{left + unread} bytes unread")
                deadline, unread = time.monotonic() + READ_TIMEOUT, unsent(self._socket)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def unsent(connection: socket.socket) -> int:
    """Bytes that the system holds for the other end, which has not confirmed them."""
    import fcntl
    import struct
    import termios

    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])
