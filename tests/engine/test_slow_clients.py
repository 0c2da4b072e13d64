"""Clients that do not read, or read slowly, and everybody else."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from unittest.mock import Mock

import pytest

from asyncsock.engine.slow_clients import SlowClients
from tests.support import raw_clients
from tests.support.many_clients import memory
from tests.support.server_process import Server, serve

PATH = "/socket.io/"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module", params=["uvicorn", "uvicorn-wsproto"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server that lets a client leave one megabyte unread."""
    with serve("tests.apps.stopping:asgi", server=request.param) as running:
        yield running


class Unread:
    """A client that joins and then reads nothing unless asked."""

    def __init__(self, server: Server) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.socket.settimeout(10)
        self.socket.sendall(raw_clients.upgrade_request(PATH))
        self._read_past(b'0{"sid"')
        self.socket.sendall(raw_clients.frame(raw_clients.TEXT, b"40"))
        self._read_past(b'40{"sid"')

    def _read_past(self, beginning: bytes) -> None:
        data = b""
        while beginning not in data:
            data += self.socket.recv(65536)

    def read_some(self, size: int) -> int:
        return len(self.socket.recv(size))

    def read(self, size: int) -> None:
        while size:
            read = self.read_some(size)
            assert read, "the server has closed the connection"
            size -= read

    def close(self) -> None:
        self.socket.close()


async def broadcast(ws: raw_clients.RawSocket, size: int) -> None:
    """Have the server send everybody a message, and read it."""
    await ws.send(raw_clients.frame(raw_clients.TEXT, f'42["broadcast",{size}]'.encode()))
    while (await raw_clients.within(ws.read_frame(), 30))[0] != raw_clients.BINARY:
        pass


async def joined(server: Server) -> raw_clients.RawSocket:
    ws = await raw_clients.RawSocket.websocket(server, PATH)
    await ws.send(raw_clients.frame(raw_clients.TEXT, b"40"))
    while not (await ws.read_frame())[1].startswith(b"40"):
        pass
    return ws


async def test_a_client_that_stops_reading_is_cut_off_while_others_keep_receiving(server: Server) -> None:
    deaf = await asyncio.to_thread(Unread, server)
    start = len(server.log())
    before = memory(server.process.pid)
    async with await joined(server) as reader:
        while "cut off" not in server.log()[start:]:
            await broadcast(reader, MEGABYTE)
        for _ in range(300):
            await broadcast(reader, MEGABYTE)
    log = server.log()[start:]
    assert "Traceback" not in log
    [unread] = re.findall(r"cut off: it left (\d+) bytes unread", log)
    # The server held what the client left, once, and nothing of what came after the cut.
    assert (memory(server.process.pid) - before) * 1024 < int(unread) + 100 * MEGABYTE
    with pytest.raises(OSError):
        while await asyncio.to_thread(deaf.read_some, MEGABYTE):
            pass
        raise OSError
    deaf.close()


async def test_who_opens_a_websocket_without_reading_the_answer_before_is_cut_off_too() -> None:
    with serve("tests.apps.stopping:asgi") as server:
        async with raw_clients.Polling(server, PATH) as polling, await joined(server) as reader:
            sid = (await polling.open())["sid"]
            await polling.send("40")
            await polling.receive()
            for _ in range(8):
                await broadcast(reader, MEGABYTE)
            host = b"Host: 127.0.0.1\r\n\r\n"
            poll = b"GET %b?EIO=4&transport=polling&sid=%b HTTP/1.1\r\n" % (PATH.encode(), sid.encode())
            deaf = socket.create_connection(("127.0.0.1", server.port))
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            deaf.sendall(poll + host)
            deaf.recv(1000)  # the answer has been written
            start = len(server.log())
            deaf.sendall(raw_clients.upgrade_request(PATH))
            log = await asyncio.to_thread(server.wait_for_log, "opened on websocket", start=start)
            [sid] = re.findall(r"session (\S+) opened on websocket", log[start:])
            deaf.sendall(raw_clients.frame(raw_clients.TEXT, b"40"))
            for _ in range(20):
                await broadcast(reader, MEGABYTE)
            await asyncio.to_thread(server.wait_for_log, f"session {sid} cut off")
            deaf.close()
        assert "Traceback" not in server.log()


async def test_a_client_that_reads_a_large_message_slowly_is_left_alone(server: Server) -> None:
    slow = await asyncio.to_thread(Unread, server)
    start = len(server.log())
    async with await joined(server) as reader:
        await broadcast(reader, 24 * MEGABYTE)
        for _ in range(96):
            await asyncio.to_thread(slow.read, MEGABYTE // 4)
            await asyncio.sleep(0.06)  # the pace of a slow line, some six seconds in all
    assert "cut off" not in server.log()[start:]
    slow.close()


@pytest.mark.parametrize(("unread", "grace"), [(16_000, 1.0), (15_999, 10.0)])
async def test_who_has_left_many_times_the_limit_is_cut_off_sooner(unread: int, grace: float) -> None:
    session = Mock(sid="deaf", is_open=True)
    session.transport.backlog.return_value = unread
    stalls = SlowClients(1000, logging.getLogger("asyncsock.engine"))
    stalls.watch(session)
    for now in (0.0, grace - 0.01):
        stalls._check(lambda now=now: now, stalls._watched)
        session.cut.assert_not_called()
    stalls._check(lambda: grace, stalls._watched)
    session.cut.assert_called_once()
    stalls.stop()
