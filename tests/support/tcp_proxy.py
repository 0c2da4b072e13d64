"""A TCP proxy that tests put between a client and a broker or server, to break or slow the network."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support.broker_process import HOST
from tests.support.ports import free_port

CHUNK = 65536
SLOW_BUFFER = 65536  # bytes that the kernel may hold for a link of limited speed
Result = TypeVar("Result")


class Link:
    """One client's connection and its onward connection to the target."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writers = [writer]
        self.flowing = asyncio.Event()
        self.lost = False

    def end(self) -> None:
        """Close both sides with RST, unless they are closed: what was not read yet is gone."""
        for writer in self.writers:
            if not writer.transport.is_closing():
                peer = writer.get_extra_info("socket")
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        self.flowing.set()  # whoever waits for it sees the end


class Proxy:
    """Forwards 127.0.0.1:port to 127.0.0.1:target from a thread of its own, until the block ends.

    Its methods can be called from any thread, block only for an instant, and are in force when they return.

    Args:
        target: the port to forward to. Nothing needs to listen there before the first client comes.
        port: the port to listen on, a free one below 32768 by default.
        speed: bytes per second from the target to a client, if there is a limit.
    """

    def __init__(self, target: int, port: int | None = None, speed: float | None = None) -> None:
        self.speed = speed
        self.target = target
        self.port = port or free_port()
        self.accepted = 0
        """How many connections came so far."""
        self._links: set[Link] = set()
        self._silent = False
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.accept()
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many clients are connected now, silenced and forgotten ones included."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection. New ones are served as before."""
        self._call(self._cut)

    def refuse(self) -> None:
        """Refuse new connections (nothing listens). Open ones go on."""
        self._run(self._refuse())

    def accept(self) -> None:
        """Take new connections again."""
        self._run(self._accept())

    def down(self) -> None:
        """Refuse new connections and reset the open ones: what a dead broker looks like."""
        self.refuse()
        self.cut()

    def up(self) -> None:
        """Back to normal: take new connections, forward on all of them."""
        self.forward()
        self.accept()

    def silence(self) -> None:
        """Deliver nothing more in either direction, and tell nobody; new connections are taken, as silent.

        Half-open, as with a firewall that drops packets: closings do not come through either.
        """
        self._call(self._silence)

    def forward(self) -> None:
        """End the silence. What was sent meanwhile arrives, as TCP would send it again."""
        self._call(self._forward)

    def forget(self) -> None:
        """Silence the present connections for ever; new ones work. (A NAT gateway that lost its table.)"""
        self._call(self._forget)

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._run(call())

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _cut(self) -> None:
        for link in self._links:
            link.end()
        self._links = set()

    def _silence(self) -> None:
        self._silent = True
        for link in self._links:
            link.flowing.clear()

    def _forward(self) -> None:
        self._silent = False
        for link in self._links:
            if not link.lost:
                link.flowing.set()

    def _forget(self) -> None:
        for link in self._links:
            link.lost = True
            link.flowing.clear()

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()  # without wait_closed(): that waits for the open connections, too
            self._server = None

    async def _close(self) -> None:
        await self._refuse()
        self._cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        link = Link(writer)
        self._links.add(link)
        if not self._silent:
            link.flowing.set()
        try:
            await link.flowing.wait()
            onward_reader, onward_writer = await asyncio.open_connection(HOST, self.target)
            if self.speed is not None:
                for side, option in ((onward_writer, socket.SO_RCVBUF), (writer, socket.SO_SNDBUF)):
                    side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, option, SLOW_BUFFER)
            link.writers.append(onward_writer)
            if link not in self._links:  # cut meanwhile
                return
            await asyncio.gather(
                pump(link, reader, onward_writer), pump(link, onward_reader, writer, self.speed)
            )
            for side in link.writers:
                side.close()
                await side.wait_closed()
        except OSError:
            pass
        finally:
            link.end()
            self._links.discard(link)


async def pump(
    link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speed: float | None = None
) -> None:
    """Copy one direction until its end, at most so many bytes per second, and pass the end on."""
    due = asyncio.get_running_loop().time()
    while True:
        data = await reader.read(CHUNK)
        await link.flowing.wait()
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()
        if speed is not None:
            now = asyncio.get_running_loop().time()
            due = max(due, now - 0.1) + len(data) / speed
            await asyncio.sleep(due - now)
