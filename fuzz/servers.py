"""The servers that are fuzzed, and the client that has to be served meanwhile."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from socketio.msgpack_packet import MsgPackPacket
from socketio.packet import EVENT

from fuzz.mutations import Finding
from soak.link import Gone, Link
from tests.support.server_process import Server, serve

ENDED = 30.0  # seconds in which the sessions of clients that have gone have to end


class Target:
    """One server, and a well-behaved client of it.

    Args:
        server: The process.
        is_msgpack: Whether its packets are in msgpack.
    """

    def __init__(self, server: Server, is_msgpack: bool) -> None:
        self.server = server
        self.port = server.port
        self.is_msgpack = is_msgpack
        self._read = 0  # of the log

    def _packet(self, event: str, id: int, *data: Any) -> str | bytes:
        if self.is_msgpack:
            packed: bytes = MsgPackPacket(EVENT, [event, *data], "/", id).encode()
            return packed
        return f"42{id}{json.dumps([event, *data])}"

    def _answer(self, packet: str | bytes) -> tuple[int | None, Any]:
        if isinstance(packet, bytes):
            decoded = MsgPackPacket(encoded_packet=packet)
            return decoded.id, decoded.data
        return (int(packet[2]), json.loads(packet[3:])) if packet[:2] == "43" else (None, None)

    async def ask(self, event: str, *data: Any) -> Any:
        """What a new, well-behaved client is answered."""
        link = await Link.open(self.port)
        await link.upgrade()
        await link.receive()
        if self.is_msgpack:
            await link.send(MsgPackPacket(0, None, "/").encode())
        else:
            await link.send("40")
        await link.receive()
        await link.send(self._packet(event, 7, *data))
        id = None
        while id != 7:
            id, answer = self._answer(await link.receive())
        await link.send("1")
        await link.until_closed()
        return answer

    async def check(self, data: bytes = b"") -> None:
        """See that a healthy client is served, and that the log has no traceback.

        Raises:
            Finding: it is not so, after `data` was sent.
        """
        try:
            healthy = await self.ask("echo", "healthy") == ["healthy"]
        except (Gone, asyncio.TimeoutError) as error:
            raise Finding(f"a healthy client was not served: {error!r}\n{self.new_log()}", data) from None
        if not healthy:
            raise Finding("a healthy client got a wrong answer", data)
        log = self.new_log()
        if "Traceback" in log or self.server.process.poll() is not None:
            raise Finding(f"the log has:\n{log[-4000:]}", data)

    def new_log(self) -> str:
        log = self.server.log()
        new, self._read = log[self._read :], len(log)
        return new

    async def check_ended(self) -> None:
        """See that no session and no handler is left when all clients have gone.

        Raises:
            Finding: some are left.
        """
        deadline = time.monotonic() + ENDED
        while (left := (await self.ask("open"))[0]) != [1, 1]:
            if time.monotonic() > deadline:
                raise Finding(
                    f"when all have gone, {left[0] - 1} sessions and {left[1] - 1} handlers are left"
                )
            await asyncio.sleep(0.2)


@contextmanager
def target(asgi_server: str, serializer: str, arguments: tuple[str, ...]) -> Iterator[Target]:
    """Serve the application.

    Args:
        asgi_server: Its name, as `serve` takes it.
        serializer: Of the Socket.IO server.
        arguments: Those of the ASGI server.
    """
    environment = {"SERIALIZER": serializer}
    with serve("fuzz.app:asgi", server=asgi_server, args=arguments, env=environment) as server:
        yield Target(server, serializer == "msgpack")
