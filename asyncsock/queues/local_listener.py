"""The listening end of `local://`: a Unix socket to which publishers connect."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path

from ..workers.directory import is_of_this_user
from .driver import SILENCE
from .health import logger

SIZE = struct.Struct("<I")  # comes before each message
MESSAGE_BYTES = 64 * 1024 * 1024  # that a message has at most
BACKLOG = 1024


class LocalListener:
    """What processes publish for one listener.

    Args:
        name: The message queue, as log messages name it.
        path: Its socket.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self._path = path
        self._received: list[bytes] = []
        self._wake = asyncio.Event()
        self._is_removed = False
        self._publishers: set[_Publisher] = set()
        self._server: asyncio.AbstractServer | None = None
        self._watch: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Accept connections.

        Raises:
            OSError: The socket cannot be made.
        """
        listener = socket.socket(socket.AF_UNIX)
        # One that does not accept connections yet would look as if its process had been killed.
        unready = self._path.with_suffix(".new")
        try:
            listener.setblocking(False)
            listener.bind(str(unready))
            listener.listen(BACKLOG)
            unready.rename(self._path)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_unix_server(self._accept, sock=listener, backlog=BACKLOG)
        except BaseException:
            listener.close()
            raise
        self._keep_watch()

    def _accept(self) -> _Publisher:
        return _Publisher(self)

    def _keep_watch(self) -> None:
        self._look_for_socket()
        self._watch = asyncio.get_running_loop().call_later(SILENCE, self._keep_watch)

    def _look_for_socket(self) -> None:
        """Publishers that find no socket, or have removed it, are not heard any more."""
        if not os.path.exists(self._path):
            self._is_removed = True
            self._wake.set()

    async def messages(self) -> AsyncIterator[Sequence[bytes]]:
        """Yield the messages, those that arrived together as one item.

        Raises:
            ConnectionError: The socket was removed.
        """
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._received:
                received, self._received = self._received, []
                yield received
            if self._is_removed:
                raise ConnectionError("the socket of this process was removed")

    def opened(self, publisher: _Publisher) -> None:
        """Note a publisher."""
        self._publishers.add(publisher)

    def take(self, messages: list[bytes]) -> None:
        """Note messages that have arrived."""
        self._received += messages
        self._wake.set()

    def closed(self, publisher: _Publisher) -> None:
        """Note that a publisher is gone, perhaps because this process did not read for long."""
        self._publishers.discard(publisher)
        self._look_for_socket()

    def close(self) -> None:
        """Accept and receive nothing more."""
        with suppress(OSError):
            os.unlink(self._path)
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            self._server.close()
        for publisher in list(self._publishers):
            publisher.transport.abort()


class _Publisher(asyncio.Protocol):
    """The connection of one publisher."""

    transport: asyncio.Transport

    def __init__(self, listener: LocalListener) -> None:
        self._listener = listener
        self._rest = bytearray()  # the beginning of a message
        self._awaited = SIZE.size  # bytes, with which more can be done than with the rest

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._listener.opened(self)
        if not is_of_this_user(transport.get_extra_info("socket")):
            self._refuse("it is another user's")

    def data_received(self, data: bytes) -> None:
        if self._rest:
            self._rest += data
            if len(self._rest) < self._awaited:
                return
            data = bytes(self._rest)
            self._rest.clear()
        messages, start, end = [], 0, len(data)
        self._awaited = SIZE.size
        while end - start >= SIZE.size:
            size: int = SIZE.unpack_from(data, start)[0]
            if not 0 < size <= MESSAGE_BYTES:
                self._refuse(f"it sent a message of {size} bytes")
                break
            stop = start + SIZE.size + size
            if stop > end:
                self._awaited = SIZE.size + size
                break
            messages.append(data[start + SIZE.size : stop])
            start = stop
        self._rest += data[start:]
        if messages:
            self._listener.take(messages)

    def _refuse(self, why: str) -> None:
        logger.warning("message queue %s: a connection was closed: %s", self._listener.name, why)
        self.transport.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._listener.closed(self)
