"""Clients that do not read, or read slowly, and everybody else."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack
from sys import getsizeof
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncsock.engine import EngineServer
from asyncsock.engine.limits import Limits
from asyncsock.engine.log_lines import LogLines
from asyncsock.engine.packet import CLOSE, Packet, size_of, text_packet
from asyncsock.engine.reasons import SERVER_DISCONNECT
from asyncsock.engine.slow_clients import GRACE, Backlog, SlowClients
from asyncsock.engine.transports.polling import MOST_PACKETS, Polling
from tests.support import doors, raw_clients
from tests.support.log_records import recorded
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
            start = len(server.log())
            for packet in (b"40", b'42["slow",0]'):
                deaf.sendall(raw_clients.frame(raw_clients.TEXT, packet))
            await asyncio.to_thread(server.wait_for_log, "slow began", start=start)  # it is in the namespace
            for _ in range(20):
                await broadcast(reader, MEGABYTE)
            await asyncio.to_thread(server.wait_for_log, f"session {sid} cut off", GRACE + 10)
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


def stand_in(unread: int = 0) -> Mock:
    """A session whose transport has so many bytes that the client does not read."""
    session = Mock(sid="deaf", is_open=True, behind=False, outbox=[])
    session.transport.unsent.return_value = unread
    return session


def slow_clients(limit: int, **limits: Any) -> SlowClients:
    return SlowClients(limit, Limits(**limits), LogLines(logging.getLogger("asyncsock.engine")))


@pytest.mark.parametrize(("unread", "grace"), [(16_000, 1.0), (15_999, 10.0)])
async def test_who_has_left_many_times_the_limit_is_cut_off_sooner(unread: int, grace: float) -> None:
    session = stand_in(unread)
    stalls = slow_clients(1000)
    stalls.watch(session)
    for now in (0.0, grace - 0.01):
        stalls._check(lambda now=now: now, stalls._watched)
        session.cut.assert_not_called()
    stalls._check(lambda: grace, stalls._watched)
    session.cut.assert_called_once()
    stalls.stop()


def test_packets_count_as_what_they_take() -> None:
    for data in (b"4", b"4hello!", b"4" + b"x" * 1000):
        packets = [text_packet(data) for _ in range(100)]
        taken = getsizeof(packets)
        taken += sum([getsizeof(packet) + getsizeof(packet.frame) for packet in packets])
        assert taken <= size_of(packets) <= 1.5 * taken


class Watched:
    """A session of a client that polls when a test says so, watched by the test's clock.

    It polls as python-socketio's client, which takes a few packets at once.
    """

    request: Any = Mock(query={"t": "1700000000.5"})

    def __init__(self, limit: int) -> None:
        self.core = EngineServer(max_buffered_bytes=limit).core
        self.session = self.core.add()
        self.polling = Polling(self.core, self.session.sid)
        self.core.opened(self.session, self.polling)

    async def send(self, count: int) -> None:
        for number in range(count):
            self.session.put(text_packet(b"4%06d" % number))
        await asyncio.sleep(0)  # the flush

    def poll(self) -> None:
        self.polling.get(self.session, Mock(request=self.request))

    def left(self) -> Any:
        """What the session, which has ended, has left for the client."""
        [left] = self.core.closing_clients._lingering.values()
        return left

    def poll_left(self) -> list[Packet]:
        left = self.core.closing_clients.fetch(self.session.sid)
        assert left is not None
        return left.fetch_left(self.request)

    def look(self, now: float) -> None:
        self.core.slow_clients._check(lambda: now, self.core.slow_clients._watched)

    def end(self) -> None:
        self.core.stop_watching()
        self.core.closing_clients.clear()


async def test_a_client_that_does_not_poll_is_cut_off_with_packets_of_a_few_bytes() -> None:
    watched = Watched(1_000_000)
    await watched.send(20_000)
    for now in (0.0, 9.9):
        watched.look(now)
        assert watched.session.is_open
    watched.look(10.0)
    assert not watched.session.is_open
    assert watched.core.limits.hits["max_buffered_bytes"] == 1
    watched.end()


async def test_a_client_that_polls_for_a_few_packets_now_and_then_is_cut_off() -> None:
    watched = Watched(1_000_000)
    await watched.send(20_000)
    watched.look(0.0)
    watched.poll()
    watched.look(9.0)
    assert watched.session.is_open
    watched.poll()
    watched.look(18.0)
    assert not watched.session.is_open
    watched.end()


async def test_a_client_that_polls_for_a_few_packets_all_the_time_gets_all() -> None:
    watched = Watched(1_000_000)
    await watched.send(20_000)
    now = 0.0
    while watched.session.outbox:
        watched.look(now)
        for _ in range(50):
            watched.poll()
        now += 9.0
    assert watched.session.is_open
    watched.end()


async def test_what_an_ended_session_has_left_is_dropped_unless_the_client_takes_it() -> None:
    watched = Watched(1_000_000)
    await watched.send(20_000)
    watched.session.close(SERVER_DISCONNECT)
    watched.look(0.0)
    assert watched.core.slow_clients.total == size_of(watched.left().outbox) > 2_000_000
    watched.poll_left()
    watched.look(9.0)
    watched.poll_left()
    watched.look(18.0)
    assert watched.core.closing_clients.fetch(watched.session.sid) is None
    assert watched.core.slow_clients.total == 0
    watched.end()


async def test_a_client_that_takes_what_its_ended_session_has_left_gets_all_of_it() -> None:
    watched = Watched(1_000_000)
    await watched.send(20_000)
    sent = list(watched.session.outbox)
    watched.session.close(SERVER_DISCONNECT)
    got: list[Packet] = []
    while not got or got[-1] is not CLOSE:
        watched.look(float(len(got) // 100))
        got += watched.poll_left()
    assert got == [*sent, CLOSE]
    watched.look(300.0)
    assert watched.core.slow_clients.total == 0
    watched.end()


async def test_a_look_counts_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 0

    def count(packets: list[Packet]) -> int:
        nonlocal counted
        counted += len(packets)
        return size_of(packets)

    monkeypatch.setattr("asyncsock.engine.slow_clients.size_of", count)
    watched = Watched(100_000_000)
    for now in range(20):
        await watched.send(1000)
        watched.look(float(now))
        watched.look(now + 0.5)
        assert counted == (now + 1) * 1000
    for now in range(20):
        watched.poll()
        watched.look(20.0 + now)
        assert counted == 20_000 + (now + 1) * MOST_PACKETS
    watched.end()


steps = st.sampled_from(["add one", "add some", "add the same", "take some", "take all", "replace", "look"])


@given(st.lists(steps, max_size=40))
@settings(deadline=None)
def test_the_running_total_is_what_is_in_the_outbox(script: list[str]) -> None:
    session = stand_in()
    backlog = Backlog(0.0)
    same = text_packet(b"2")
    for number, step in enumerate(script):
        outbox = session.outbox
        if step == "add one":
            outbox.append(text_packet(b"x" * number))
        elif step == "add some":
            outbox += [text_packet(b"x" * size) for size in range(number)]
        elif step == "add the same":
            outbox.append(same)
        elif step == "take some" and len(outbox) > 3:
            taken = outbox[:3]
            del outbox[:3]
            backlog.took(taken)
        elif step == "take all":
            backlog.took(outbox[:])
            outbox.clear()
        elif step == "replace":
            session.outbox = [text_packet(packet.data + b"longer") for packet in outbox]
        elif step == "look":
            assert backlog.count(session) == size_of(outbox)


async def test_what_all_leave_unread_is_added_up() -> None:
    slow = slow_clients(1000)
    sessions = [stand_in(unread) for unread in (100, 300, 5000)]
    for session in sessions:
        slow.watch(session)
    slow._check(lambda: 0.0, slow._watched)
    assert slow.total == 5400
    sessions[0].transport.unsent.return_value = 150
    slow._check(lambda: 1.0, slow._watched)
    assert slow.total == 5450
    slow.settled(sessions[0])
    sessions[1].is_open = False
    slow._check(lambda: 2.0, slow._watched)
    assert slow.total == 5000
    slow._check(lambda: 10.0, slow._watched)  # cut off
    assert slow.total == 0
    slow.stop()


async def test_a_session_knows_whether_its_client_has_left_too_much_unread() -> None:
    slow = slow_clients(1000)
    session = stand_in(1000)
    slow.watch(session)
    for unread, behind, stopped, ready in (
        (1000, False, 0, 0),
        (1001, True, 1, 0),
        (1000, False, 1, 1),
        (2000, True, 2, 1),
        (2000, True, 2, 1),
        (1900, False, 2, 2),  # the client reads
        (2000, True, 3, 2),
    ):
        session.transport.unsent.return_value = unread
        slow._check(lambda: 0.0, slow._watched)
        assert session.behind is behind
        assert session.stop.call_count == stopped
        assert session.ready.call_count == ready
    slow.settled(session)
    assert session.behind is False
    assert session.ready.call_count == 3
    slow.stop()


async def test_who_has_left_the_most_is_cut_off_while_all_have_left_too_much(
    caplog: pytest.LogCaptureFixture,
) -> None:
    slow = slow_clients(1000, max_unread_bytes=1000)
    sessions = [stand_in(unread) for unread in (100, 300, 600, 400)]
    for session in sessions:
        slow.watch(session)
    slow._check(lambda: 0.0, slow._watched)
    assert [session.cut.call_count for session in sessions] == [0, 0, 1, 0]
    assert slow.total == 800
    assert slow._limits.hits == {"max_unread_bytes": 1}
    (line,) = recorded(caplog, logging.WARNING)
    assert line == (
        "session deaf cut off: it left 600 bytes unread, of 1400 by all clients; max_unread_bytes is 1000"
    )
    sessions[0].transport.unsent.return_value = 10_000
    sessions[1].transport.unsent.return_value = 900
    slow._check(lambda: 0.25, slow._watched)
    assert [session.cut.call_count for session in sessions] == [1, 1, 1, 0]
    slow._limits.max_unread_bytes = None
    sessions[3].transport.unsent.return_value = 10_000
    slow._check(lambda: 0.5, slow._watched)
    assert not sessions[3].cut.called
    slow.stop()


async def test_a_client_that_ends_along_with_another_is_not_cut_off_as_well() -> None:
    slow = slow_clients(1000, max_unread_bytes=100)
    first, second = stand_in(500), stand_in(400)
    first.cut.side_effect = lambda reason: slow.settled(second)
    for session in (first, second):
        slow.watch(session)
    slow._check(lambda: 0.0, slow._watched)
    assert not second.cut.called
    slow.stop()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_deaf_client_is_cut_off_for_what_all_have_left_unread(door: str, transport: str) -> None:
    server = EngineServer(max_unread_bytes=20 * MEGABYTE, max_buffered_bytes=1000 * MEGABYTE)
    async with doors.served(server, door) as local, AsyncExitStack() as clients:
        if transport == "polling":
            deaf = await clients.enter_async_context(raw_clients.Polling(local))
            await deaf.open()
        else:
            await clients.enter_async_context(await raw_clients.RawSocket.websocket(local))
        (deaf_sid,) = server.sessions
        reader = await clients.enter_async_context(await raw_clients.RawSocket.websocket(local))
        (sid,) = server.sessions.keys() - {deaf_sid}
        while deaf_sid in server.sessions:
            for each in (deaf_sid, sid):
                server.send(each, bytes(MEGABYTE))
            await reader.read_frame()
        assert list(server.sessions) == [sid]
        report = server.limits()
        assert report["max_unread_bytes"]["hits"] == 1
        assert report["max_unread_bytes"]["now"] < 20 * MEGABYTE
        assert report["max_buffered_bytes"]["hits"] == 0
