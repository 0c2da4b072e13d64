"""Requests for a Flask application that are read whole: nobody sees that ASGI has no part in them."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.flask_bridge.wsgi import WsgiApp
from asyncsock.flask_bridge.wsgi_extensions import HandOver
from asyncsock.uvicorn.plain_connection import PlainConnection
from tests.support.raw_clients import TIMEOUT, within
from tests.support.server_process import serve
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import Local, running
from tests.uvicorn.test_plain_connections import BODIES, LINES, POLLING, Client, access_log, written

Start = Callable[..., Any]
METHODS = ("GET", "POST", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "get")
PLAIN_PATHS = ("/", "/caf%C3%A9/%00%0a?q=%C3%A9&r", "//two//slashes", "/a?b?c", "/none", "/own")
PATHS = (
    *PLAIN_PATHS,
    "/parts",
    "/empty",
    "/split",
    "/control",
    "/name",
    "/long",
    "/two",
    "/raises",
    "/over",
    "/read",
    "/a#b",
    POLLING,
)
MORE_LINES = (*LINES, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https")


def view(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/read":
        environ["wsgi.input"].read(1)
    if path in ("/over", "/read"):
        raise HandOver(_handed_over)
    if path == "/raises":
        raise ValueError("an error in a view")
    fields = {
        "/none": ("204 No Content", []),
        "/own": ("299 Own", [("X-Own", "\xe9"), ("Connection", "close")]),
        "/split": ("200 OK", [("X-Split", "a\r\nx-injected: b")]),
        "/control": ("200 OK", [("X-Control", "a\x01b")]),
        "/name": ("200 OK", [("X Name", "a")]),
        "/two": ("200 OK", [("Content-Length", "5"), ("Content-Length", "5")]),
    }
    start(*fields.get(path, ("200 OK", [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")])))
    if path == "/parts":
        return iter([b"one", b"two"])
    if path == "/empty":
        return iter([])
    if path == "/long":
        return [b"x" * 100_000]
    if path == "/two":
        return [b"12345"]
    if path == "/body":
        return [environ["wsgi.input"].read()]
    seen = sorted((name, str(value)) for name, value in environ.items() if name.isupper())
    seen += [("scheme", environ["wsgi.url_scheme"]), ("scope", str(sorted(environ["asgi.scope"].items())))]
    return [str(seen).encode()]


async def _handed_over(scope: Any, receive: Any, send: Any) -> None:
    seen = (await receive())["body"], scope["client"], scope["scheme"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(seen).encode()})


@asynccontextmanager
async def serving(app: Any = view, **options: Any) -> AsyncIterator[tuple[Local, WsgiApp]]:
    views = WsgiApp(app, 4)
    async with running(ASGIApp(EngineServer(), views), host="127.0.0.1", **options) as local:
        yield local, views
    views.close()


def client_of(local: Local) -> Client:
    client = Client(local.connection())
    assert isinstance(client.transport.protocol, PlainConnection)
    return client


requests = st.builds(
    written,
    st.sampled_from(("GET", "POST", *METHODS)),
    st.sampled_from((*PLAIN_PATHS * 2, *PATHS)),
    st.lists(st.sampled_from(MORE_LINES), max_size=3),
    st.sampled_from(("", "", "", *BODIES)),
    st.sampled_from((True, True, True, False)),
)


@given(st.lists(requests, min_size=1, max_size=4), st.lists(st.integers(0, 400), max_size=1))
@example([written("POST", "/over", [], "a body"), written("GET", "/", [], "")], [])
@example([written("POST", "/body", [], body) for body in ("", "a body", "x" * 5000)], [])
@example([written("GET", path, [], "") for path in ("/empty", "/split", "/control", "/name")], [])
@example([written("GET", "/two", [], "")], [])
@example([written("POST", "/read", [], "a body")], [])
@example([written("GET", "/over", ["X-Forwarded-For: 10.0.0.1", "X-Forwarded-Proto: https"], "")], [])
@example([written("GET", "/", ["Connection: close"], "")], [])
@settings(max_examples=50, deadline=None, phases=(Phase.explicit, Phase.generate))
def test_a_whole_request_is_answered_as_through_asgi(sent: list[str], cuts: list[int]) -> None:
    """Requests of all kinds, one after another, and the same on a connection of uvicorn's."""

    async def run() -> None:
        async with serving() as (first, answers), serving() as (second, others), access_log() as logged:
            whole, usual = client_of(first), Client(second.connection())
            usual.transport.protocol.give_up()
            for data in sent:
                for client in (whole, usual):
                    client.send(data, cuts)
                # A request behind another one begins when that is answered: nobody works for a moment.
                for _ in range(2):
                    await turns()
                    await settle(lambda: is_idle(answers, others) and whole.got() == usual.got())
                assert whole.got() == usual.got()
                assert sum(answers.answered.values()) == sum(others.answered.values())
            text = whole.without_ids(usual.without_ids("\n".join(logged)))
            assert all(count % 2 == 0 for count in Counter(text.split("\n")).values()) or not logged, text
            whole.transport.abort()
            usual.transport.abort()

    async def turns() -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def settle(is_so: Callable[[], bool]) -> None:
        """Wait until something is so, or too long; return before anything else happens."""
        loop = asyncio.get_running_loop()
        end = loop.time() + TIMEOUT
        while not is_so() and loop.time() < end:
            await asyncio.sleep(0.001)

    def is_idle(*apps: WsgiApp) -> bool:
        counts = {sum(app.answered.values()) for app in apps}
        return len(counts) == 1 and all(app.pool.load() == (0, 0) for app in apps)

    asyncio.run(run())


@pytest.mark.parametrize("path", PLAIN_PATHS)
async def test_a_plain_answer_needs_no_object_of_uvicorns(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlainConnection, "give_up", None)
    async with serving() as (local, _):
        client = client_of(local)
        for count in (1, 2):
            client.send(written("GET", path, [], ""), [])
            await within(until(lambda n=count: client.got()[0].count("HTTP/1.1 2") == n))


class Gate:
    """A WSGI application whose answer begins, or ends, when a test says so."""

    def __init__(self, before: bool) -> None:
        self.open = threading.Event()
        self.before = before
        self.begun = threading.Event()

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start("200 OK", [("Content-Length", "6")])
        self.begun.set()
        if self.before:
            assert self.open.wait(20)
        yield b"answer"
        assert self.open.wait(20)


async def begun(gate: Gate) -> None:
    await within(until(gate.begun.is_set))


async def test_what_comes_behind_a_request_whose_view_works_is_answered_after_it() -> None:
    gate = Gate(before=True)
    async with serving(gate) as (local, _):
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await begun(gate)
        client.send(written("GET", POLLING, [], ""), [])
        await asyncio.sleep(0)
        assert client.got()[0] == ""
        gate.open.set()
        await within(until(lambda: client.got()[0].count("HTTP/1.1 200") == 2))
        assert client.got()[0].index("answer") < client.got()[0].index("sid")


async def test_a_client_has_its_answer_while_the_view_works_on() -> None:
    gate = Gate(before=False)
    async with serving(gate) as (local, views):
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await within(until(lambda: client.got()[0].endswith("answer")))
        assert views.pool.load() == (1, 0)
        gate.open.set()


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in two pieces"])
async def test_a_view_that_reads_its_body_behind_its_answer_does_not_wait_for_ever(is_whole: bool) -> None:
    has_answer, read = threading.Event(), threading.Event()
    bodies: list[bytes] = []

    def reading(environ: dict[str, Any], start: Start) -> Iterator[bytes]:
        start("200 OK", [("Content-Length", "6")])
        yield b"answer"
        assert has_answer.wait(20)
        try:
            bodies.append(environ["wsgi.input"].read())
        except OSError:  # uvicorn drops what it has of a body when the answer is complete
            pass
        read.set()

    async with serving(reading) as (local, _):
        client = client_of(local)
        client.send(written("POST", "/", [], "a body"), [] if is_whole else [-3])
        await within(until(lambda: client.got()[0].endswith("answer")))
        has_answer.set()
        await within(until(read.is_set))
        assert bodies == [b"a body"] * is_whole


@pytest.mark.parametrize("is_whole", [True, False], ids=["whole", "in two pieces"])
async def test_a_thread_of_a_views_that_reads_the_body_when_the_request_is_over_is_told(
    is_whole: bool,
) -> None:
    read = threading.Event()
    streams: list[Any] = []

    def leaving(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        streams.append(environ["wsgi.input"])
        start("200 OK", [("Content-Length", "6")])
        return [b"answer"]

    def read_late() -> None:
        try:
            streams[0].read()
        except (OSError, ValueError):
            pass
        read.set()

    async with serving(leaving) as (local, views):
        client = client_of(local)
        client.send(written("POST", "/", [], "a body"), [] if is_whole else [-3])
        await within(until(lambda: client.got()[0].endswith("answer") and views.pool.load() == (0, 0)))
        threading.Thread(target=read_late, daemon=True).start()
        await within(until(read.is_set))


async def test_a_client_that_leaves_while_its_view_works_gets_nothing_and_is_counted() -> None:
    gate = Gate(before=True)
    async with serving(gate) as (local, views), access_log() as logged:
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await begun(gate)
        client.transport.reset()
        await within(until(lambda: not local.connections))
        gate.open.set()
        await within(until(lambda: views.answered == {"200": 1}))
        assert not logged
        assert client.got()[0] == ""


async def test_uvicorn_that_stops_waits_for_a_view_and_then_closes() -> None:
    gate = Gate(before=True)
    async with serving(gate) as (local, _):
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await begun(gate)
        client.transport.protocol.shutdown()
        gate.open.set()
        await within(until(client.transport.is_closing))
        assert "connection: close\r\n" in client.got()[0]
        assert client.got()[0].endswith("answer")


async def test_a_server_that_stops_waits_for_what_a_view_does_behind_its_answer() -> None:
    gate = Gate(before=False)
    async with serving(gate) as (local, views):
        client = client_of(local)
        client.send(written("GET", "/", ["Connection: close"], ""), [])
        await within(until(client.transport.is_closing))
        asyncio.get_running_loop().call_later(1, gate.open.set)
    assert views.pool.load() == (0, 0)
    assert gate.open.is_set()


@pytest.mark.parametrize("path", ["/", "/parts", POLLING])
@pytest.mark.parametrize("cuts", [[], [9]], ids=["whole", "in two pieces"])
async def test_each_request_counts_once_for_uvicorns_limit_of_requests(path: str, cuts: list[int]) -> None:
    async with serving(limit_max_requests=9) as (local, _):
        client = client_of(local)
        state = client.transport.protocol.installation._arguments["server_state"]
        for count in (1, 2):
            client.send(written("GET", path, [], ""), cuts)
            await within(until(lambda n=count: client.got()[0].count("HTTP/1.1 200") == n))
            await within(until(lambda n=count: state.total_requests == n))


@pytest.mark.parametrize("path", ["/plain/", POLLING], ids=["views", "polls"])
def test_uvicorn_ends_after_its_limit_of_requests(path: str) -> None:
    with serve("tests.apps.wsgi_views:beside", args=["--limit-max-requests", "2"]) as server:
        for _ in range(2):
            httpx.get(server.url + path)
        assert server.process.wait(20) == 0


async def test_a_client_that_does_not_read_is_served_by_uvicorns_object() -> None:
    async with serving() as (local, _):
        client = client_of(local)
        client.transport.room = 0
        client.send(written("GET", "/long", [], ""), [])
        await within(until(lambda: client.transport.protocol_paused))
        client.send(written("GET", "/", [], ""), [])
        assert not isinstance(client.transport.protocol, PlainConnection)
        client.transport.take(10**9)
        await within(until(lambda: client.got()[0].count("HTTP/1.1 200") == 2))


async def test_an_application_whose_threads_have_ended_answers_with_an_error() -> None:
    async with serving() as (local, views):
        views.close()
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await within(until(lambda: "HTTP/1.1 500" in client.got()[0]))


async def test_requests_go_through_asgi_where_uvicorn_resets_their_contextvars() -> None:
    async with serving(reset_contextvars=True) as (local, _):
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        assert not isinstance(client.transport.protocol, PlainConnection)
        await within(until(lambda: "HTTP/1.1 200" in client.got()[0]))


async def test_an_error_of_ours_while_an_answer_is_written_ends_the_connection() -> None:
    async with serving() as (local, views):
        client = client_of(local)
        client.transport.protocol.installation.own_lines = None
        client.send(written("GET", "/", [], ""), [])
        await within(until(client.transport.is_closing))
        assert client.got()[0] == ""
        assert views.answered == {"200": 1}


@pytest.mark.parametrize("root_path", ["", "/api"])
async def test_an_application_below_another_socketio_server_gets_its_requests_whole(root_path: str) -> None:
    views = WsgiApp(view)
    inner = ASGIApp(EngineServer(), views, socketio_path="inner")
    app = ASGIApp(EngineServer(), inner)
    async with running(app, host="127.0.0.1", root_path=root_path) as local:
        client = client_of(local)
        client.send(written("GET", "/", [], ""), [])
        await within(until(lambda: "HTTP/1.1 200" in client.got()[0]))
        assert isinstance(client.transport.protocol, PlainConnection)
        client.send(written("GET", POLLING.replace("socket.io", "inner"), [], ""), [])
        await within(until(lambda: '"sid"' in client.got()[0] or "(sid)" in client.got()[0]))
    views.close()
