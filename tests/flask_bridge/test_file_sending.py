"""Large files of views: sent by the system where that can be, and in pieces elsewhere."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, Response, request, send_file
from werkzeug.wsgi import wrap_file

from asyncsock import SocketIO
from asyncsock.flask_bridge.wsgi_file import FileWrapper
from asyncsock.uvicorn import file_sending
from asyncsock.uvicorn.plain_connection import PlainConnection
from tests.support.log_records import errors
from tests.support.raw_clients import RawSocket, within
from tests.support.server_process import ROOT, serve
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import Local, running
from tests.uvicorn.test_plain_connections import access_log

SIZE = 3_000_000
CONTENT = os.urandom(SIZE)
LARGE = 50_000_000  # more than the system holds for a client
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Files:
    """An application that sends a file at ``/``.

    Attributes:
        parts: Bytes of each part that the system was given.
    """

    def __init__(self, path: Path, opened: Callable[[], Any] | None = None) -> None:
        app = Flask("app")
        self.socketio = SocketIO(app)
        self.path = path
        self.opened = opened
        self.parts: list[int] = []
        app.add_url_rule("/", view_func=self.view)
        app.add_url_rule("/page", view_func=lambda: "page")
        app.add_url_rule("/memory", "memory", view_func=lambda: bytes(LARGE))

    def view(self) -> Response:
        if self.opened is None:
            return send_file(self.path, conditional=True)
        body = wrap_file(request.environ, self.opened())
        return Response(body, headers={"Content-Length": str(SIZE)}, direct_passthrough=True)

    @property
    def load(self) -> tuple[int, int]:
        running, waiting = self.socketio.asgi_app.other_asgi_app.pool.load()  # type: ignore[union-attr]
        return running, waiting

    @property
    def answered(self) -> dict[str, int]:
        return dict(self.socketio.asgi_app.other_asgi_app.answered)  # type: ignore[union-attr]

    @asynccontextmanager
    async def served(self, app: Any = None, **options: Any) -> AsyncIterator[tuple[Local, httpx.AsyncClient]]:
        async with running(app or self.socketio.asgi_app, **options) as local:
            async with httpx.AsyncClient(base_url=local.url, trust_env=False, timeout=20) as http:
                yield local, http

    async def free_thread(self) -> None:
        """Wait until no view runs."""

        async def wait() -> None:
            while self.load != (0, 0):
                await asyncio.sleep(0.001)

        await within(wait())


@pytest.fixture(params=["without ASGI", "through ASGI"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "through ASGI":
        monkeypatch.setattr(PlainConnection, "_have_answered", lambda *_: False)
    return str(request.param)


@pytest.fixture
def files(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    path = tmp_path / "file.bin"
    path.write_bytes(CONTENT)
    made = Files(path)
    send = os.sendfile

    def note(connection: int, file: int, offset: int, count: int) -> int:
        sent = send(connection, file, offset, count)
        made.parts.append(sent)
        return sent

    monkeypatch.setattr(os, "sendfile", note)
    return made


async def test_a_large_file_is_sent_by_the_system_on_a_connection_that_goes_on(files: Files) -> None:
    async with files.served() as (local, http):
        for _ in range(3):
            answer = await http.get("/")
            assert answer.content == CONTENT
            assert answer.headers["content-length"] == str(SIZE)
        assert (await http.get("/page")).text == "page"
        assert len(local.connections) == 1
    assert sum(files.parts) == 3 * SIZE


async def test_answers_to_pipelined_requests_keep_their_order(files: Files) -> None:
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await raw.send(GET + GET.replace(b"/ ", b"/page ") + GET)
        for expected in (CONTENT, b"page", CONTENT):
            assert (await raw.response_head())[0] == 200
            assert await within(raw.reader.readexactly(len(expected))) == expected


async def test_a_part_of_a_file_is_sent(files: Files) -> None:
    async with files.served() as (_, http):
        answer = await http.get("/", headers={"Range": "bytes=1000000-2500000"})
        assert (answer.status_code, answer.content) == (206, CONTENT[1_000_000:2_500_001])
        assert (await http.head("/")).headers["content-length"] == str(SIZE)
        assert (await http.get("/page")).text == "page"


async def test_a_file_is_sent_from_where_it_has_been_read(files: Files) -> None:
    def opened() -> Any:
        file = (files.path.parent / "longer.bin").open("wb+")
        file.write(b"read before" + CONTENT)
        file.seek(0)
        plain = open(file.name, "rb")  # noqa: SIM115
        file.close()
        plain.read(11)
        return plain

    files.opened = opened
    async with files.served() as (_, http):
        assert (await http.get("/")).content == CONTENT
    assert sum(files.parts) == SIZE


def zipped(path: Path) -> Any:
    packed = path.with_suffix(".gz")
    packed.write_bytes(gzip.compress(CONTENT, 1))
    return gzip.open(packed)


@pytest.mark.parametrize("opened", [lambda path: io.BytesIO(CONTENT), zipped], ids=["memory", "gzip"])
async def test_what_is_no_plain_file_is_sent_in_pieces(files: Files, opened: Callable[[Path], Any]) -> None:
    files.opened = lambda: opened(files.path)
    async with files.served() as (_, http):
        assert (await http.get("/")).content == CONTENT
    assert not files.parts


async def test_middleware_of_asgi_sees_the_whole_file(files: Files) -> None:
    seen = 0

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        async def count(message: Any) -> None:
            nonlocal seen
            seen += len(message.get("body", b""))
            await send(message)

        await files.socketio.asgi_app(scope, receive, count if scope["type"] == "http" else send)

    async with files.served(middleware) as (_, http):
        assert (await http.get("/")).content == CONTENT
    assert seen == SIZE
    assert not files.parts


async def test_a_file_system_that_cannot_do_it_is_read(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(errno.EINVAL, "not supported")

    monkeypatch.setattr(os, "sendfile", refuse)
    async with files.served() as (_, http):
        assert (await http.get("/")).content == CONTENT
        assert (await http.get("/page")).text == "page"


@pytest.mark.parametrize("way", ["through ASGI"], indirect=True)
async def test_under_another_uvicorn_files_are_sent_in_pieces(
    files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_sending, "NAMES", ("transport", "renamed"))
    file_sending._has_names.cache_clear()
    try:
        async with files.served() as (_, http):
            for _ in range(2):
                assert (await http.get("/")).content == CONTENT
    finally:
        file_sending._has_names.cache_clear()
    assert not files.parts
    assert caplog.text.count("files are sent in pieces: uvicorn has no RequestResponseCycle.renamed") == 1


async def test_a_client_that_leaves_frees_the_thread(files: Files) -> None:
    os.truncate(files.path, LARGE)
    async with files.served() as (local, http):
        raw = await RawSocket.connect(local)
        await raw.send(GET)
        assert (await raw.response_head())[0] == 200
        assert files.load == (1, 0)
        raw.writer.transport.abort()
        await files.free_thread()
        await within(until(lambda: files.answered == {"200": 1}))
        assert (await http.get("/page")).text == "page"


async def test_a_client_that_reads_slowly_gets_all(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_sending, "PATIENCE", 0.001)
    os.truncate(files.path, LARGE)
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await raw.send(GET)
        assert (await raw.response_head())[0] == 200
        left = LARGE
        while left:
            left -= len(await within(raw.reader.read(1_000_000)))
            await asyncio.sleep(0.002)


async def test_a_client_that_reads_nothing_is_cut_off(
    files: Files, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(file_sending, "PATIENCE", 0.01)
    monkeypatch.setattr(file_sending, "READ_TIMEOUT", 0.05)
    os.truncate(files.path, LARGE)
    async with files.served() as (local, http):
        async with await RawSocket.connect(local) as raw:
            await raw.send(GET)
            assert (await raw.response_head())[0] == 200
            await files.free_thread()
        assert (await http.get("/page")).text == "page"
    assert "The client of GET / was cut off" in caplog.text


async def test_a_file_that_becomes_shorter_breaks_the_connection_off(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    os.truncate(files.path, LARGE)
    async with files.served() as (local, http):
        async with await RawSocket.connect(local) as raw:
            await raw.send(GET)
            assert (await raw.response_head())[0] == 200
            os.truncate(files.path, 0)
            assert len(await within(raw.reader.read())) < LARGE
        assert (await http.get("/page")).text == "page"
    [error] = errors(caplog)
    assert "the file ended" in error


@pytest.mark.parametrize("way", ["without ASGI"], indirect=True)
async def test_a_large_file_needs_no_object_of_uvicorns(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainConnection, "give_up", None)
    async with files.served() as (_, http):
        for _ in range(2):
            assert (await http.get("/")).content == CONTENT
        assert (await http.get("/page")).text == "page"


async def test_what_arrives_while_a_file_is_sent_is_answered_behind_it(files: Files) -> None:
    os.truncate(files.path, LARGE)
    page = GET.replace(b"/ ", b"/page ")
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await raw.send(GET)
        assert (await raw.response_head())[0] == 200
        for piece in (page, page[:9]):
            await raw.send(piece)
            await asyncio.sleep(0.01)
        assert await within(raw.reader.readexactly(LARGE)) == CONTENT + bytes(LARGE - SIZE)
        await raw.send(page[9:])
        for _ in range(2):
            assert (await raw.response_head())[0] == 200
            assert await within(raw.reader.readexactly(4)) == b"page"


async def test_a_server_that_stops_sends_a_file_to_its_end(files: Files) -> None:
    os.truncate(files.path, LARGE)
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await raw.send(GET)
        assert (await raw.response_head())[0] == 200
        for connection in list(local.connections):
            connection.shutdown()
        assert len(await within(raw.reader.read())) == LARGE


async def test_a_connection_that_the_client_wants_to_end_ends_with_the_file(files: Files) -> None:
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await raw.send(GET.replace(b"Host", b"Connection: close\r\nHost"))
        status, headers = await raw.response_head()
        assert (status, headers["connection"]) == (200, "close")
        assert await within(raw.reader.read()) == CONTENT


async def test_a_file_is_counted_and_logged_once(files: Files) -> None:
    async with access_log() as logged, files.served(limit_max_requests=9) as (local, http):
        assert (await http.get("/")).content == CONTENT
        await within(until(lambda: files.answered == {"200": 1}))
        [connection] = local.connections
        state = connection.installation._arguments["server_state"]
        await within(until(lambda: state.total_requests == 1))
    [line] = logged
    assert '"GET / HTTP/1.1" 200' in line


async def test_a_client_has_its_file_while_the_view_works_on(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(FileWrapper, "close", lambda _: go_on.wait(20))
    async with files.served() as (_, http):
        assert (await http.get("/")).content == CONTENT
        assert files.load == (1, 0)
        assert (await http.get("/page")).text == "page"
        go_on.set()
        await files.free_thread()


async def test_a_server_that_stops_waits_for_what_a_view_does_behind_its_file(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    monkeypatch.setattr(FileWrapper, "close", lambda _: go_on.wait(20))
    async with files.served() as (local, http):
        assert (await http.get("/", headers={"Connection": "close"})).content == CONTENT
        await within(until(lambda: not local.connections))
        asyncio.get_running_loop().call_later(1, go_on.set)
    assert files.load == (0, 0)


async def test_a_server_that_stops_waits_for_a_view_whose_client_left_while_its_file_was_sent(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, left, go_on = threading.Event(), threading.Event(), threading.Event()

    def send_late(_connection: int, _file: int, _offset: int, count: int) -> int:
        begun.set()
        assert left.wait(20)
        return count

    monkeypatch.setattr(os, "sendfile", send_late)
    monkeypatch.setattr(FileWrapper, "close", lambda _: go_on.wait(20))
    async with files.served() as (local, _):
        raw = await RawSocket.connect(local)
        await raw.send(GET)
        await within(until(begun.is_set))
        [connection] = local.connections
        state = connection.installation._arguments["server_state"]
        raw.writer.transport.abort()
        await within(until(lambda: not local.connections))
        asyncio.get_running_loop().call_later(0.5, left.set)
        asyncio.get_running_loop().call_later(1, go_on.set)
    assert files.load == (0, 0)
    assert files.answered == {"200": 1}
    assert state.total_requests == 0


async def test_a_file_is_sent_behind_what_waits_to_be_written(files: Files) -> None:
    async with files.served() as (local, _), await RawSocket.connect(local) as raw:
        await within(until(lambda: bool(local.connections)))
        [connection] = local.connections
        transport = connection.transport
        transport.set_write_buffer_limits(high=2 * LARGE)
        await raw.send(GET.replace(b"/ ", b"/memory "))
        await within(until(lambda: transport.get_write_buffer_size() > 0))
        await raw.send(GET)
        for expected in (bytes(LARGE), CONTENT):
            assert (await raw.response_head())[0] == 200
            assert await within(raw.reader.readexactly(len(expected))) == expected


@pytest.mark.parametrize("tls", [False, True], ids=["", "TLS"])
def test_a_large_file_arrives_from_uvicorn_as_it_is_started(tls: bool, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from asyncsock import SocketIO\nfrom flask import Flask, send_file\n"
        "app = Flask(__name__)\napp.get('/')(lambda: send_file('content.bin'))\n"
        "asgi = SocketIO(app).asgi_app\n"
    )
    (tmp_path / "content.bin").write_bytes(CONTENT)
    with serve("program:asgi", env={"PYTHONPATH": f"{ROOT}:{tmp_path}"}, tls=tls) as server:
        verify = str(server.authority) if tls else True
        for _ in range(2):
            assert httpx.get(server.url, trust_env=False, verify=verify).content == CONTENT
