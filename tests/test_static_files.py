"""Static files: what their downloads take of the memory, and what becomes of those that end early."""

from __future__ import annotations

import asyncio
import io
import logging
import tracemalloc
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncsock import ASGIApp, AsyncServer, static_files
from tests.support.asgi_in_process import make_scope, request
from tests.support.log_records import recorded
from tests.support.raw_clients import RawSocket, within
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import running

PIECE = 64 * 1024
CONTENT = bytes(range(256)) * 4096 + b"the end"  # a little more than 16 pieces


class CountedFile(io.BytesIO):
    """A file that says how many bytes have been read of it."""

    name = "counted"

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.count = 0

    def read(self, size: int | None = -1) -> bytes:
        piece = super().read(size)
        self.count += len(piece)
        return piece


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "file.txt"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def app(file: Path) -> ASGIApp:
    return ASGIApp(AsyncServer(), static_files={"/file": str(file)})


def opened(monkeypatch: pytest.MonkeyPatch, content: bytes, size: int) -> CountedFile:
    """A file that is opened in place of any, and that says that it has a size."""
    counted = CountedFile(content)
    monkeypatch.setattr(static_files, "_open", lambda path: (counted, size))
    return counted


class Download:
    """A request for /file by a client that takes what it is told to, and may leave."""

    def __init__(self, app: ASGIApp) -> None:
        self.taken: list[Any] = []
        self.reads = asyncio.Event()
        self.left = asyncio.Event()
        scope = make_scope("http", "/file", "", None, method="GET")
        self.task = asyncio.ensure_future(app(scope, self._receive, self._send))

    async def _receive(self) -> Any:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.taken.append(message)
        if message["type"] == "http.response.body":
            await self.reads.wait()

    @property
    def bodies(self) -> list[Any]:
        return [message for message in self.taken if message["type"] == "http.response.body"]


async def test_a_file_is_sent_in_pieces(app: ASGIApp) -> None:
    download = Download(app)
    download.reads.set()
    await within(download.task)
    assert b"".join(message["body"] for message in download.bodies) == CONTENT
    assert max(len(message["body"]) for message in download.bodies) == PIECE
    assert [message["more_body"] for message in download.bodies] == [True] * 16 + [False]
    assert (b"content-length", str(len(CONTENT)).encode()) in download.taken[0]["headers"]


async def test_of_a_file_is_read_what_the_client_takes(app: ASGIApp, monkeypatch: pytest.MonkeyPatch) -> None:
    file = opened(monkeypatch, CONTENT, len(CONTENT))
    download = Download(app)
    await within(until(lambda: download.bodies))
    for _ in range(100):
        await asyncio.sleep(0)
    assert file.count == PIECE
    download.reads.set()
    await within(download.task)
    assert file.count == len(CONTENT)
    assert file.closed


async def test_the_rest_of_a_file_is_not_read_when_the_client_has_left(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(monkeypatch, CONTENT, len(CONTENT))
    download = Download(app)
    await within(until(lambda: download.bodies))
    download.left.set()
    await asyncio.sleep(0)
    download.reads.set()  # what a server sends to nobody is gone at once
    await within(download.task)
    assert file.count <= 2 * PIECE
    assert file.closed


async def test_a_server_that_cannot_send_any_more_ends_the_download(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = opened(monkeypatch, CONTENT, len(CONTENT))

    async def send(message: Any) -> None:
        raise ConnectionResetError

    await within(app(make_scope("http", "/file", "", None, method="GET"), asyncio.Event().wait, send))
    assert file.closed
    assert recorded(caplog, logging.WARNING) == []


async def test_a_head_request_reads_nothing_of_the_file(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = opened(monkeypatch, CONTENT, len(CONTENT))
    answer = await request(app, "HEAD", path="/file")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(CONTENT))
    assert file.count == 0


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1])
async def test_a_file_of_any_size_is_sent_whole(app: ASGIApp, file: Path, size: int) -> None:
    file.write_bytes(b"x" * size)
    answer = await request(app, path="/file")
    assert (answer.body, answer.headers["content-length"]) == (b"x" * size, str(size))


async def test_of_a_file_that_grows_meanwhile_the_announced_part_is_sent(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(monkeypatch, CONTENT, PIECE + 5)
    answer = await request(app, path="/file")
    assert answer.body == CONTENT[: PIECE + 5]


@pytest.mark.parametrize("ws", ["auto", "wsproto"])
async def test_a_file_that_becomes_shorter_ends_the_connection_with_one_line_of_ours(
    app: ASGIApp, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, ws: str
) -> None:
    file = opened(monkeypatch, CONTENT, len(CONTENT) + 1)
    async with running(app, ws) as local, await RawSocket.connect(local) as raw:
        await raw.send(b"GET /file HTTP/1.1\r\nHost: x\r\n\r\n")
        _, headers = await raw.response_head()
        assert headers["content-length"] == str(len(CONTENT) + 1)
        assert await within(raw.reader.read()) == CONTENT  # until the end of the connection
    assert file.closed
    lines = [record.getMessage() for record in caplog.records if record.name == "asyncsock.server"]
    assert lines == ["counted could not be sent to its end: it became shorter meanwhile"]
    assert not [record for record in caplog.records if record.exc_info]


async def test_many_slow_clients_of_a_large_file_take_little_memory(tmp_path: Path) -> None:
    with open(tmp_path / "large", "wb") as large:
        large.truncate(500_000_000)  # of which the disk has nothing
    app = ASGIApp(AsyncServer(), static_files={"/large": str(tmp_path / "large")})
    async with running(app) as local, AsyncExitStack() as stack:
        tracemalloc.start()
        try:
            clients = [await stack.enter_async_context(await RawSocket.connect(local)) for _ in range(20)]
            for raw in clients:
                await raw.send(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
            for raw in clients:
                assert (await raw.response_head())[1]["content-length"] == "500000000"
                await raw.reader.readexactly(10 * PIECE)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 20_000_000
