"""Connections that change from one worker to another."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from asyncsock.engine import EngineServer
from asyncsock.uvicorn.handover import hand_over, written
from tests.support.log_records import errors
from tests.support.raw_clients import RawSocket, frame, upgrade_request
from tests.support.server_process import make_certificate
from tests.support.uvicorn_in_process import Local
from tests.support.workers_in_process import (
    files_at_rest,
    group,
    open_files,
    opened,
    until,
    workers_of,
)

HANDOVERS = int(os.environ.get("HANDOVERS", "200"))
OPEN = "/engine.io/?EIO=4&transport=polling"
TEXT = 0x1


@pytest.fixture(params=["httptools", "h11"])
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def two(
    door: str = "httptools", **options: Any
) -> AsyncIterator[tuple[EngineServer, EngineServer, Local, Local]]:
    near, far = EngineServer(), EngineServer()
    async with group(near, far, door=door, **options) as (here, there):
        yield near, far, here, there


@contextmanager
def new_sessions_at(server: EngineServer, other: EngineServer) -> Iterator[None]:
    """Have a worker give new sessions to another, as when it has many more than that."""
    worker = workers_of(server).worker(workers_of(other).name)
    with mock.patch.object(workers_of(server), "lighter", return_value=worker):
        yield


def get(path: str = OPEN, *headers: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]).encode("latin-1")


async def connection(local: Any) -> RawSocket:
    return await RawSocket.connect(local)


async def opened_on(raw: RawSocket, request: bytes) -> str:
    """The worker of the session that a request on a connection opens."""
    await raw.send(request)
    status, body = await raw.response()
    assert status == 200, body
    return str(json.loads(body[1:])["sid"][:4])


async def upgrades(raw: RawSocket, sid: str) -> None:
    """Begin to move a session to a WebSocket on a connection."""
    await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
    assert (await raw.response_head())[0] == 101
    await raw.send(frame(TEXT, b"2probe"))
    assert await raw.read_frame() == (TEXT, b"3probe")


# What is handed over


async def test_a_websocket_goes_to_the_owner_of_its_session(door: str) -> None:
    async with two(door) as (near, far, here, there):
        sid = await opened(there)
        async with await connection(here) as raw:
            await upgrades(raw, sid)
            assert workers_of(near).handed_over == workers_of(far).taken == 1
            assert len(here.connections) == 0


async def test_a_new_session_goes_to_who_has_few_and_later_requests_too() -> None:
    async with two() as (near, far, here, _), await connection(here) as raw:
        with new_sessions_at(near, far):
            for _ in range(3):
                assert await opened_on(raw, get()) == workers_of(far).name
        assert workers_of(near).handed_over == 1
        assert len(here.connections) == 0


async def test_a_request_that_is_handed_over_keeps_its_headers(door: str) -> None:
    headers = ["X-Twice: one", "x-twice: two", "X-Empty:", "X-Other: gr\xfc\xdfe", "Cookie: a=b; c=d"]
    seen: list[Any] = []
    async with two(door) as (near, far, here, there):

        @far.on("connect")
        def connect(sid: str, environ: Any) -> None:
            scope = environ["asgi.scope"]
            seen.append((scope["headers"], scope["path"], scope["query_string"], scope["client"][0]))

        with new_sessions_at(near, far):
            for local in (there, here):
                async with await connection(local) as raw:
                    key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="}
                    request = upgrade_request("/engine.io/", {"more": "\xe9"}, key)
                    await raw.send(request[:-2] + "\r\n".join([*headers, "", ""]).encode("latin-1"))
                    assert (await raw.response_head())[0] == 101
    assert len(seen) == 2
    assert seen[0] == seen[1]
    assert (b"x-other", b"gr\xfc\xdfe") in seen[0][0]


async def test_idle_connections_of_a_worker_that_stops_go_on_at_another(door: str) -> None:
    async with two(door) as (near, far, here, _), await connection(here) as raw:
        assert await opened_on(raw, get()) == workers_of(near).name
        with new_sessions_at(near, far):
            await workers_of(near).release()
            assert await opened_on(raw, get()) == workers_of(far).name
            assert await opened_on(raw, get()) == workers_of(far).name


async def test_a_connection_that_a_worker_accepts_while_it_stops_goes_on_at_another(door: str) -> None:
    async with two(door) as (near, far, here, _):
        workers_of(near).leave()
        async with await connection(here) as raw:
            await until(lambda: workers_of(far).taken)
            assert await opened_on(raw, get()) == workers_of(far).name


async def test_a_connection_that_no_worker_takes_ends_with_its_next_answer(door: str) -> None:
    async with two(door) as (_, far, here, _), await connection(here) as raw:
        workers_of(far).leave()
        await until(lambda: here.connections)
        for http in list(here.connections):
            http.shutdown()
        await raw.send(get())
        status, headers = await raw.response_head()
        assert (status, headers["connection"]) == (200, "close")
        await raw.reader.read()  # up to the end


async def test_an_idle_connection_that_no_worker_takes_is_closed_in_the_end(door: str) -> None:
    async with two(door) as (_, far, here, _), await connection(here) as raw:
        workers_of(far).leave()
        await until(lambda: here.connections)
        with mock.patch("asyncsock.uvicorn.installation.LINGER", 0.01):
            for http in list(here.connections):
                http.shutdown()
            assert await raw.reader.read() == b""


async def test_many_handovers_leave_no_descriptor(door: str) -> None:
    async with two(door) as (near, far, here, there):
        sid = workers_of(far).name + "0" * 20
        files = await files_at_rest(here, there)
        for _ in range(HANDOVERS):
            async with await connection(here) as raw:
                await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
                assert (await raw.response_head())[0] == 400
        assert workers_of(near).handed_over == workers_of(far).taken == HANDOVERS
        await until(lambda: not [*here.connections, *there.connections])
        await until(lambda: open_files() <= files)


# What is not


@pytest.mark.parametrize(
    "more",
    [
        get(OPEN, "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        get(OPEN, "Content-Length: 4") + b"body",
        get() + get(),
        get() + get()[:20],
    ],
)
async def test_a_request_with_a_body_or_another_one_behind_it_stays(more: bytes) -> None:
    async with two() as (near, far, here, _), await connection(here) as raw:
        with new_sessions_at(near, far):
            assert await opened_on(raw, more) == workers_of(near).name
        assert workers_of(near).handed_over == 0
        if more.endswith(get()[:20]):
            await raw.send(get()[20:])
        elif not more.endswith(get() + get()):
            await raw.send(get())
        assert (await raw.response())[0] == 200


async def test_data_behind_a_request_for_a_websocket_is_refused(door: str) -> None:
    async with two(door) as (near, far, here, there), await connection(here) as raw:
        sid = await opened(there)
        await raw.send(upgrade_request("/engine.io/", {"sid": sid}) + frame(TEXT, b"2probe"))
        assert (await raw.response_head())[0] == 400
        assert workers_of(near).handed_over == 0
        assert sid in far.sessions


async def test_a_connection_with_tls_stays_and_its_websocket_goes_through_a_tunnel(
    tmp_path: Path, door: str
) -> None:
    authority, certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=authority)
    async with two(door, ssl_certfile=certificate, ssl_keyfile=key) as (near, far, here, there):
        far_client = RawSocket(*await asyncio.open_connection("127.0.0.1", there.port, ssl=context))
        async with far_client:
            await far_client.send(get())
            sid = json.loads((await far_client.response())[1][1:])["sid"]
        raw = RawSocket(*await asyncio.open_connection("127.0.0.1", here.port, ssl=context))
        async with raw:
            await upgrades(raw, sid)
            assert (workers_of(near).handed_over, workers_of(near).relayed) == (0, 1)
        await until(lambda: not (here.connections or workers_of(far).websockets))


async def test_what_the_client_has_not_read_keeps_its_connection_here() -> None:
    http, worker = mock.Mock(scheme="http"), mock.Mock()
    http.transport.is_closing.return_value = False
    http.transport.get_write_buffer_size.return_value = 1
    assert not hand_over(http, worker, b"")
    http.transport.get_write_buffer_size.return_value = 0
    http.scheme = "https"
    assert not hand_over(http, worker, b"")
    worker.take_connection.assert_not_called()
    http.transport.abort.assert_not_called()


async def test_a_request_that_is_too_long_to_tell_stays() -> None:
    near, far = (EngineServer(max_header_size=200_000) for _ in range(2))
    async with group(near, far) as (here, _), await connection(here) as raw:
        with new_sessions_at(near, far):
            assert await opened_on(raw, get(OPEN, f"X-Long: {'x' * 100_000}")) == workers_of(near).name


def test_a_request_is_written_as_it_was_read() -> None:
    head = written("GET", b"/path?a=%20", [(b"host", b"h"), (b"x", b"1"), (b"x", b"\xff")])
    assert head == b"GET /path?a=%20 HTTP/1.1\r\nhost: h\r\nx: 1\r\nx: \xff\r\n\r\n"


# When the other worker cannot


async def test_a_worker_that_stops_takes_no_connection_but_keeps_its_sessions(door: str) -> None:
    async with two(door) as (near, far, here, there), await connection(here) as raw:
        sid = await opened(there)
        workers_of(far).leave()
        await upgrades(raw, sid)
        assert (workers_of(near).handed_over, workers_of(near).relayed) == (0, 1)


@contextmanager
def deaf(server: EngineServer) -> Iterator[None]:
    """Have a worker accept nothing from others, as one that is at work."""
    loop, workers = asyncio.get_running_loop(), workers_of(server)
    with mock.patch.object(workers, "_listen"):
        loop.remove_reader(workers.members.listener.fileno())
        yield
    workers._listen()


async def test_a_new_session_stays_when_the_other_worker_accepts_nobody() -> None:
    async with two() as (near, far, here, _), await connection(here) as raw:
        with deaf(far), new_sessions_at(near, far):
            workers_of(far).members.listener.listen(0)
            first = workers_of(near).members.connect(workers_of(far).name)
            assert first is not None
            assert await opened_on(raw, get()) == workers_of(near).name
            first.close()


async def test_a_websocket_is_refused_when_its_owner_accepts_nobody(door: str) -> None:
    async with two(door) as (near, far, here, there), await connection(here) as raw:
        sid = await opened(there)
        with deaf(far):
            workers_of(far).members.listener.listen(0)
            first = workers_of(near).members.connect(workers_of(far).name)
            assert first is not None
            await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
            assert (await raw.response_head())[0] == 400
            first.close()
        async with await connection(here) as again:
            await upgrades(again, sid)


@pytest.mark.parametrize("tunnel", [False, True])
async def test_a_client_that_leaves_while_it_is_handed_over_leaves_nothing(
    door: str, tunnel: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async with two(door) as (near, far, here, there):
        sid = await opened(there)
        files = await files_at_rest(here, there)
        with deaf(far):
            if tunnel:
                workers_of(far).leave()
            raw = await connection(here)
            await raw.send(upgrade_request("/engine.io/", {"sid": sid}))
            counted = "relayed" if tunnel else "handed_over"
            await until(lambda: getattr(workers_of(near), counted))
            raw.writer.transport.abort()
        await until(lambda: not [*here.connections, *there.connections, *workers_of(far).websockets])
        await until(lambda: open_files() <= files)
        assert errors(caplog) == []
        async with await connection(there) as other:
            await upgrades(other, sid)  # it is not in an upgrade for ever
