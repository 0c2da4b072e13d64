"""Answers to HTTP requests that clients do not read, or read slowly."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn import guard
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import within
from tests.support.uvicorn_in_process import Local, running

OPEN = "/socket.io/?EIO=4&transport=polling"
SIZE = 20_000_000  # more than the sockets between can hold


class Serving:
    """A server of this process, whose other application sends a long answer in pieces."""

    def __init__(self) -> None:
        self.engine = EngineServer(max_buffered_bytes=10 * SIZE)
        self.local: Local
        self.has_answered = asyncio.Event()

    async def other(self, scope: Any, receive: Any, send: Any) -> None:
        length = [(b"content-length", b"%d" % SIZE)]
        await send({"type": "http.response.start", "status": 200, "headers": length})
        for left in range(SIZE - 100_000, -1, -100_000):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": left > 0})
        self.has_answered.set()

    async def opened(self) -> str:
        """The id of a session that polls, and is sent a message of that size."""
        async with await self.connect(OPEN) as client:
            await client.reader.readuntil(b"\r\n\r\n")
            sid = (await client.reader.readuntil(b",")).split(b'"')[3].decode()
        self.engine.send(sid, "x" * SIZE)
        return sid

    async def connect(self, path: str) -> Client:
        """A client that has sent a request, and has little room for the answer."""
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        raw.setblocking(False)
        await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", self.local.port))
        reader, writer = await asyncio.open_connection(sock=raw)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        return Client(reader, writer)

    async def path(self, of: str) -> str:
        """Where an answer of that size is: a poll's or the other application's."""
        return f"{OPEN}&sid={await self.opened()}" if of == "poll" else "/page"


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()


@pytest.fixture
def read_timeout() -> float:
    """Seconds that clients have to read more."""
    return 0.3


@pytest.fixture(params=["httptools", "h11"])
async def server(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, read_timeout: float
) -> AsyncIterator[Serving]:
    monkeypatch.setattr(guard, "READ_TIMEOUT", read_timeout)
    serving = Serving()
    async with running(ASGIApp(serving.engine, serving.other), http=request.param) as local:
        serving.local = local
        yield serving


async def until_left(server: Serving) -> None:
    while server.local.connections:
        await asyncio.sleep(0.002)


answers = pytest.mark.parametrize("of", ["poll", "other application"])
patient = pytest.mark.parametrize("read_timeout", [2.0])  # for clients that read: a busy machine pauses them


@answers
async def test_a_client_that_does_not_read_an_answer_is_cut_off(
    server: Serving, of: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await server.connect(await server.path(of)):
        await within(until_left(server))
    assert len([line for line in recorded(caplog, logging.WARNING) if "of an answer unread" in line]) == 1
    assert not errors(caplog)
    if of != "poll":
        await within(server.has_answered.wait())


@answers
@patient
async def test_a_client_that_reads_an_answer_slowly_gets_all_of_it(server: Serving, of: str) -> None:
    async with await server.connect(await server.path(of)) as client:
        await client.reader.readuntil(b"\r\n\r\n")
        size = 0
        while size < SIZE:
            piece = await within(client.reader.read(100_000))
            assert piece, f"the connection ended after {size} bytes"
            size += len(piece)
            await asyncio.sleep(0.015)  # four seconds in all


@patient
async def test_nothing_is_kept_of_a_connection_whose_answer_was_read(server: Serving) -> None:
    async with await server.connect("/page") as client:
        await client.reader.readuntil(b"\r\n\r\n")
        [http] = [each for each in server.local.connections if hasattr(each, "unread")]
        guarding = next(value for value in vars(http).values() if isinstance(value, guard.Guard))
        assert http in guarding.answers
        await within(client.reader.readexactly(SIZE))
        assert http not in guarding.answers
