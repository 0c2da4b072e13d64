"""The handlers of an EngineServer: connect, message and disconnect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    HANDSHAKE,
)
from tests.support.engineio_in_process import PATH, Poller, ask, handshake, websocket
from tests.support.raw_clients import SEPARATOR, RawSocket, upgrade_request, within
from tests.support.uvicorn_in_process import running


def test_a_handler_for_an_unknown_event_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="connected"):
        EngineServer().on("connected", lambda sid, environ: None)


def test_on_is_a_decorator_too() -> None:
    server = EngineServer()

    @server.on("message")
    def message(sid: str, data: str) -> None:
        pass

    assert server.handlers["message"] is message


@pytest.mark.parametrize("coroutine", [False, True])
async def test_the_connect_handler_gets_the_sid_and_the_environ(coroutine: bool) -> None:
    server = EngineServer()
    got: list[Any] = []

    def connect(sid: str, environ: dict[str, Any]) -> None:
        got.append((sid, environ["PATH_INFO"], environ["QUERY_STRING"]))

    async def connect_later(sid: str, environ: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        connect(sid, environ)

    server.on("connect", connect_later if coroutine else connect)
    poller = await Poller(server).open()
    assert got == [(poller.sid, PATH, HANDSHAKE)]


def refuses(with_: Any) -> Callable[..., Any]:
    if isinstance(with_, Exception):

        def handler(sid: str, environ: dict[str, Any]) -> Any:
            raise with_

        return handler
    return lambda sid, environ: with_


def later(handler: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(*args: Any) -> Any:
        await asyncio.sleep(0.01)
        return handler(*args)

    return handle


REFUSALS = [(False, "Unauthorized"), ("go away", "go away"), (ValueError("bug"), "Unauthorized")]


@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize(("result", "message"), REFUSALS, ids=["False", "text", "an error"])
async def test_a_connect_handler_refuses_a_polling_client_with_401(
    coroutine: bool, result: Any, message: str
) -> None:
    server = EngineServer()
    server.on("connect", later(refuses(result)) if coroutine else refuses(result))
    answer = await ask(server)
    assert (answer.status, json.loads(answer.body)["message"]) == (401, message)
    assert server.sessions == {}


@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize(("result", "message"), REFUSALS, ids=["False", "text", "an error"])
async def test_a_connect_handler_refuses_a_websocket_with_401(
    ws: str, coroutine: bool, result: Any, message: str
) -> None:
    server = EngineServer()
    server.on("connect", later(refuses(result)) if coroutine else refuses(result))
    async with handshake(server, ws) as (status, _, raw):
        assert status == 401
        assert f'"message":"{message}"' in (await within(raw.reader.read())).decode()
        assert server.sessions == {}


@pytest.mark.parametrize("result", [None, True])
async def test_a_connect_handler_that_returns_nothing_or_true_accepts(result: bool | None) -> None:
    server = EngineServer()
    server.on("connect", lambda sid, environ: result)
    assert (await ask(server)).status == 200


async def test_an_error_in_the_connect_handler_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = EngineServer()
    server.on("connect", refuses(ValueError("bug")))
    await ask(server)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


async def test_what_a_connect_handler_sends_follows_the_open_packet_over_polling() -> None:
    server = EngineServer()
    server.on("connect", later(lambda sid, environ: server.send(sid, "welcome") and None))
    poller = await Poller(server).open()
    assert poller.opened is not None
    packets = poller.opened.text.split(SEPARATOR)[1:] or await poller.get()
    assert packets == ["4welcome"]


@pytest.mark.parametrize("coroutine", [False, True])
async def test_what_a_connect_handler_sends_follows_the_open_packet_on_a_websocket(
    ws: str, coroutine: bool
) -> None:
    server = EngineServer()

    def connect(sid: str, environ: dict[str, Any]) -> None:
        server.send(sid, "one")
        server.send(sid, "two")

    server.on("connect", later(connect) if coroutine else connect)
    async with websocket(server, ws) as raw:
        assert [(await raw.read_frame())[1] for _ in range(2)] == [b"4one", b"4two"]


async def test_a_client_that_leaves_while_the_connect_handler_runs_is_disconnected(ws: str) -> None:
    server = EngineServer()
    entered, left = asyncio.Event(), asyncio.Event()
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        entered.set()
        await left.wait()

    server.on("disconnect", lambda sid, why: reason.set_result(why))
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(upgrade_request(PATH))
            await within(entered.wait())
        left.set()
        assert await within(reason) == "transport close"
        assert server.sessions == {}


async def test_the_message_handler_gets_text_and_bytes() -> None:
    server = EngineServer()
    got: list[Any] = []
    server.on("message", lambda sid, data: got.append((sid, data)))
    poller = await Poller(server).open()
    await poller.post("4text", "bAQID")
    assert got == [(poller.sid, "text"), (poller.sid, b"\x01\x02\x03")]


async def test_the_disconnect_handler_gets_the_reason() -> None:
    server = EngineServer()
    got: list[Any] = []
    server.on("disconnect", lambda sid, reason: got.append((sid, reason)))
    poller = await Poller(server).open()
    await poller.post("1")
    assert got == [(poller.sid, "client disconnect")]


async def test_a_disconnect_handler_may_do_without_the_reason() -> None:
    server = EngineServer()
    got: list[str] = []
    done = asyncio.Event()

    @server.on("disconnect")
    async def disconnect(sid: str) -> None:
        got.append(sid)
        done.set()

    poller = await Poller(server).open()
    await poller.post("1")
    await within(done.wait())
    assert got == [poller.sid]


async def test_a_disconnect_handlers_own_type_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = EngineServer()
    calls: list[tuple[Any, ...]] = []

    @server.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        calls.append((sid, reason))
        raise TypeError("my own")

    poller = await Poller(server).open()
    await poller.post("1")
    assert len(calls) == 1
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["my own"]


async def test_message_handlers_overlap_by_default() -> None:
    server = EngineServer()
    running_now = 0
    met = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        nonlocal running_now
        running_now += 1
        if running_now == 2:
            met.set()
        await met.wait()

    poller = await Poller(server).open()
    await poller.post("4one", "4two")
    await within(met.wait())


async def test_without_async_handlers_messages_are_handled_in_turn() -> None:
    server = EngineServer(async_handlers=False)
    steps: list[str] = []
    done = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        steps.append(f"begin {data}")
        await asyncio.sleep(0.01 if data == "1" else 0)
        steps.append(f"end {data}")
        if data == "3":
            done.set()

    poller = await Poller(server).open()
    await poller.post("41", "42", "43")
    await within(done.wait())
    assert steps == [f"{what} {number}" for number in (1, 2, 3) for what in ("begin", "end")]


async def test_without_async_handlers_nothing_is_kept_of_messages_that_are_handled() -> None:
    server = EngineServer(async_handlers=False)

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        pass

    poller = await Poller(server).open()
    await poller.post("41", "42", "43")
    while server.tasks:
        await asyncio.sleep(0)
    assert not server.tasks._last_in_turn


async def test_without_async_handlers_clients_do_not_wait_for_each_other() -> None:
    server = EngineServer(async_handlers=False)
    never, second = asyncio.Event(), asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        if data == "wait":
            await never.wait()
        second.set()

    first_client, second_client = await Poller(server).open(), await Poller(server).open()
    await first_client.post("4wait")
    await second_client.post("4go")
    await within(second.wait())


async def test_without_async_handlers_an_error_does_not_stop_the_messages_that_follow() -> None:
    server = EngineServer(async_handlers=False)
    done = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        if data == "bad":
            raise ValueError("bug")
        done.set()

    poller = await Poller(server).open()
    await poller.post("4bad", "4good")
    await within(done.wait())


@pytest.mark.parametrize("coroutine", [False, True])
async def test_an_error_in_a_message_handler_is_logged_and_the_session_goes_on(
    coroutine: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = EngineServer()

    def message(sid: str, data: str) -> None:
        if data != "end":
            json.loads(data)  # a ValueError, as for a packet that breaks the protocol
        server.send(sid, "still here")

    server.on("message", later(message) if coroutine else message)
    poller = await Poller(server).open()
    assert (await poller.post("4not json")).status == 200
    assert (await poller.post("4end")).status == 200
    assert await poller.get() == ["4still here"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [json.JSONDecodeError]
