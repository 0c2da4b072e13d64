"""What becomes of input that waits for its turn when its connection ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from asyncsock import AsyncServer
from asyncsock.engine.http import Request
from asyncsock.engine.turns import SLICE
from asyncsock.uvicorn.websocket import UvicornWebSocket
from tests.support.asgi_in_process import make_scope
from tests.support.raw_clients import CLOSE, TEXT, frame, within
from tests.support.simulated_transports import AsyncioTransport

COUNT = 1000


class Program:
    """A server with one client on a simulated connection."""

    def __init__(self) -> None:
        self.server = AsyncServer(max_pending_events=600)
        self.seen: list[int] = []
        self.reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.released = asyncio.Event()
        self.server.on("number", self.number)
        self.server.on("slow", self.slow)
        self.server.on("disconnect", self.disconnect)
        engine = self.server.eio
        self.transport = AsyncioTransport()
        self.transport.room = 1 << 30
        socket = UvicornWebSocket(engine.core, self.transport, set())
        self.transport.connect(socket)
        query = b"EIO=4&transport=websocket"
        scope = make_scope("websocket", "/socket.io/", query.decode(), None)
        socket.handshake(engine.endpoint, Request("GET", {}, query, lambda: scope), b"key")
        self.transport.receive(frame(TEXT, b"40"))

    async def number(self, sid: str, value: int) -> None:
        self.seen.append(value)

    async def slow(self, sid: str) -> None:
        await self.released.wait()

    async def disconnect(self, sid: str, reason: str) -> None:
        self.reason.set_result(reason)


EVENTS = b"".join(
    [frame(TEXT, json.dumps(["number", number]).join(["42", ""]).encode()) for number in range(COUNT)]
)


@pytest.fixture
async def program() -> AsyncIterator[Program]:
    program = Program()
    await asyncio.sleep(0)
    yield program
    program.released.set()
    await within(program.reason)


async def test_a_connection_that_is_lost_takes_nothing_of_what_has_arrived(program: Program) -> None:
    """With TLS the end of a connection is told right after its last bytes."""
    program.transport.receive(EVENTS)
    assert len(program.seen) < COUNT
    program.transport.reset()
    assert await within(program.reason) == "transport close"
    assert program.seen == list(range(COUNT))


async def test_the_end_of_the_stream_is_noted_after_what_has_arrived(program: Program) -> None:
    program.transport.receive(EVENTS)
    program.transport.receive_eof()
    assert await within(program.reason) == "transport close"
    assert program.seen == list(range(COUNT))


async def test_a_close_frame_is_answered_after_what_has_arrived(program: Program) -> None:
    program.transport.receive(EVENTS + frame(CLOSE, b"\x03\xe8"))
    program.transport.receive_eof()
    await within(program.reason)
    assert program.seen == list(range(COUNT))
    assert program.transport.delivered.endswith(b"\x88\x02\x03\xe8")


async def test_a_session_that_the_server_closes_handles_nothing_more(program: Program) -> None:
    program.transport.receive(EVENTS)
    await program.server.eio.disconnect()
    assert await within(program.reason) == "server disconnect"
    assert len(program.seen) <= SLICE
    program.transport.receive(frame(CLOSE, b""))
    while not program.transport.ended:
        await asyncio.sleep(0)


async def test_a_lost_connection_with_too_much_unfinished_is_given_up(program: Program) -> None:
    program.transport.receive(frame(TEXT, b'42["slow"]') * 600 + EVENTS)
    while len(program.server.eio.tasks) < 600:
        await asyncio.sleep(0)
    program.transport.reset()
    assert await within(program.reason) == "transport close"
    program.released.set()
    while program.server.eio.tasks.running:
        await asyncio.sleep(0)
    assert program.seen == []
