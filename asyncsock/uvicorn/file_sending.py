"""Files to uvicorn's connections with sendfile(2), from the thread that has the file open.

Over ASGI a file goes through the event loop in pieces, and each wakes the loop and the thread. Here the
thread has the socket until the file is sent. It also writes the head of the answer, unless uvicorn has.
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
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from ..engine.http import Send
from ..engine.slow_clients import PROGRESS
from ..engine.tested_versions import warn_once
from .guard import READ_TIMEOUT

PATIENCE = 1.0  # seconds after which a thread that waits for the client looks whether it is still there
TURNS = 3  # of the event loop, in which the head of the answer gets to the system
COPIED = 262_144  # bytes that are read at once of a file that the system cannot send
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
    if cycle is None or module is None:
        return None
    cls: Any = type(cycle)
    if cls is not getattr(module, "RequestResponseCycle", None) or not _has_names(cls):
        return None
    return cycle if may_lend(cycle.transport) else None


def may_lend(transport: Any) -> bool:
    """Whether a thread can send files to a connection."""
    return sys.platform == "linux" and transport.get_extra_info("sslcontext") is None


@cache
def _has_names(cls: Any) -> bool:
    missing = [name for name in NAMES if name not in cls.__init__.__code__.co_names]
    if missing:
        warn_once(
            logger, f"files are sent in pieces: uvicorn has no RequestResponseCycle.{missing[0]}", "uvicorn"
        )
    return not missing


async def lend(cycle: Any, count: int) -> LentSocket | None:
    """Lend the socket of a connection of uvicorn's for the body of an answer whose head it has got.

    Args:
        cycle: uvicorn's object that answers the request.
        count: Bytes of the body.

    Returns:
        None if something still waits to be written to the connection, or if it ends.
    """
    for _ in range(TURNS):
        if cycle.disconnected:
            return None
        lent = lend_now(cycle)
        if lent is not None:
            cycle.expected_content_length -= count
            return lent
        await asyncio.sleep(0)
    return None


def lend_now(answerer: Answerer, head: bytes = b"") -> LentSocket | None:
    """Lend the socket of a connection, if nothing waits to be written to it, and it does not end.

    Args:
        answerer: What answers the request.
        head: What is to be written before the file.
    """
    transport = answerer.transport
    if transport.is_closing() or transport.get_write_buffer_size():
        return None
    try:
        return LentSocket(answerer, head)
    except OSError:  # closed, or too many open files
        return None


class Answerer(Protocol):
    """What answers a request: an object of uvicorn's or a `WholeRequest`."""

    disconnected: bool  # whether the connection has ended

    @property
    def transport(self) -> Any: ...


class Unread(TimeoutError):
    """The client has not read for too long."""


class LentSocket:
    """The socket of a connection, for a thread to write a part of an answer to. The loop writes nothing then.

    It is a duplicate: if the loop closes the connection, its number becomes no other connection's.

    Args:
        answerer: What answers the request.
        head: What is written before the file.
    """

    def __init__(self, answerer: Answerer, head: bytes) -> None:
        self._answerer = answerer
        self._head = head
        self._socket = socket.socket(fileno=os.dup(answerer.transport.get_extra_info("socket").fileno()))
        self._socket.setblocking(False)  # it could have got a time-out from socket.setdefaulttimeout()

    def send(self, file: int, offset: int, count: int) -> None:
        """Send the head and a part of a file, and return when the system has taken all of it.

        Args:
            file: The descriptor of the file.
            offset: Where the part begins.
            count: Bytes of the part.

        Raises:
            Unread: The client reads nothing, or next to nothing. The connection is shut down.
            ConnectionError: The client has left.
            EOFError: The file has become shorter.
        """
        while self._head:
            try:
                # The system keeps it for a moment, to send it together with the beginning of the file.
                self._head = self._head[self._socket.send(self._head, socket.MSG_MORE) :]
            except BlockingIOError:
                self._wait(len(self._head) + count)
        left = count
        send: Callable[[int, int, int, int], int] = os.sendfile
        while left:
            try:
                sent = send(self._socket.fileno(), file, offset, left)
            except BlockingIOError:
                self._wait(left)
                continue
            except OSError as error:
                if send is _copy or error.errno not in NOT_SUPPORTED:
                    raise
                send = _copy
                continue
            if not sent:
                raise EOFError(f"the file ended {left} bytes early")
            offset += sent
            left -= sent

    def _wait(self, left: int) -> None:
        """Wait until the client has read, so that there is room for more."""
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        deadline, unread = time.monotonic() + READ_TIMEOUT, unsent(self._socket)
        while not poll.poll(PATIENCE * 1000):
            if self._answerer.disconnected:
                raise BrokenPipeError
            if time.monotonic() > deadline:
                if unsent(self._socket) > unread - PROGRESS:
                    self._socket.shutdown(socket.SHUT_RDWR)
                    raise Unread(f"{left + unread} bytes unread")
                deadline, unread = time.monotonic() + READ_TIMEOUT, unsent(self._socket)

    def close(self) -> None:
        """Give the socket back."""
        self._socket.close()


def _copy(connection: int, file: int, offset: int, count: int) -> int:
    """Do the same as `os.sendfile`, for a file that the system cannot send."""
    return os.write(connection, os.pread(file, min(count, COPIED), offset))


def unsent(connection: socket.socket) -> int:
    """Bytes that the system holds for the other end, which has not confirmed them."""
    import fcntl
    import struct
    import termios

    return int(struct.unpack("i", fcntl.ioctl(connection, termios.TIOCOUTQ, bytes(4)))[0])
