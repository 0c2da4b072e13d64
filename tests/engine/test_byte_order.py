"""What a WebSocket client gets, byte for byte, whatever happens while it is behind.

Hypothesis makes up what happens to a connection: messages of any size, pings, either side's closing, broken
frames, and a client that takes any number of bytes at a time. The connection is served by each way over
transports that behave as those of asyncio and of uvloop, and the parser of the `websockets` library judges
the stream.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.uri import parse_uri

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.engine.http import Request
from asyncsock.engine.session import Session
from asyncsock.uvicorn import frame_writer
from asyncsock.uvicorn.websocket import Base64WebSocket, UvicornWebSocket, accept_key
from tests.support import raw_clients
from tests.support.simulated_transports import AsyncioTransport, SimulatedTransport, UvloopTransport

LIMIT = 1000  # bytes of the largest message that the server accepts
ALL = 1 << 40
PIECE = 1000  # bytes that the direct way hands over at once, in most of the tests here


@dataclass
class Emit:
    """The server sends messages in one tick."""

    sizes: list[int]


@dataclass
class Take:
    """The client reads."""

    size: int


@dataclass
class Ping:
    payload: bytes


@dataclass
class Send:
    """The client sends what ends the connection.

    Args:
        name: What it is.
        code: The code of the close frame that answers it.
        data: Its bytes.
    """

    name: str
    code: int
    data: bytes = field(repr=False)


@dataclass
class Close:
    """The server ends the session."""

    code = 1000


@dataclass
class HalfClose:
    """The client sends no more, without having closed."""

    code = 1006


@dataclass
class Tick:
    """What is due happens."""


def masked(opcode: Opcode, data: bytes, **changes: Any) -> bytes:
    return raw_clients.frame(opcode, data, **changes)


CLOSINGS = [
    Send("close", 1005, masked(Opcode.CLOSE, b"")),
    Send("close 1000", 1000, masked(Opcode.CLOSE, b"\x03\xe8")),
    Send("close 4000", 4000, masked(Opcode.CLOSE, b"\x0f\xa0own")),
]
ERRORS = [
    Send("no mask", 1002, b"\x81\x02hi"),
    Send("reserved bit", 1002, masked(Opcode.TEXT, b"hi", rsv=4)),
    Send("continuation of nothing", 1002, masked(Opcode.CONT, b"hi")),
    Send("not UTF-8", 1007, masked(Opcode.TEXT, b"\xff")),
    Send("over the limit", 1009, masked(Opcode.TEXT, b"x" * (LIMIT + 1))),
]
ENGINE = [
    Send("Engine.IO close", 1000, masked(Opcode.TEXT, b"1")),
    Send("unknown packet", 1002, masked(Opcode.TEXT, b"?")),
]

sizes = st.sampled_from(
    [0, 1, 100, 124, 125, PIECE - 6, PIECE - 4, PIECE - 3, PIECE, 2 * PIECE, 5300, 70_000]
)
step = st.one_of(
    st.builds(Emit, st.lists(sizes, min_size=1, max_size=5)),
    st.builds(Take, st.integers(1, 12) | st.integers(1, 3000) | st.integers(1, 100_000)),
    st.builds(Ping, st.binary(max_size=8)),
    st.just(Tick()),
)
endings = st.lists(
    st.sampled_from([*CLOSINGS, *ERRORS, *ENGINE]) | st.just(Close()) | st.just(HalfClose()), max_size=2
)


@st.composite
def scripts(draw: st.DrawFn) -> list[Any]:
    """What happens to a connection: much that leaves it open, and up to two things that end it."""
    script = draw(st.lists(step, max_size=12))
    for ending in draw(endings):
        script.append(ending)
        script += draw(st.lists(step, max_size=5))
    return script


def opened(server: EngineServer, transport: SimulatedTransport, way: str) -> None:
    """Connect a client that has not read the answer to its handshake."""
    request = raw_clients.upgrade_request()
    if way != "plain ASGI":
        lines = request.rstrip().split(b"\r\n")
        headers = {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines[1:])}
        kind = Base64WebSocket if way == "direct, base64" else UvicornWebSocket
        websocket = kind(server.core, transport, set())
        transport.protocol = websocket
        key = accept_key("GET", headers)
        assert key is not None
        query = b"EIO=4&transport=websocket"
        scope = {
            "type": "websocket",
            "http_version": "1.1",
            "scheme": "ws",
            "path": "/engine.io/",
            "root_path": "",
            "query_string": query,
            "headers": list(headers.items()),
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 2),
        }
        websocket.handshake(server.endpoint, Request("GET", headers, query, lambda: scope), key)
    else:
        config = Config(
            ASGIApp(server, socketio_path="engine.io"), ws_ping_interval=None, lifespan="off", log_config=None
        )
        protocol = WebSocketsSansIOProtocol(config, ServerState(), {})
        transport.connect(protocol)
        transport.receive(request)


async def ticks(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@dataclass
class Outcome:
    """What a client sent, what was sent to it, and what it got."""

    transport: SimulatedTransport
    emitted: list[bytes] = field(default_factory=list)
    pings: list[bytes] = field(default_factory=list)
    certain: int = 0  # how many of the messages must arrive, whatever came after
    undisturbed: bool = False  # whether the client had read everything before anybody ended the connection
    causes: list[Any] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)


async def play(script: list[Any], way: str, transport: SimulatedTransport) -> Outcome:
    """Do what a script says, and let the client read to the end."""
    server = EngineServer(max_http_buffer_size=LIMIT, cors_allowed_origins="*")
    trouble: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: trouble.append(context))
    opened(server, transport, way)
    await ticks()
    [session] = server.sessions.values()
    outcome = Outcome(transport)
    for action in script:
        await act(action, server, session, outcome)
    await ticks()
    transport.take(ALL)
    await ticks(200)
    if not outcome.causes:
        outcome.undisturbed = True
        outcome.causes.append(Close())
        await server.disconnect(session.sid)
        await ticks()
    assert not server.sessions
    assert not trouble
    outcome.frames = parsed(bytes(transport.delivered), pongs_at_the_end=way == "plain ASGI")
    transport.receive(masked(Opcode.CLOSE, b"\x03\xe8"))  # the answer to a close frame of ours
    transport.receive_eof()
    await ticks()
    assert transport.ended
    session.terms.heartbeat.stop()
    server.core.slow_clients.stop()
    await server.core.closing_clients.wait(0)
    return outcome


async def act(action: Any, server: EngineServer, session: Session, outcome: Outcome) -> None:
    transport = outcome.transport
    match action:
        case Emit(sizes):
            if session.is_open:
                for size in sizes:
                    message = b"%d." % len(outcome.emitted) + bytes(size)
                    outcome.emitted.append(message)
                    server.send(session.sid, message)
        case Take(size):
            transport.take(size)
        case Ping(payload):
            outcome.pings.append(payload)
            transport.receive(masked(Opcode.PING, payload))
        case Tick():
            await ticks()
            if not transport.get_write_buffer_size() and not outcome.causes:
                outcome.certain = len(outcome.emitted)
        case Send(data=data):
            if not transport.is_closing():
                outcome.causes.append(action)
                transport.receive(data)
        case Close():
            if session.is_open:
                outcome.causes.append(action)
                await server.disconnect(session.sid)
        case HalfClose():
            if not transport.is_closing():
                outcome.causes.append(action)
                transport.receive_eof()


def parsed(stream: bytes, *, pongs_at_the_end: bool) -> list[Frame]:
    """The frames of a stream, which must hold nothing else and end with the first close frame, if any.

    Args:
        stream: All that the client got.
        pongs_at_the_end: Whether pongs may follow the close frame, as RFC 6455 section 5.5.1 allows.
    """
    head, _, stream = stream.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    frames = judged(stream)
    rest = stream[len(b"".join([frame.serialize(mask=False) for frame in frames])) :]
    if pongs_at_the_end:
        assert all(frame.opcode is Opcode.PONG for frame in judged(rest))
    else:
        assert not rest, "a frame is not whole, or follows the close frame"
    return frames


def judged(stream: bytes) -> list[Frame]:
    """The frames that the `websockets` library finds in a stream, up to the first close frame."""
    judge = ClientProtocol(parse_uri("ws://127.0.0.1/"), state=OPEN, max_size=None)
    judge.receive_data(stream)
    assert judge.parser_exc is None, judge.parser_exc
    return [event for event in judge.events_received() if isinstance(event, Frame)]


def check(outcome: Outcome) -> None:
    """Compare what the client got with what was sent."""
    frames = list(outcome.frames)
    if frames and frames[-1].opcode is Opcode.CLOSE:
        code = int.from_bytes(frames.pop().data[:2], "big") or 1005
        assert code in [cause.code for cause in outcome.causes]
    else:
        assert HalfClose() in outcome.causes, "no close frame"
    messages = [message for frame in frames if (message := binary_message(frame)) is not None]
    assert messages == outcome.emitted[: len(messages)]
    assert len(messages) >= outcome.certain
    if all(cause in ENDED_BY_SERVER for cause in outcome.causes):
        assert len(messages) == len(outcome.emitted)
    pongs = [bytes(frame.data) for frame in frames if frame.opcode is Opcode.PONG]
    pings = iter(outcome.pings)
    assert all(pong in pings for pong in pongs), "a pong that answers no ping, or an earlier one"
    if outcome.undisturbed:
        assert pongs[-1:] == outcome.pings[-1:], "the latest ping has no answer"


def binary_message(frame: Frame) -> bytes | None:
    """The binary message in a frame, which may have it in base64; None in any other frame."""
    data = bytes(frame.data)
    if frame.opcode is Opcode.TEXT and data[:1] == b"b":
        return b64decode(data[1:])
    return data if frame.opcode is Opcode.BINARY else None


ENDED_BY_SERVER = [Close(), *ENGINE]


@pytest.fixture(params=["direct", "direct, base64", "plain ASGI"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[AsyncioTransport, UvloopTransport])
def make_transport(request: pytest.FixtureRequest) -> type[SimulatedTransport]:
    made: type[SimulatedTransport] = request.param
    return made


@pytest.fixture(autouse=True, scope="module")
def small_pieces() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_writer, "WRITE_SIZE", PIECE)
        yield


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(script=scripts(), high=st.sampled_from([0, 3, 500, 3000, 65_536]))
def test_whatever_happens_a_client_gets_whole_frames_in_order_and_nothing_after_a_close_frame(
    way: str, make_transport: type[SimulatedTransport], script: list[Any], high: int
) -> None:
    check(asyncio.run(play(script, way, make_transport(high, high // 4))))


async def test_what_a_client_is_sent_in_the_tick_in_which_it_breaks_the_protocol_precedes_the_close_frame(
    make_transport: type[SimulatedTransport],
) -> None:
    for ending in [*ERRORS, *CLOSINGS]:
        outcome = await play([Take(ALL), Emit([1, 2, 3]), ending], "direct", make_transport())
        assert [frame.opcode for frame in outcome.frames[1:]] == [Opcode.BINARY] * 3 + [Opcode.CLOSE]


async def test_a_client_that_sends_pings_and_reads_nothing_takes_up_little_and_gets_the_latest_answer(
    make_transport: type[SimulatedTransport],
) -> None:
    transport = make_transport()
    server = EngineServer()
    opened(server, transport, "direct")
    [session] = server.sessions.values()
    for number in range(5000):
        transport.receive(masked(Opcode.PING, b"%0125d" % number))
    server.send(session.sid, b"later")
    await ticks()
    assert transport.largest < transport.high + 200
    assert session.transport.unsent() == len(b"\x8a\x7d") + 125
    assert len(session.outbox) == 1
    transport.take(ALL)
    await ticks()
    frames = parsed(bytes(transport.delivered), pongs_at_the_end=False)
    assert [bytes(frame.data) for frame in frames[-2:]] == [b"%0125d" % 4999, b"later"]
    session.close("server disconnect")


async def test_who_sends_before_its_handshake_is_answered_gets_no_frames(
    make_transport: type[SimulatedTransport],
) -> None:
    for early in [masked(Opcode.PING, b"p"), masked(Opcode.CLOSE, b""), b"\x81\x02hi"]:
        server = EngineServer()
        allowed = asyncio.Event()

        async def connect(sid: str, environ: dict[str, Any], allowed: asyncio.Event = allowed) -> None:
            await allowed.wait()

        server.on("connect", connect)
        transport = make_transport()
        transport.take(ALL)
        opened(server, transport, "direct")
        transport.receive(early)
        await ticks()
        assert not transport.delivered
        allowed.set()
        await ticks()
        if transport.aborted:
            assert not transport.delivered
            assert not server.sessions
        else:
            [opening] = parsed(bytes(transport.delivered), pongs_at_the_end=False)
            assert bytes(opening.data).startswith(b"0{")
            transport.receive_eof()
            await ticks()


@pytest.mark.parametrize("answer", [None, False])
async def test_who_leaves_while_its_connect_handler_runs_leaves_no_session_and_no_error(
    make_transport: type[SimulatedTransport], caplog: pytest.LogCaptureFixture, answer: bool | None
) -> None:
    server = EngineServer()
    allowed = asyncio.Event()

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> bool | None:
        await allowed.wait()
        server.send(sid, "welcome")
        return answer

    gone: list[str] = []
    server.on("disconnect", lambda sid, reason: gone.append(reason))
    transport = make_transport()
    opened(server, transport, "direct")
    transport.receive_eof()
    await ticks()
    allowed.set()
    await ticks()
    assert not server.sessions
    assert gone == ([] if answer is False else ["transport close"])
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
