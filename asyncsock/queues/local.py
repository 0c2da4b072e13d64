"""The processes of one host, through Unix sockets in a directory. There is no broker.

Each listener has a socket there, and each publisher is connected to all of them. A process misses what is
published while it does not listen.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from ..workers.directory import (
    SUPPORTED,
    DirectoryRefused,
    answers,
    is_of_this_user,
    private_directory,
    shared_directory,
)
from .driver import Driver, LoginRefused, MessageRefused
from .health import logger, without_password
from .local_listener import MESSAGE_BYTES, SIZE, LocalListener
from .reconnecting import OUTBOX_BYTES

SUFFIX = ".bus"
ADDRESS_BYTES = 107  # that Linux takes as the path of a socket
# Bytes that wait for a listener, besides those in the kernel, until it is waited for.
HIGH_WATER = 1024 * 1024
PATIENCE = 0.05  # seconds that it is waited for, once until it has caught up
LOOK_AGAIN = 0.1  # seconds after which one that is lost is looked for again
COARSE = 50_000_000  # nanoseconds in which the time of a directory may not show a second change


class LocalDriver(Driver):
    """Publishes to the listeners of a channel in a directory, or is one of them.

    What a listener does not read waits in the publisher. One for which more than `OUTBOX_BYTES` wait is
    dropped.

    Args:
        url: ``local:///path/of/directory``, or ``local://`` in a worker that shares its listening socket with
            others.

    Raises:
        ValueError: The path is not absolute, or too long.
        NotImplementedError: This is not Linux.
    """

    spans_hosts = False

    def __init__(self, url: str, channel: str) -> None:
        super().__init__(url, channel)
        if not SUPPORTED:
            raise NotImplementedError(
                "message queues with local:// need Linux; redis:// is one that does not"
            )
        parts = urlsplit(url)
        path = unquote(parts.path)
        if parts.netloc or parts.query or path == "/":
            raise ValueError("bad local URL: it has to be local:///directory")
        # Of characters that the name of a file may have, and one dot, so that no channel's begins another's.
        self._start = quote(channel, safe="").replace(".", "%2E") + "."
        self.directory = Path(path) if path else None
        if self.directory is not None:
            _check_length(self.directory / self._new_name())
        self._directory = Path()
        self._listener: LocalListener | None = None
        self._peers: dict[str, _Peer] = {}  # by the names of their sockets
        self._listed = 0  # when the directory was changed, if it shows each change since

    def _new_name(self) -> str:
        return f"{self._start}{secrets.token_hex(4)}{SUFFIX}"

    async def connect(self, *, subscribe: bool) -> None:
        self._directory = self._find_directory()
        if subscribe:
            self.listener_name = self._new_name()
            self._listener = LocalListener(without_password(self.url), self._directory / self.listener_name)
            await self._listener.open()
        else:
            self._listed = 0
            await self._find_peers()

    def _find_directory(self) -> Path:
        try:
            directory = (
                private_directory(self.directory) if self.directory is not None else shared_directory()
            )
        except DirectoryRefused as error:
            raise LoginRefused(str(error)) from None
        if directory is None:
            raise LoginRefused(
                "local:// without a directory is for workers that share a listening socket, and this process "
                "has none: name a directory, as in local:///run/app"
            )
        return directory

    # Publishing

    async def publish(self, messages: Sequence[bytes]) -> None:
        if max(map(len, messages)) > MESSAGE_BYTES:
            raise MessageRefused(f"local:// takes messages of {MESSAGE_BYTES} bytes")
        await self._find_peers()
        data = b"".join([part for message in messages for part in (SIZE.pack(len(message)), message)])
        for name, peer in list(self._peers.items()):
            if peer.transport.get_write_buffer_size() > OUTBOX_BYTES:
                self._drop(name)
            else:
                peer.transport.write(data)
        behind = [peer.catch_up() for peer in self._peers.values() if peer.is_behind]
        if behind:
            await asyncio.gather(*behind)

    async def _find_peers(self) -> None:
        changed = os.stat(self._directory).st_mtime_ns
        if changed == self._listed:
            return
        self._listed = changed if time.time_ns() - changed > COARSE else 0
        own = self.own_listener.listener_name if self.own_listener is not None else None
        for name in os.listdir(self._directory):
            if name.startswith(self._start) and name.endswith(SUFFIX) and name not in {own, *self._peers}:
                await self._connect_to(name)

    async def _connect_to(self, name: str) -> None:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.setblocking(False)
            connection.connect(str(self._directory / name))
            if not is_of_this_user(connection):
                raise ConnectionRefusedError
            peer = _Peer(partial(self._lost, name))
            await asyncio.get_running_loop().create_unix_connection(lambda: peer, sock=connection)
        except ConnectionRefusedError:
            connection.close()
            self._bury(name)
        except OSError:  # too many connections wait there, or in this process; or the listener has just left
            connection.close()
            self._listed = 0
        else:
            if not peer.transport.is_closing():
                self._peers[name] = peer

    def _lost(self, name: str) -> None:
        self._listed = 0  # its socket may still be there, to connect to or to remove
        if self._peers.pop(name, None) is not None:
            self._look_for(name)
            # The connections of a process that was killed may end before its socket refuses others.
            asyncio.get_running_loop().call_later(LOOK_AGAIN, self._look_for, name)

    def _look_for(self, name: str) -> None:
        path = self._directory / name
        if path.exists() and not answers(path):
            self._bury(name)

    def _bury(self, name: str) -> None:
        """Remove the socket of a listener whose process was killed."""
        self._remove(name)
        if self.listener_killed is not None:
            self.listener_killed(name)

    def _drop(self, name: str) -> None:
        """Send a listener nothing more. When it goes on it will listen again, at another socket."""
        transport = self._peers[name].transport
        logger.warning(
            "message queue %s: a listener was dropped because it does not read, and %d bytes with it. "
            "Look for what blocks the event loop of that process",
            without_password(self.url),
            transport.get_write_buffer_size(),
        )
        del self._peers[name]
        self._remove(name)
        transport.abort()

    def _remove(self, name: str) -> None:
        with suppress(OSError):
            os.unlink(self._directory / name)

    def listeners(self) -> Collection[str]:
        return self._peers.keys()

    # Both ends

    def messages(self) -> AsyncIterator[Sequence[bytes]]:
        assert self._listener is not None
        return self._listener.messages()

    async def close(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        peers = list(self._peers.values())
        self._peers.clear()
        try:
            for peer in peers:
                await peer.close()
        finally:
            for peer in peers:
                peer.transport.abort()


class _Peer(asyncio.Protocol):
    """A publisher's connection to one listener.

    Attributes:
        is_behind: Whether much waits for the listener, which it may still read.
    """

    transport: asyncio.Transport

    def __init__(self, lost: Callable[[], None]) -> None:
        self._lost = lost
        self.is_behind = False
        self._has_room = asyncio.Event()
        self._closed = asyncio.Event()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        transport.set_write_buffer_limits(HIGH_WATER)

    def pause_writing(self) -> None:
        self.is_behind = True
        self._has_room.clear()

    def resume_writing(self) -> None:
        self.is_behind = False
        self._has_room.set()

    async def catch_up(self) -> None:
        """Wait until the listener has read much of what waits for it, but not for one that hangs."""
        try:
            await asyncio.wait_for(self._has_room.wait(), PATIENCE)
        except asyncio.TimeoutError:
            self.is_behind = False  # until `pause_writing` is called again

    async def close(self) -> None:
        """Close the connection when the listener has what waits for it."""
        self.transport.close()
        await self._closed.wait()

    def connection_lost(self, error: Exception | None) -> None:
        self.resume_writing()
        self._closed.set()
        self._lost()


def _check_length(path: Path) -> None:
    length = len(os.fsencode(path))
    if length > ADDRESS_BYTES:
        raise ValueError(
            f"bad local URL: with the channel it makes a path of {length} bytes, "
            f"and sockets take {ADDRESS_BYTES}"
        )
