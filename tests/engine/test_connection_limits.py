"""Limits on the number of sessions, in all and from one address."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from asyncsock import SocketIO
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import HANDSHAKE, WEBSOCKET, Refused, Socket, request
from tests.support.doors import DOORS, served
from tests.support.engineio_in_process import PATH
from tests.support.log_records import recorded
from tests.support.raw_clients import RawSocket, upgrade_request, within
from tests.support.uvicorn_in_process import Local, running

TRANSPORTS = pytest.mark.parametrize("transport", ["polling", "websocket"])
LIMITS: dict[str, tuple[int, str]] = {
    "max_connections": (503, "Too many connections"),
    "max_connections_per_address": (429, "Too many connections from this address"),
}
ONE = pytest.mark.parametrize("limit", LIMITS)


@asynccontextmanager
async def asked(
    local: Local, transport: str, address: str | None = None, path: str = PATH
) -> AsyncIterator[tuple[int, str, RawSocket]]:
    """What a server answers a client that asks for a session; the address is what a proxy says of it."""
    headers = {} if address is None else {"X-Forwarded-For": address}
    if transport == "polling":
        lines = [f"GET {path}?{HANDSHAKE} HTTP/1.1", "Host: 127.0.0.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        handshake = "\r\n".join([*lines, "", ""]).encode()
    else:
        handshake = upgrade_request(path, headers=headers)
    async with await RawSocket.connect(local) as raw:
        await raw.send(handshake)
        status, fields = await raw.response_head()
        if status == 101:
            body = (await raw.read_frame())[1]
        elif "content-length" in fields:
            body = await within(raw.reader.readexactly(int(fields["content-length"])))
        else:  # in chunks
            body = (await within(raw.reader.readuntil(b"\r\n0\r\n"))).split(b"\r\n")[1]
        yield status, body.decode(), raw


async def answer(local: Local, transport: str, address: str | None = None) -> tuple[int, str]:
    async with asked(local, transport, address) as (status, body, _raw):
        return status, body


async def is_let_in(local: Local, transport: str, address: str | None = None) -> bool:
    return (await answer(local, transport, address))[0] in (200, 101)


async def fetch(server: EngineServer, client: Any, query: str = HANDSHAKE) -> int:
    """The status of a poll from a client in this process."""
    return (await request(server.handle_request, path=PATH, query=query, client=client)).status


@ONE
@TRANSPORTS
@pytest.mark.parametrize("other", ["polling", "websocket"])
async def test_a_session_too_many_is_refused(
    door: str, limit: str, transport: str, other: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "asyncsock.engine")
    server = EngineServer(**{limit: 2})
    async with served(server, door) as local, asked(local, other) as first, asked(local, other) as second:
        assert {first[0], second[0]} <= {200, 101}
        status, body = await answer(local, transport)
        assert server.limits()[limit] == {"limit": 2, "hits": 1, "now": 2}
    assert (status, json.loads(body)["message"]) == LIMITS[limit]
    (line,) = [line for line in recorded(caplog, logging.WARNING) if "refused" in line]
    assert f"{limit} is 2" in line


@TRANSPORTS
@ONE
async def test_a_limit_of_0_lets_nobody_in(door: str, limit: str, transport: str) -> None:
    async with served(EngineServer(**{limit: 0}), door) as local:
        assert (await answer(local, transport))[0] == LIMITS[limit][0]


@ONE
async def test_an_upgrade_is_no_new_session(door: str, limit: str) -> None:
    server = EngineServer(**{limit: 1})
    async with served(server, door) as local, asked(local, "polling") as (_, body, _raw):
        sid = json.loads(body[1:])["sid"]
        async with await RawSocket.websocket(local, sid=sid):
            assert server.limits()[limit]["hits"] == 0


@TRANSPORTS
@ONE
async def test_a_limit_that_is_set_later_holds_for_new_sessions(limit: str, transport: str) -> None:
    server = EngineServer()
    async with served(server, "httptools") as local, asked(local, "websocket"):
        setattr(server.core.limits, limit, 1)
        async with AsyncExitStack() as clients:
            if limit == "max_connections_per_address":  # the first is not counted
                await clients.enter_async_context(asked(local, "websocket"))
            assert not await is_let_in(local, transport)
            setattr(server.core.limits, limit, None)
            assert await is_let_in(local, transport)


# Whose address it is


@TRANSPORTS
async def test_each_address_has_its_own_count(door: str, transport: str) -> None:
    server = EngineServer(max_connections_per_address=1)
    async with (
        served(server, door, forwarded_allow_ips="*") as local,
        asked(local, "websocket", "192.0.2.1"),
        asked(local, "websocket", "2001:db8::1"),
    ):
        refused = [await is_let_in(local, transport, address) for address in ("192.0.2.1", "2001:db8::1")]
        assert refused == [False, False]
        assert await is_let_in(local, transport, "192.0.2.2")
        assert await is_let_in(local, transport, "2001:db8::2")  # of the same network


@TRANSPORTS
async def test_a_proxy_that_is_not_believed_does_not_change_an_address(door: str, transport: str) -> None:
    server = EngineServer(max_connections_per_address=1)
    options: dict[str, Any] = {"proxy_headers": False}
    async with served(server, door, **options) as local, asked(local, "websocket", "192.0.2.1"):
        assert not await is_let_in(local, transport, "192.0.2.2")


@TRANSPORTS
@pytest.mark.parametrize("client", [None, ("", 0), ["", None]])
async def test_clients_without_an_address_are_not_counted(transport: str, client: Any) -> None:
    server = EngineServer(max_connections_per_address=1)
    for _ in range(3):
        if transport == "polling":
            assert await fetch(server, client) == 200
        else:
            async with Socket(server.handle_request, PATH, client=client):
                pass
    assert server.limits()["max_connections_per_address"]["now"] == 0


@TRANSPORTS
async def test_an_address_is_what_handlers_see_behind_the_programs_own_middleware(
    door: str, transport: str
) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, max_connections_per_address=1)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    fixed = app.wsgi_app

    def mounted(environ: Any, start_response: Any) -> Any:
        environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/mounted")
        return fixed(environ, start_response)

    app.wsgi_app = mounted  # type: ignore[method-assign]
    path = "/mounted/socket.io/"
    options: dict[str, Any] = {**DOORS[door], "proxy_headers": False}
    async with running(socketio.asgi_app, **options) as local, AsyncExitStack() as clients:
        statuses = []
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
            client = asked(local, transport, address, path)
            statuses.append((await clients.enter_async_context(client))[0])
    assert statuses in ([200, 200, 429], [101, 101, 429])


async def test_a_server_that_can_answer_refused_websockets_is_given_the_whole_answer() -> None:
    server = EngineServer(max_connections=0)
    extensions: Any = {"websocket.http.response": {}}
    with pytest.raises(Refused) as refused:
        async with Socket(server.handle_request, PATH, extensions=extensions):
            pass
    assert refused.value.args[0]["status"] == 503


# How sessions end


async def client_leaves(server: EngineServer) -> None:
    async with Socket(server.handle_request, PATH):
        assert server.sessions


async def client_says_so(server: EngineServer) -> None:
    answer = await request(server.handle_request, path=PATH)
    sid = json.loads(answer.text[1:])["sid"]
    await request(server.handle_request, "POST", PATH, f"{HANDSHAKE}&sid={sid}", body=b"1")


async def client_errs(server: EngineServer) -> None:
    async with Socket(server.handle_request, PATH) as socket:
        socket.send("what is this")
        await within(socket.task)


async def server_disconnects(server: EngineServer) -> None:
    async with Socket(server.handle_request, PATH):
        await server.disconnect(next(iter(server.sessions)))


async def no_pong_comes(server: EngineServer) -> None:
    server.ping_interval = server.ping_timeout = 0.01
    assert await fetch(server, ("192.0.2.1", 1)) == 200
    while server.sessions:
        await asyncio.sleep(0.001)


def refused_by(handler: Callable[..., Any]) -> Callable[[EngineServer], Awaitable[None]]:
    async def connect(server: EngineServer) -> None:
        server.on("connect", handler)
        assert await fetch(server, ("192.0.2.1", 1)) == 401
        with pytest.raises(Refused):
            async with Socket(server.handle_request, PATH):
                pass

    return connect


def no(sid: str, environ: Any) -> bool:
    return False


async def later_no(sid: str, environ: Any) -> bool:
    await asyncio.sleep(0)
    return False


def error(sid: str, environ: Any) -> bool:
    raise ValueError("what a handler raises")


async def later_error(sid: str, environ: Any) -> bool:
    raise ValueError("what a handler raises")


async def handler_is_cancelled(server: EngineServer) -> None:
    async def cancel(sid: str, environ: Any) -> None:
        raise asyncio.CancelledError

    server.on("connect", cancel)
    assert await fetch(server, ("192.0.2.1", 1)) == 503


async def websocket_is_cancelled(server: EngineServer) -> None:
    begun = asyncio.Event()

    async def wait(sid: str, environ: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    server.on("connect", wait)
    socket = Socket(server.handle_request, PATH)
    socket.start()
    await within(begun.wait())
    socket.task.cancel()
    await asyncio.wait([socket.task])


async def websocket_cannot_be_accepted(server: EngineServer) -> None:
    async def refuse(message: Any) -> None:
        raise OSError("the client has left")

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = Socket(server.handle_request, PATH)._scope
    with pytest.raises(OSError, match="the client has left"):
        await server.handle_request(scope, receive, refuse)


async def server_stops(server: EngineServer) -> None:
    assert await fetch(server, ("192.0.2.1", 1)) == 200
    await server.shutdown()
    server.start()


ENDS: dict[str, Callable[[EngineServer], Awaitable[None]]] = {
    "the client leaves": client_leaves,
    "the client says that it leaves": client_says_so,
    "the client errs": client_errs,
    "the server disconnects it": server_disconnects,
    "no pong comes": no_pong_comes,
    "a function refuses it": refused_by(no),
    "a coroutine refuses it": refused_by(later_no),
    "a function raises": refused_by(error),
    "a coroutine raises": refused_by(later_error),
    "the connect handler is cancelled": handler_is_cancelled,
    "the request for a WebSocket is cancelled": websocket_is_cancelled,
    "the WebSocket cannot be accepted": websocket_cannot_be_accepted,
    "the server stops": server_stops,
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_session_that_has_ended_is_not_counted(end: str) -> None:
    server = EngineServer(max_connections=1, max_connections_per_address=1, cors_allowed_origins="*")
    await within(ENDS[end](server))
    assert not server.sessions
    report = server.limits()
    assert [report[limit]["now"] for limit in LIMITS] == [0, 0]


def test_the_sessions_of_an_event_loop_that_is_over_are_not_counted() -> None:
    server = EngineServer(max_connections=1, max_connections_per_address=1)
    statuses = [asyncio.run(fetch(server, ("192.0.2.1", 1))) for _ in range(3)]
    assert statuses == [200, 200, 200]
    assert server.limits()["max_connections_per_address"]["now"] == 1


async def test_without_a_limit_no_address_is_asked_for() -> None:
    server = EngineServer()
    socket = Socket(server.handle_request, PATH, WEBSOCKET)
    del socket._scope["client"]
    async with socket:
        assert "now" not in server.limits()["max_connections_per_address"]
