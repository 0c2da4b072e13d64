"""Connect handlers: what they get, how they refuse, and what is sent while they run."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Socket
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Environ, MsgPackClient, connected, opened, until

# Connecting


async def test_what_the_connect_handler_sends_follows_the_connect_packet_in_order(
    server: AsyncServer,
) -> None:
    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        await server.emit("one", to=sid)
        await server.enter_room(sid, "room")
        await server.emit("two", to="room")
        await server.emit("three")

    async with connected(server) as client:
        assert [await client.event() for _ in range(3)] == [["one"], ["two"], ["three"]]


async def test_what_the_connect_handler_sends_without_await_follows_the_connect_packet(
    server: AsyncServer,
) -> None:
    @server.event
    def connect(sid: str, environ: Environ) -> None:
        server.emit("one", to=sid)
        server.emit("two", to=sid)

    async with connected(server) as client:
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]


async def test_what_others_send_meanwhile_follows_the_connect_packet_in_order(server: AsyncServer) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        entered.set()
        await go.wait()
        await server.emit("mine", to=sid)

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await server.emit("broadcast")
        go.set()
        assert (await client.receive())[:3] == "40{"
        assert [await client.event() for _ in range(2)] == [["broadcast"], ["mine"]]


async def test_what_is_sent_right_after_the_connect_handler_comes_last(server: AsyncServer) -> None:
    done = asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("one", to=sid)
        done.set()

    async with opened(server) as client:
        client.send("40")
        await within(done.wait())
        await server.emit("two")
        assert (await client.receive())[:3] == "40{"
        assert [await client.event() for _ in range(2)] == [["one"], ["two"]]


async def test_an_event_that_follows_the_connect_packet_is_answered_after_what_was_sent_before(
    server: AsyncServer,
) -> None:
    server.on("say", lambda sid: server.emit("said", to=sid))

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("welcome", to=sid)

    async with connected(server) as client:
        client.send('420["say"]')
        assert [await client.receive() for _ in range(3)] == ['42["welcome"]', '42["said"]', "430[]"]


async def test_a_refused_client_gets_nothing_of_what_was_sent(server: AsyncServer) -> None:
    @server.event
    async def connect(sid: str, environ: Environ) -> bool:
        await server.emit("mine", to=sid)
        await server.enter_room(sid, "room")
        await server.emit("the room's", to="room")
        return False

    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
        await server.emit("everybody's")
        await asyncio.sleep(0.05)  # longer than what follows a CONNECT packet is held back
        assert await client.packets() == []
        assert server.manager.rooms == {}


@pytest.mark.parametrize(
    ("refusal", "answer"),
    [
        (ConnectionRefusedError("no"), '44{"message":"no"}'),
        (ConnectionRefusedError("no", 7), '44{"message":"no","data":7}'),
        (ConnectionRefusedError("no", 7, 8), '44{"message":"no","data":[7,8]}'),
        (ConnectionRefusedError(), '44{"message":"Connection rejected by server"}'),
        (False, '44{"message":"Connection rejected by server"}'),
    ],
    ids=repr,
)
async def test_a_connect_handler_refuses(any_server: AsyncServer, refusal: Any, answer: str) -> None:
    @any_server.event
    async def connect(sid: str, environ: Environ) -> Any:
        if isinstance(refusal, Exception):
            raise refusal
        return refusal

    async with opened(any_server) as client:
        client.send("40")
        assert await client.receive() == answer


async def test_an_error_in_the_connect_handler_refuses_and_is_logged(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("connect", lambda sid, environ: 1 / 0)
    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
    assert errors(caplog) == ["ZeroDivisionError('division by zero')"]


async def test_a_refused_clients_disconnect_handler_does_not_run(server: AsyncServer) -> None:
    left: list[str] = []
    server.on("connect", lambda sid, environ: False)
    server.on("disconnect", left.append)
    async with opened(server) as client:
        client.send("40")
        await client.receive()
        await client.leave()
    assert left == []


async def test_a_room_that_is_entered_right_after_connecting_is_reached(server: AsyncServer) -> None:
    """Though what the connect handler sent is held back for a moment."""

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.emit("welcome", to=sid)

    server.on("join", lambda sid: server.enter_room(sid, "room"))
    async with connected(server) as client:
        client.send('420["join"]')
        await within(until(lambda: "room" in server.manager.rooms["/"]))
        await server.emit("hello", to="room")
        assert {await client.receive() for _ in range(3)} == {'42["welcome"]', "430[]", '42["hello"]'}


@pytest.mark.parametrize("accepted", [True, False])
async def test_a_client_that_leaves_while_its_connect_handler_runs_leaves_nothing_behind(
    server: AsyncServer, accepted: bool
) -> None:
    entered, go = asyncio.Event(), asyncio.Event()

    @server.event
    async def connect(sid: str, environ: Environ) -> bool:
        await server.enter_room(sid, "room")
        entered.set()
        await go.wait()
        return accepted

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await client.leave()
        go.set()
        await within(until(lambda: not server.eio.tasks and not server.environ))
    assert server.manager.rooms == {}


@asynccontextmanager
async def gone_while_connecting(server: AsyncServer) -> AsyncIterator[list[Any]]:
    """A client whose connect handler (it saves a session) still runs when it leaves.

    The block begins when the disconnect handler has run, with what that got: the sid, the reason, the
    environ and the session, or in their place an exception.
    """
    entered, go = asyncio.Event(), asyncio.Event()
    got: list[Any] = []

    @server.event
    async def connect(sid: str, environ: Environ) -> None:
        await server.save_session(sid, {"user": "ann"})
        entered.set()
        await go.wait()

    @server.event
    async def disconnect(sid: str, reason: str) -> None:
        got.extend([sid, reason, server.get_environ(sid)])
        try:
            got.append(await server.get_session(sid))
        except Exception as error:
            got.append(error)

    async with opened(server) as client:
        client.send("40")
        await within(entered.wait())
        await client.leave()
        go.set()
        await within(until(lambda: len(got) == 4))
        yield got


async def test_a_client_that_leaves_while_its_connect_handler_runs_gets_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[1] == "transport close"


async def test_the_environ_of_a_client_that_left_while_connecting_is_there_in_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[2] is not None
        assert got[2]["PATH_INFO"] == "/socket.io/"


async def test_the_session_of_a_client_that_left_while_connecting_is_there_in_its_disconnect_handler(
    server: AsyncServer,
) -> None:
    async with gone_while_connecting(server) as got:
        assert got[3] == {"user": "ann"}


async def test_with_always_connect_the_connect_packet_comes_first(any_server: AsyncServer) -> None:
    any_server.always_connect = True
    entered, go = asyncio.Event(), asyncio.Event()

    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        await any_server.emit("one", to=sid)
        entered.set()
        await go.wait()
        await any_server.emit("two", to=sid)

    async with connected(any_server) as client:
        await within(entered.wait())
        assert await client.event() == ["one"]
        go.set()
        assert await client.event() == ["two"]


async def test_with_always_connect_a_refusal_disconnects(any_server: AsyncServer) -> None:
    any_server.always_connect = True
    any_server.on("connect", lambda sid, environ: False)
    async with connected(any_server) as client:
        assert await client.receive() == "41"
        assert any_server.manager.sid_from_eio_sid(client.eio_sid, "/") is None


async def test_the_connect_handler_gets_the_auth(any_server: AsyncServer) -> None:
    got: list[Any] = []

    @any_server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        got.append((sid, environ["PATH_INFO"], auth))

    async with opened(any_server) as client:
        sid = await client.connect(auth={"token": "t"})
    assert got == [(sid, "/socket.io/", {"token": "t"})]


AUTHS = ["a token", ["a", {"b": 1}], True, 1.5, {"token": "t"}]


@pytest.mark.parametrize("auth", AUTHS, ids=repr)
@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_an_auth_of_any_type_reaches_the_connect_handler(auth: Any, serializer: str) -> None:
    if auth == 1.5 and serializer == "default":
        auth = -1.5  # the digits of others would be an acknowledgement id
    got: list[Any] = []
    server = AsyncServer(serializer=serializer)

    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        got.append(auth)

    async with Socket(server.handle_request) as socket:
        await socket.receive()
        if serializer == "default":
            socket.send(f"40{json.dumps(auth)}")
            assert (await socket.receive())[:2] == "40"
        else:
            client = MsgPackClient(socket)
            client.send(0, auth)
            assert (await client.receive())[0] == 0
    assert got == [auth]


@pytest.mark.parametrize("auth", ['""', "[]", "{}", "false", "null", "0", ""])
async def test_an_empty_auth_is_none_as_in_python_socketio(server: AsyncServer, auth: str) -> None:
    got: list[Any] = []
    server.on("connect", lambda sid, environ, auth: got.append(auth))
    async with opened(server) as client:
        client.send(f"40{auth}")
        assert (await client.receive())[:2] == "40"
    assert got == [None]


async def test_a_connect_handler_may_do_without_the_auth(any_server: AsyncServer) -> None:
    got: list[str] = []

    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        got.append(sid)

    async with opened(any_server) as client:
        assert [await client.connect(auth={"token": "t"})] == got


async def test_a_connect_handlers_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []

    @server.event
    async def connect(sid: str, environ: Environ, auth: Any) -> None:
        calls.append(sid)
        raise TypeError("my own")

    async with opened(server) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


# Class-based namespaces


async def test_a_client_is_refused_also_where_the_reason_cannot_be_sent(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        raise socketio.exceptions.ConnectionRefusedError("no", {"until": object()})

    server.on("connect", connect)
    async with opened(server) as client:
        client.send("40")
        assert await client.receive() == '44{"message":"Connection rejected by server"}'
    (line,) = recorded(caplog, logging.ERROR)
    assert 'data["data"]["until"] is of type object' in line
    assert errors(caplog) == []
