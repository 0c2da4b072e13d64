"""What one client sends without end, and what the others notice of it.

The client writes its flood and the other one its event before the event loop of both, and of the server, runs
again. So it is counted, and not timed, how much of the flood is handled before the other has its answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
import pytest
from flask import Flask

from asyncsock import AsyncServer, SocketIO
from asyncsock.engine import slow_clients
from asyncsock.engine.log_lines import LINES
from asyncsock.engine.turns import SLICE, TURN_SLICES
from tests.support.doors import DOORS, served
from tests.support.log_records import recorded
from tests.support.raw_clients import BINARY, PING, SEPARATOR, TEXT, RawSocket, frame, within
from tests.support.uvicorn_in_process import Local

COUNT = 6000  # packets of a flood
# What may be handled of it before the other's event: the slices of a few turns of the loop, in which that is
# read and its task begins.
BOUND = 4 * SLICE * (TURN_SLICES + 1)


@pytest.fixture(params=DOORS)
def door(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Counted:
    """The application of an engine; it counts the messages of each session.

    Attributes:
        counts: The messages so far, by session.
        when_asked: What they were when the handler of `ask` began.
    """

    def __init__(self, application: Any) -> None:
        self.application = application
        self.counts: dict[str, int] = {}
        self.when_asked: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.application, name)

    def message(self, session: Any, message: str | bytes) -> None:
        self.counts[session.sid] = self.counts.get(session.sid, 0) + 1
        self.application.message(session, message)


def make_server(**options: Any) -> AsyncServer:
    server = AsyncServer(namespaces=["/other"], **options)
    server.counted = Counted(server.eio.core.application)  # type: ignore[attr-defined]
    server.eio.serve(server.counted)  # type: ignore[attr-defined]
    server.released = asyncio.Event()  # type: ignore[attr-defined]

    @server.event
    async def echo(sid: str, *args: Any) -> Any:
        if args == ("here",):
            server.counted.when_asked = dict(server.counted.counts)  # type: ignore[attr-defined]
        return args[0] if args else None

    @server.event
    async def back(sid: str, *args: Any) -> None:
        await server.emit("back", args, to=sid)

    @server.event
    async def slow(sid: str, *args: Any) -> None:
        await server.released.wait()  # type: ignore[attr-defined]

    return server


def message(text: str) -> bytes:
    return frame(TEXT, text.encode())


@asynccontextmanager
async def connected(local: Local, hello: bytes = message("40")) -> AsyncIterator[RawSocket]:
    """A client in the main namespace."""
    async with await RawSocket.websocket(local) as raw:
        await raw.send(hello)
        await raw.read_frame()
        yield raw


async def until(condition: Callable[[], object]) -> None:
    """Wait until something is so."""

    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    await within(wait(), 30)


async def ask(raw: RawSocket) -> None:
    """Have an event acknowledged."""
    raw.writer.write(message('421["echo","here"]'))
    assert await raw.read_frame() == (TEXT, b'431["here"]')


async def poll_session(local: Local) -> tuple[RawSocket, str]:
    """A polling client in the main namespace, and the path of its session."""
    raw = await RawSocket.connect(local)
    path = "/engine.io/?EIO=4&transport=polling"
    await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    path += "&sid=" + json.loads((await raw.response())[1][1:])["sid"]
    await raw.send(post(path, "40"))
    assert (await raw.response())[1] == "ok"
    await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert (await raw.response())[1].startswith("40")
    return raw, path


def post(path: str, *packets: str) -> bytes:
    body = SEPARATOR.join(packets).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


FLOODS: dict[str, list[str | bytes]] = {
    "acknowledgements that nobody waits for": ["430[]"],
    "events that take long": ['42["slow"]'],
    "events": ['42["echo"]'],
    "events with acknowledgements": ['427["echo","x"]'],
    "connects to a namespace that there is not": ["40/x,"],
    "connects to a namespace that it is in": ["40"],
    "events in two namespaces": ['42["echo"]', '42/other,["echo"]'],
    "events for a namespace that it is not in": ['42/x,["echo"]'],
    "binary events that are sent back": ['451-["back",{"_placeholder":true,"num":0}]', b"x"],
    "engine packets": ["3", "6"],
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_a_flood_on_a_websocket_is_hardly_begun_when_another_client_has_its_answer(
    door: str, flood: str
) -> None:
    server = make_server(logger=logging.getLogger("silent"), engineio_logger=logging.getLogger("silent"))
    packets = FLOODS[flood]
    data = b"".join(
        [
            frame(TEXT, packet.encode()) if isinstance(packet, str) else frame(BINARY, packet)
            for packet in packets
        ]
    )
    async with served(server, door) as local, connected(local) as flooder, connected(local) as other:
        (attacker, _) = server.counted.counts  # type: ignore[attr-defined]
        before = server.counted.counts[attacker]  # type: ignore[attr-defined]
        flooder.writer.write(data * (COUNT // len(packets)))
        await ask(other)
        assert server.counted.when_asked[attacker] - before <= BOUND  # type: ignore[attr-defined]
        server.released.set()  # type: ignore[attr-defined]


@pytest.mark.parametrize("flood", [name for name in FLOODS if name != "binary events that are sent back"])
async def test_a_post_is_hardly_begun_when_another_client_has_its_answer(door: str, flood: str) -> None:
    server = make_server(logger=logging.getLogger("silent"), engineio_logger=logging.getLogger("silent"))
    packets = [str(packet) for packet in FLOODS[flood]] * (COUNT // len(FLOODS[flood]))
    async with served(server, door) as local, connected(local) as other:
        raw, path = await poll_session(local)
        async with raw:
            attacker = list(server.counted.counts)[-1]  # type: ignore[attr-defined]
            raw.writer.write(post(path, *packets))
            await ask(other)
            assert server.counted.when_asked.get(attacker, 0) <= BOUND  # type: ignore[attr-defined]
            server.released.set()  # type: ignore[attr-defined]


async def test_fifty_floods_leave_another_client_its_turn() -> None:
    server = make_server()
    async with served(server, "httptools") as local, connected(local) as other:
        flooders = [await RawSocket.websocket(local) for _ in range(50)]
        for flooder in flooders:
            flooder.writer.write(message("40") + message('42["echo"]') * 2000)
        await ask(other)
        assert sum(server.counted.when_asked.values()) <= 50 * 2 * SLICE + BOUND  # type: ignore[attr-defined]
        for flooder in flooders:
            flooder.writer.close()


async def test_a_flood_in_msgpack_is_hardly_begun_when_another_client_has_its_answer(door: str) -> None:
    server = make_server(serializer="msgpack")
    hello = frame(BINARY, msgpack.packb({"type": 0, "nsp": "/"}))
    event = frame(BINARY, msgpack.packb({"type": 2, "nsp": "/", "data": ["echo", b"x"]}))
    asked = frame(BINARY, msgpack.packb({"type": 2, "nsp": "/", "id": 1, "data": ["echo", "here"]}))
    async with (
        served(server, door) as local,
        connected(local, hello) as flooder,
        connected(local, hello) as other,
    ):
        flooder.writer.write(event * COUNT)
        other.writer.write(asked)
        assert b"here" in (await other.read_frame())[1]
        assert sum(server.counted.when_asked.values()) <= BOUND  # type: ignore[attr-defined]


async def test_acknowledgements_that_nobody_waits_for_start_no_tasks_and_write_few_lines(
    door: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = make_server()
    started = []
    spawn = server.eio.tasks.spawn
    server.eio.tasks.spawn = lambda *args: started.append(args) or spawn(*args)  # type: ignore[method-assign]
    async with served(server, door) as local, connected(local) as flooder:
        with caplog.at_level(logging.WARNING):
            flooder.writer.write(message("430[]") * 1000)
            await ask(flooder)
        assert len(recorded(caplog, logging.WARNING)) == LINES
    assert started == []


class TestUnfinishedHandlers:
    """A client with `max_pending_events` unfinished handlers is not read."""

    async def test_the_rest_waits_and_is_handled_in_order_when_some_have_ended(self, door: str) -> None:
        server = make_server(max_pending_events=20)
        seen: list[int] = []

        @server.event
        async def number(sid: str, value: int) -> None:
            seen.append(value)
            await server.released.wait()  # type: ignore[attr-defined]

        async with served(server, door) as local, connected(local) as flooder, connected(local) as other:
            flooder.writer.write(b"".join([message(f'42["number",{value}]') for value in range(300)]))
            await until(lambda: len(seen) >= 20)
            for _ in range(20):
                await ask(other)
            assert seen == list(range(20))
            assert len(server.eio.tasks) == 20
            server.released.set()  # type: ignore[attr-defined]
            await until(lambda: len(seen) == 300)
            assert seen == list(range(300))
            await ask(flooder)
            assert server.limits()["max_pending_events"]["hits"] >= 1

    async def test_a_post_waits_too(self, door: str) -> None:
        server = make_server(max_pending_events=20)
        async with served(server, door) as local, connected(local) as other:
            raw, path = await poll_session(local)
            async with raw:
                await raw.send(post(path, *['42["slow"]'] * 300))
                await until(lambda: len(server.eio.tasks) == 20)
                await ask(other)
                assert len(server.eio.tasks) == 20
                server.released.set()  # type: ignore[attr-defined]
                assert await raw.response() == (200, "ok")

    async def test_none_begins_when_the_client_has_gone(self, door: str) -> None:
        server = make_server(max_pending_events=20, ping_interval=0.5, ping_timeout=0.1)
        begun = []

        @server.event
        async def late(sid: str) -> None:
            begun.append(sid)

        async with served(server, door) as local, connected(local) as flooder:
            flooder.writer.write(message('42["slow"]') * 20 + message('42["late"]') * 300)
            await until(lambda: len(server.eio.tasks) == 20)
            flooder.writer.transport.abort()
            await until(lambda: not server.eio.sessions)  # a ping finds it
            server.released.set()  # type: ignore[attr-defined]
            await until(lambda: not server.eio.tasks.running)
            assert begun == []

    async def test_a_client_that_is_not_read_is_pinged_and_stays(self, door: str) -> None:
        server = make_server(max_pending_events=5, ping_interval=0.4, ping_timeout=0.2)
        async with served(server, door) as local, connected(local) as flooder:
            flooder.writer.write(message('42["slow"]') * 20)
            for _ in range(4):
                assert await flooder.read_frame() == (TEXT, b"2")  # and it is not answered
            assert len(server.eio.sessions) == 1
            server.released.set()  # type: ignore[attr-defined]
            flooder.writer.write(message("3") + message('421["echo","here"]'))
            while (await flooder.read_frame())[1] != b'431["here"]':
                pass

    async def test_a_polling_client_that_is_not_read_and_does_not_poll_is_gone(self, door: str) -> None:
        server = make_server(max_pending_events=5, ping_interval=0.4, ping_timeout=0.02)
        async with served(server, door) as local:
            raw, path = await poll_session(local)
            async with raw:
                await raw.send(post(path, *['42["slow"]'] * 20))
                await until(lambda: not server.eio.sessions)
            server.released.set()  # type: ignore[attr-defined]

    @pytest.mark.parametrize("kind", ["coroutine", "function"])
    @pytest.mark.parametrize("async_handlers", [True, False])
    async def test_handlers_of_flask_count_alike(self, kind: str, async_handlers: bool) -> None:
        app = Flask(__name__)
        socketio = SocketIO(app, max_pending_events=20, async_handlers=async_handlers)
        released = asyncio.Event()
        loop = asyncio.get_running_loop()
        seen: list[int] = []

        if kind == "coroutine":

            @socketio.on("number")
            async def number(value: int) -> None:
                seen.append(value)
                await released.wait()

        else:

            @socketio.on("number")
            def number_in_a_thread(value: int) -> None:
                seen.append(value)
                asyncio.run_coroutine_threadsafe(released.wait(), loop).result()

        async with served(socketio.server, "httptools") as local, connected(local) as flooder:
            flooder.writer.write(b"".join([message(f'42["number",{value}]') for value in range(100)]))
            await until(lambda: len(socketio.server.eio.tasks) == 20)
            assert len(seen) <= 20
            released.set()
            await until(lambda: len(seen) == 100)
            assert seen == list(range(100))


class TestHeavyClients:
    """Clients that send much and behave well lose nothing."""

    async def test_20000_events_sent_as_fast_as_the_socket_takes_them(self, door: str) -> None:
        server = make_server()
        seen: list[int] = []
        done = asyncio.Event()

        @server.event
        async def number(sid: str, value: int) -> None:
            seen.append(value)
            if value == 19_999:
                done.set()

        async with served(server, door) as local, connected(local) as raw:
            raw.writer.write(b"".join([message(f'42["number",{value}]') for value in range(20_000)]))
            await within(done.wait(), 30)
            assert seen == list(range(20_000))

    async def test_events_are_handled_although_their_client_closes_right_after_them(self, door: str) -> None:
        server = make_server()
        seen: list[int] = []
        gone = asyncio.Event()

        @server.event
        async def number(sid: str, value: int) -> None:
            seen.append(value)

        @server.event
        async def disconnect(sid: str, reason: str) -> None:
            gone.set()

        async with served(server, door) as local, connected(local) as raw:
            events = b"".join([message(f'42["number",{value}]') for value in range(2000)])
            raw.writer.write(events + frame(0x8, b"\x03\xe8"))
            raw.writer.close()
            await within(gone.wait(), 30)
            assert seen == list(range(2000))

    async def test_an_upload_in_large_messages(self, door: str) -> None:
        server = make_server()
        sizes: list[int] = []
        done = asyncio.Event()

        @server.event
        async def upload(sid: str, data: bytes) -> None:
            sizes.append(len(data))
            if len(sizes) == 20:
                done.set()

        part = frame(TEXT, b'451-["upload",{"_placeholder":true,"num":0}]') + frame(BINARY, bytes(900_000))
        async with served(server, door) as local, connected(local) as raw:
            for _ in range(20):
                raw.writer.write(part)
            await within(done.wait(), 30)
            assert sizes == [900_000] * 20

    async def test_a_post_of_5000_packets(self, door: str) -> None:
        server = make_server()
        seen: list[int] = []

        @server.event
        async def number(sid: str, value: int) -> None:
            seen.append(value)

        async with served(server, door) as local:
            raw, path = await poll_session(local)
            async with raw:
                await raw.send(post(path, *[f'42["number",{value}]' for value in range(5000)]))
                assert await within(raw.response(), 30) == (200, "ok")
            assert seen == list(range(5000))

    async def test_10000_acknowledgements_in_one_burst(self, door: str) -> None:
        server = make_server()
        answers: list[int] = []
        done = asyncio.Event()

        def answered(value: int) -> None:
            answers.append(value)
            if len(answers) == 10_000:
                done.set()

        async with served(server, door) as local, connected(local) as raw:
            for _ in range(10_000):
                server.emit("asked", callback=answered)
            for _ in range(10_000):
                await raw.read_frame()
            raw.writer.write(b"".join([message(f"43{number}[{number}]") for number in range(1, 10_001)]))
            await within(done.wait(), 30)
            assert answers == list(range(1, 10_001))


class TestUnread:
    """A client that reads nothing is not read either, once it has left `max_buffered_bytes`."""

    async def test_what_it_sends_meanwhile_is_not_handled(
        self, door: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(slow_clients, "CHECK_INTERVAL", 0.01)  # in which nothing handles all of it
        server = make_server(max_buffered_bytes=4_000_000)
        async with served(server, door) as local, connected(local) as deaf, connected(local) as other:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            (sid, _) = server.counted.counts  # type: ignore[attr-defined]
            session = server.eio.sessions[sid]
            event = message(json.dumps(["echo", "x" * 2000]).join(["427", ""]))
            deaf.writer.write(event * 20_000)
            await until(lambda: session.behind)
            count = server.counted.counts[sid]  # type: ignore[attr-defined]
            assert count < 20_000
            for _ in range(5):
                await ask(other)
            assert server.counted.counts[sid] == count  # type: ignore[attr-defined]
            deaf.writer.transport.resume_reading()  # type: ignore[attr-defined]
            answers = 0
            while answers < 20_000:
                answers += (await deaf.read_frame())[1].startswith(b"437[")
            assert session.is_open

    async def test_pings_leave_one_answer_for_a_client_that_reads_nothing(self) -> None:
        server = make_server()
        async with served(server, "httptools") as local, connected(local) as deaf, connected(local) as other:
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            (sid, _) = server.counted.counts  # type: ignore[attr-defined]
            transport = server.eio.sessions[sid].transport
            deaf.writer.write(frame(PING, bytes(125)) * 200_000 + message('42["echo"]'))
            count = server.counted.counts[sid]  # type: ignore[attr-defined]
            await until(lambda: server.counted.counts[sid] > count)  # type: ignore[attr-defined]
            assert transport.paused
            assert transport._pong == b"\x8a\x7d" + bytes(125)  # type: ignore[attr-defined]
            unsent = transport._transport.get_write_buffer_size()  # type: ignore[attr-defined]
            assert unsent <= 70_000  # asyncio's mark, at which a transport pauses
            await ask(other)
