"""Plain requests, answered before uvicorn has an object for their connection: nobody sees a difference."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.engine.environ import CHANNEL
from asyncsock.uvicorn import plain_connection
from asyncsock.uvicorn.heads import Fields
from asyncsock.uvicorn.plain_connection import PlainConnection
from tests.support.asgi_in_process import other
from tests.support.raw_clients import TEXT, RawSocket, frame, upgrade_request, within
from tests.support.simulated_transports import AsyncioTransport
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import Local, running

POLLING = "/socket.io/?EIO=4&transport=polling"
SID = "(sid)"  # stands for the id of the session
METHODS = ("GET", "POST", "OPTIONS", "HEAD", "get")
TARGETS = (
    *(POLLING, f"{POLLING}&sid={SID}", f"{POLLING}&sid=x", f"{POLLING}&sid={SID}&sid=x", f"{POLLING}&b64=1"),
    *("/socket.io/?EIO=3", "/socket.io/", "/socket.io/?EIO=4&transport=websocket", f"/socket.io/?sid={SID}"),
    *("/page", "/%73ocket.io/?EIO=4&transport=polling", f"{POLLING}#x", "*", "http://a/", "//socket.io/"),
)
LINES = (
    *("", "Connection: keep-alive", "Connection: close", "connection:Close", "Connection: keep-alive, x"),
    *("Connection: Upgrade", "Upgrade: websocket", "Upgrade: h2c", "Sec-WebSocket-Version: 12"),
    *("Expect: 100-continue", "Transfer-Encoding: chunked", "Content-Length: 2", "Content-Length: 0"),
    *("Content-Length: +2", "Content-Length: 1, 1", "Origin: http://a", "Origin: http://other", "Host: b"),
    *(
        "Accept-Encoding: gzip",
        "X:",
        "X: \t ",
        "X: a \t",
        "X:\tb\xffc",
        " folded: 1",
        "X : 1",
        "X: \x7f",
        "X\r",
    ),
    *("Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a,,", "Cookie: a=b", "Forwarded: for=1.2.3.4"),
)
BODIES = ("", "40", "4a\x1e4b", "3", "x", "4\xff", "4" + "y" * 3000, "GET / HTTP/1.1\r\n\r\n")


def written(method: str, target: str, lines: list[str], body: str, has_length: bool = True) -> str:
    """A request, which need not be a valid one."""
    length = [f"Content-Length: {len(body)}"] if has_length and body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *length, *filter(None, lines), "", body])


requests = st.builds(
    written,
    st.sampled_from(("GET", "POST", *METHODS)),
    st.sampled_from((*TARGETS[:2] * 5, *TARGETS)),
    st.lists(st.sampled_from(LINES), max_size=3),
    st.sampled_from(("", "", "", *BODIES)),
    st.sampled_from((True, True, True, False)),
)
alike = st.builds(  # several with the same header fields, but for the length
    lambda lines, others: [written(*other[:2], lines, other[2]) for other in others],
    st.lists(st.sampled_from(LINES), max_size=1),
    st.lists(
        st.tuples(
            st.sampled_from(("GET", "POST", "POST")),
            st.sampled_from((*TARGETS[:2] * 5, *TARGETS, POLLING + "&x=" + "y" * 9000)),
            st.sampled_from(("", "4a", "4b", "4a\x1e4b")),
        ),
        min_size=2,
        max_size=4,
    ),
)
handshakes = st.builds(
    lambda query, lines, behind: (
        upgrade_request("/socket.io/", query).decode().replace("\r\n\r\n", "\r\n" + lines + "\r\n\r\n")
        + behind
    ),
    st.sampled_from(({}, {}, {"sid": SID}, {"sid": "x"}, {"EIO": "3"}, {"b64": "1"})),
    st.lists(st.sampled_from(LINES), max_size=2).map("\r\n".join),
    st.sampled_from(("", "", "", "\x81")),
)


class Client:
    """A client of a simulated connection."""

    def __init__(self, protocol: Any, transport: AsyncioTransport | None = None) -> None:
        self.transport = transport or AsyncioTransport()
        self.transport.take(10**9)
        self.transport.connect(protocol)
        self.sids: list[str] = []

    @property
    def sid(self) -> str:
        """The id of the latest session that it has opened."""
        return self.sids[-1] if self.sids else "none"

    def send(self, data: str, cuts: list[int]) -> None:
        text = data.replace(SID, self.sid).encode("latin-1")
        places = sorted({0, len(text), *[cut % (len(text) + 1) for cut in cuts]})
        for start, stop in pairwise(places):
            self.transport.receive(text[start:stop])

    def got(self) -> tuple[str, bool]:
        """What it has got, but for what differs between clients, and whether the connection closes."""
        text = self.transport.delivered.decode("latin-1")
        self.sids = re.findall('"sid":"(.*?)"', text)
        text = re.sub("date: .*", "", text, flags=re.IGNORECASE)
        return self.without_ids(text), self.transport.is_closing()

    def without_ids(self, text: str) -> str:
        for sid in self.sids:
            text = text.replace(sid, SID)
        return text


@dataclass
class Served:
    """A server of this process."""

    engine: EngineServer
    local: Local

    def client(self) -> Client:
        return Client(self.local.connection())

    def scopes(self) -> list[dict[str, Any]]:
        """The scopes of the sessions, without what differs between any two requests over ASGI."""
        scopes = [session.scope for session in self.engine.sessions.values()]
        return [{name: value for name, value in scope.items() if name != CHANNEL} for scope in scopes]


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[Served]:
    engine = EngineServer(cors_allowed_origins="http://a", max_http_buffer_size=2000)

    @engine.on("message")
    async def message(sid: str, data: Any) -> None:
        await engine.send(sid, data)

    async with running(ASGIApp(engine, other), host="127.0.0.1", **options) as local:
        yield Served(engine, local)


@asynccontextmanager
async def access_log() -> AsyncIterator[list[str]]:
    """The lines that are logged meanwhile."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("uvicorn.access")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(before)


@given(
    st.lists(requests | handshakes, min_size=1, max_size=4) | alike, st.lists(st.integers(0, 400), max_size=1)
)
@example([written("GET", POLLING, [], ""), written("POST", f"{POLLING}&sid={SID}", [], "4a")], [])
@example([written("GET", POLLING, [], ""), written("POST", POLLING, [], "4a", has_length=False)], [])
@example([written("GET", POLLING, [], ""), written("GET", POLLING + "&x=" + "y" * 9000, [], "")], [])
@example(
    [
        written("GET", POLLING, ["Origin: http://a"], ""),
        written("POST", f"{POLLING}&sid={SID}", [], "4abc"),
        written("POST", f"{POLLING}&sid={SID}", ["X:"], "4abc").removesuffix("4abc"),
        "4abc",
    ],
    [],
)
@settings(max_examples=60, deadline=None)
def test_a_plain_connection_answers_as_uvicorns_object_does(sent: list[str], cuts: list[int]) -> None:
    """Whole requests and others, one after another, on both from their first byte on."""

    async def run() -> None:
        async with serving() as first, serving() as second, access_log() as logged:
            plain, usual = first.client(), second.client()
            assert isinstance(plain.transport.protocol, PlainConnection)
            usual.transport.protocol.give_up()
            for data in sent:
                plain.send(data, cuts)
                usual.send(data, cuts)
                for _ in range(30):
                    await asyncio.sleep(0)
                if plain.got() != usual.got():
                    await within(until(lambda: plain.got() == usual.got()))
            assert first.scopes() == second.scopes()
            text = plain.without_ids(usual.without_ids("\n".join(logged)))
            assert all(count % 2 == 0 for count in Counter(text.split("\n")).values()) or not logged, text
            plain.transport.abort()
            usual.transport.abort()

    asyncio.run(run())


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with serving() as served:
        yield served


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_a_plain_handshake_makes_no_object_of_uvicorns(
    http: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(http=http) as served:
        monkeypatch.setattr(PlainConnection, "give_up", None)
        async with await RawSocket.connect(served.local) as raw:  # type: ignore[arg-type]
            await raw.send(upgrade_request("/socket.io/"))
            assert (await raw.response_head())[0] == 101
            await raw.send(frame(TEXT, b"4hello"))
            assert (await within(raw.read_frame()))[1].startswith(b"0{")
            assert (await within(raw.read_frame()))[1] == b"4hello"


async def test_plain_polls_make_no_object_of_uvicorns(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PlainConnection, "give_up", None)
    client = served.client()
    for data in (written("GET", POLLING, [], ""), written("POST", f"{POLLING}&sid={SID}", [], "4a")):
        client.send(data, [])
        client.got()
    client.send(written("GET", f"{POLLING}&sid={SID}", [], ""), [])
    await within(until(lambda: client.got()[0].endswith("4a")))


async def test_the_header_fields_of_a_request_are_read_once_if_the_next_has_the_same(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = served.client()
    client.send(written("GET", POLLING, ["Origin: http://a"], ""), [])
    client.got()
    monkeypatch.setattr(plain_connection, "read_head", None)
    client.send(written("GET", f"{POLLING}&sid={SID}", ["Origin: http://a"], ""), [])
    served.engine.send(client.sid, "late")
    await within(until(lambda: client.got()[0].endswith("4late")))
    assert client.got()[0].count("access-control-allow-origin: http://a") == 2


async def test_no_long_header_fields_are_kept_for_the_next_request(served: Served) -> None:
    client = served.client()
    for size, number in ((1000, 1), (plain_connection.MOST_KEPT, 0)):
        client.send(written("GET", POLLING, ["X-Kept: " + "y" * size], ""), [])
        gc.collect()
        kept = [each for each in gc.get_objects() if isinstance(each, Fields) and b"X-Kept" in each.lines]
        assert len(kept) == number
        kept.clear()


class At(AsyncioTransport):
    """A connection to a server at a name, as the system has it."""

    def __init__(self, name: Any) -> None:
        super().__init__()
        self.name = name

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.name if name == "sockname" else super().get_extra_info(name, default)


@pytest.mark.parametrize("data", [written("GET", POLLING, [], ""), upgrade_request("/socket.io/").decode()])
async def test_the_address_of_the_server_is_that_of_each_connection(served: Served, data: str) -> None:
    names = ("127.0.0.1", 5000), ("::1", 5001, 0, 0), "/run/app.sock"
    clients = [Client(served.local.connection(), At(name)) for name in names]
    for client in clients:
        client.send(data, [])
    servers = [scope["server"] for scope in served.scopes()]
    for client in clients:
        client.transport.abort()
    assert servers == [("127.0.0.1", 5000), ("::1", 5001), ("/run/app.sock", None)]


async def test_what_comes_behind_a_poll_that_waits_is_answered_after_it(served: Served) -> None:
    client = served.client()
    client.send(written("GET", POLLING, [], ""), [])
    client.got()
    client.send(written("GET", f"{POLLING}&sid={SID}", [], ""), [])
    client.send(written("GET", "/page", [], ""), [])
    await asyncio.sleep(0)
    assert client.got()[0].count("HTTP/1.1") == 1
    served.engine.send(client.sid, "late")
    await within(until(lambda: client.got()[0].count("HTTP/1.1") == 3))
    assert client.got()[0].index("4late") < client.got()[0].index("other")


async def test_a_client_that_leaves_while_its_poll_waits_ends_its_session(served: Served) -> None:
    client = served.client()
    client.send(written("GET", POLLING, [], ""), [])
    client.got()
    client.send(written("GET", f"{POLLING}&sid={SID}", [], ""), [])
    client.transport.reset()
    await within(until(lambda: not (served.local.connections or served.engine.sessions)))


async def test_a_connection_without_a_next_request_is_closed_in_time() -> None:
    async with serving(timeout_keep_alive=0) as served:
        client = served.client()
        client.send(written("GET", POLLING, [], ""), [])
        await within(until(client.transport.is_closing))


async def test_uvicorn_that_stops_closes_idle_connections_and_answers_the_others(served: Served) -> None:
    idle, waiting = served.client(), served.client()
    waiting.send(written("GET", POLLING, [], ""), [])
    waiting.got()
    waiting.send(written("GET", f"{POLLING}&sid={SID}", [], ""), [])
    for protocol in list(served.local.connections):
        protocol.shutdown()
    assert idle.transport.is_closing()
    served.engine.send(waiting.sid, "last")
    await within(until(waiting.transport.is_closing))
    assert "connection: close\r\n" in waiting.got()[0]
    assert waiting.got()[0].endswith("4last")
