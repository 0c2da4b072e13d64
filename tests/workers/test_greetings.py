"""What arrives at the socket of a worker before it is known what is wanted."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncsock.engine import EngineServer
from asyncsock.workers import frames, greeting
from asyncsock.workers.frames import HEAD as FRAME
from asyncsock.workers.frames import MOST
from asyncsock.workers.greeting import CONNECTION, HEAD, PROTOCOL, RELAY, VERSION, WEBSOCKET
from asyncsock.workers.relay import ANSWER, POLL
from tests.support.log_records import recorded
from tests.support.other_users import as_nobody, as_root, hears_nothing, is_hung_up_on, is_kept_out
from tests.support.raw_clients import Polling
from tests.support.workers_in_process import (
    connect,
    group,
    open_files,
    opened,
    until,
    until_closed,
    workers_of,
)


@pytest.fixture
async def pair() -> AsyncIterator[tuple[EngineServer, Any, EngineServer, Any]]:
    """Two servers that are workers of one group, each with the place where it listens."""
    near, far = EngineServer(), EngineServer()
    async with group(near, far) as (here, there):
        yield near, here, far, there


@pytest.fixture
def descriptors() -> Iterator[list[int]]:
    """Ten connections, as clients have them."""
    pairs = [socket.socketpair() for _ in range(10)]
    yield [one.fileno() for one, _ in pairs]
    for one, other in pairs:
        one.close()
        other.close()


def hello(wants: int, text: bytes = b"", protocol: bytes = PROTOCOL, version: int = VERSION) -> bytes:
    return HEAD.pack(protocol, version, wants, len(text)) + text


async def is_refused(
    caplog: pytest.LogCaptureFixture, server: EngineServer, data: bytes, descriptors: list[int]
) -> str:
    """The log line with which a worker closes a connection; it leaks nothing and others are unharmed."""
    files = open_files()
    connection = connect(server)
    socket.send_fds(connection, [data], descriptors)
    await until(lambda: recorded(caplog, logging.WARNING))
    assert await until_closed(connection) == b""
    await until(lambda: open_files() <= files)
    (line,) = recorded(caplog, logging.WARNING)
    return line


async def relayed_get(client: Polling, owner: EngineServer) -> Any:
    task = asyncio.ensure_future(client.get())
    await until(lambda: any(each.serving for each in workers_of(owner).incoming))
    return task


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        hello(RELAY, protocol=b"sticky"),
        hello(RELAY, version=VERSION + 1),
        hello(3),
        HEAD.pack(PROTOCOL, VERSION, WEBSOCKET, greeting.MOST + 1),
        hello(WEBSOCKET, b"no msgpack"),
        hello(WEBSOCKET, b"\x94\x01\x02\x03\x04"),
        hello(WEBSOCKET),
        hello(WEBSOCKET, b"\x94\xa0\xc4\x00\xc2\xc4\x00"),  # of no session
    ],
)
async def test_a_malformed_greeting_ends_its_connection_with_one_log_line(
    pair: Any, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    _, here, far, there = pair
    sid = await opened(there)
    async with Polling(here) as client:
        client.sid = sid
        waiting = await relayed_get(client, far)
        assert "a connection of another worker was closed" in await is_refused(caplog, far, data, [])
        far.send(sid, "still here")
        assert (await waiting).text == "4still here"


@pytest.mark.parametrize(
    ("wants", "sent", "why"),
    [
        (RELAY, 1, "it has sent 1 descriptors"),
        (WEBSOCKET, 1, "it has sent 1 descriptors"),
        (CONNECTION, 0, "it has sent 0 descriptors"),
        (CONNECTION, 10, "more descriptors than one"),
        (RELAY, 10, "more descriptors than one"),
    ],
)
async def test_a_descriptor_comes_where_it_is_due_and_only_there(
    pair: Any,
    caplog: pytest.LogCaptureFixture,
    descriptors: list[int],
    wants: int,
    sent: int,
    why: str,
) -> None:
    assert why in await is_refused(caplog, pair[2], hello(wants), descriptors[:sent])


async def test_a_descriptor_that_is_no_connection_is_closed(
    pair: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with Path(__file__).open() as file, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for strange in (file, datagrams):
            caplog.clear()
            line = await is_refused(caplog, pair[2], hello(CONNECTION), [strange.fileno()])
            assert "a connection of another worker was closed" in line


async def test_a_descriptor_in_each_of_two_messages_is_refused(
    pair: Any, caplog: pytest.LogCaptureFixture, descriptors: list[int]
) -> None:
    files = open_files()
    connection = connect(pair[2])
    data = hello(CONNECTION, b"GET / HTTP/1.1\r\n\r\n")
    socket.send_fds(connection, [data[:4]], descriptors[:1])
    socket.send_fds(connection, [data[4:]], descriptors[1:2])
    assert await until_closed(connection) == b""
    await until(lambda: open_files() <= files)
    assert ["it has sent 2 descriptors" in line for line in recorded(caplog, logging.WARNING)] == [True]


PARTS = [hello(RELAY)[:5], hello(CONNECTION, b"rest")[:-1]]


@pytest.mark.parametrize("data", PARTS)
async def test_a_greeting_that_is_cut_short_leaves_nothing(
    pair: Any, caplog: pytest.LogCaptureFixture, descriptors: list[int], data: bytes
) -> None:
    files = open_files()
    connection = connect(pair[2])
    socket.send_fds(connection, [data], descriptors[:1])
    await until(lambda: workers_of(pair[2])._tasks)
    connection.close()  # as that of a worker that was killed
    await until(lambda: open_files() <= files)
    assert recorded(caplog, logging.WARNING) == []


@pytest.mark.parametrize("data", PARTS)
async def test_a_greeting_that_does_not_come_in_time_ends_its_connection(
    pair: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    descriptors: list[int],
    data: bytes,
) -> None:
    monkeypatch.setattr(greeting, "TIMEOUT", 0.05)
    assert "did not come in 0.05 s" in await is_refused(caplog, pair[2], data, descriptors[:1])


async def test_a_worker_that_stops_drops_those_who_have_not_greeted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    near, far = EngineServer(), EngineServer()
    async with group(near, far):
        connection = connect(far)
        await until(lambda: workers_of(far)._tasks)
    assert await until_closed(connection) == b""
    assert recorded(caplog, logging.WARNING) == []


@pytest.mark.parametrize(
    "data",
    [
        FRAME.pack(MOST + 1, POLL, 1),
        FRAME.pack(0, ANSWER, 1),
        FRAME.pack(0, 255, 1),
        FRAME.pack(0, POLL, 1),
        FRAME.pack(4, POLL, 1) + b"\x91\xc1\xc1\xc1",
        FRAME.pack(3, POLL, 1) + b"\x92\x01\x02",
    ],
)
async def test_a_malformed_frame_ends_its_connection_with_one_log_line(
    pair: Any, caplog: pytest.LogCaptureFixture, data: bytes
) -> None:
    _, here, far, there = pair
    async with Polling(here) as client:
        client.sid = await opened(there)
        waiting = await relayed_get(client, far)
        line = await is_refused(caplog, far, hello(RELAY) + data + b"more" * 100, [])
        assert "the connection of another worker was closed" in line
        far.send(client.sid, "still here")
        assert (await waiting).text == "4still here"


async def test_a_worker_that_answers_in_malformed_frames_is_dropped_and_its_polls_are_refused(
    pair: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _, here, far, there = pair
    sid = await opened(there)
    for data in (FRAME.pack(0, POLL, 1), FRAME.pack(1, 4, 1) + b"\xc1", FRAME.pack(MOST + 1, ANSWER, 1)):
        caplog.clear()
        async with Polling(here) as client:
            client.sid = sid
            waiting = await relayed_get(client, far)
            (incoming,) = workers_of(far).incoming
            assert incoming._transport is not None
            incoming._transport.write(data)
            response = await waiting
            assert response.status_code in (400, 500)
            lines = recorded(caplog, logging.ERROR)
            assert ["the connection of another worker was closed" in line for line in lines] == [True]
            sid = await opened(there)


async def test_a_worker_with_too_many_files_open_lets_others_wait(
    pair: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, here, far, there = pair
    listener = workers_of(far).members.listener

    class Full:
        fileno = listener.fileno

        def accept(self) -> Any:
            raise OSError(24, "Too many open files")

    sid = await opened(there)
    monkeypatch.setattr(workers_of(far).members, "listener", Full())
    async with Polling(here) as client:
        client.sid = sid
        await client.http.get("/")
        task = asyncio.ensure_future(client.post("4echo"))
        await until(lambda: recorded(caplog, logging.ERROR))
        monkeypatch.undo()
        assert (await task).text == "ok"
    assert len(recorded(caplog, logging.ERROR)) == 1


async def test_a_worker_that_does_not_read_is_dropped_at_a_bound(
    pair: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, here, far, there = pair
    monkeypatch.setattr(frames, "MOST_UNREAD", 1_000_000)
    sid = await opened(there)
    async with Polling(here) as client:
        client.sid = sid
        waiting = await relayed_get(client, far)
        (incoming,) = workers_of(far).incoming
        assert incoming._transport is not None
        incoming._transport.pause_reading()
        link = workers_of(near)._others[workers_of(far).name].link
        assert link is not None
        for _ in range(40):
            link.send(POLL, 77, b"x" * 100_000)
            await until(lambda: not link._unsent)
        assert (await waiting).status_code == 400
    assert ["it does not read" in line for line in recorded(caplog, logging.ERROR)] == [True]


# Other users


@as_root
async def test_another_user_can_neither_list_the_workers_nor_connect(pair: Any) -> None:
    members = workers_of(pair[0]).members
    path = members.directory / f"{members.name}.worker"

    assert await as_nobody(is_kept_out, path)


@as_root
async def test_another_user_who_gets_in_is_hung_up_on(pair: Any, caplog: pytest.LogCaptureFixture) -> None:
    members = workers_of(pair[0]).members
    path = members.directory / f"{members.name}.worker"
    for each in (path, members.directory, members.directory.parent):
        each.chmod(0o777)

    assert await as_nobody(is_hung_up_on, path)
    assert recorded(caplog, logging.WARNING) == ["another user's connection to this worker was closed"]


@as_root
async def test_nothing_is_said_to_the_socket_of_another_user(pair: Any) -> None:
    near, here = pair[:2]
    members = workers_of(near).members
    for each in (members.directory, members.directory.parent):
        each.chmod(0o777)
    path = members.directory / "evil.worker"

    heard = asyncio.ensure_future(as_nobody(hears_nothing, path))
    await until(path.exists)
    async with Polling(here) as client:
        client.sid = "evil0123456789"
        while not heard.done():  # until the socket listens
            assert (await client.get()).status_code == 400
    assert await heard
