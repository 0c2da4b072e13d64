"""The methods of EngineServer that applications call."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    WEBSOCKET,
    Socket,
)
from tests.support.engineio_in_process import PATH, Poller, ask, websocket
from tests.support.raw_clients import CLOSE, frame, within


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("text", "4text"),
        ("", "4"),
        (b"\x01\x02\x03", "bAQID"),
        (bytearray(b"\x01\x02\x03"), "bAQID"),
        ({"a": [1, None]}, '4{"a":[1,null]}'),
        (["žluť"], '4["\\u017elu\\u0165"]'),
        (7, "47"),
    ],
)
async def test_send_takes_text_bytes_and_what_json_can_encode(data: Any, packet: str) -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    await server.send(poller.sid, data)
    assert await poller.get() == [packet]


async def test_send_without_await_sends() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    server.send(poller.sid, "one")
    server.send(poller.sid, "two")
    assert await poller.get() == ["4one", "4two"]


async def test_send_to_an_unknown_client_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    await EngineServer().send("nobody", "hello")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_disconnect_ends_one_session() -> None:
    server = EngineServer()
    one, two = await Poller(server).open(), await Poller(server).open()
    await server.disconnect(one.sid)
    assert list(server.sessions) == [two.sid]
    assert await one.get() == ["1"]


async def test_disconnect_ends_all_sessions() -> None:
    server = EngineServer()
    reasons: list[str] = []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    await Poller(server).open()
    await Poller(server).open()
    await server.disconnect()
    assert server.sessions == {}
    assert reasons == ["server disconnect"] * 2


async def test_disconnect_of_an_unknown_client_does_nothing() -> None:
    await EngineServer().disconnect("nobody")


async def test_what_was_sent_before_disconnect_arrives(ws: str) -> None:
    server = EngineServer()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        await server.send(sid, "bye")
        await server.disconnect(sid)

    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4go"))
        assert (await raw.read_frame())[1] == b"4bye"
        assert (await raw.read_frame())[0] == CLOSE


async def test_the_user_session_is_an_empty_dictionary_at_first() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    assert await server.get_session(poller.sid) == {}


async def test_the_user_session_is_saved() -> None:
    server = EngineServer()
    one, two = await Poller(server).open(), await Poller(server).open()
    await server.save_session(one.sid, {"user": "ann"})
    assert await server.get_session(one.sid) == {"user": "ann"}
    assert await server.get_session(two.sid) == {}


async def test_the_user_session_is_a_context_manager() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    async with server.session(poller.sid) as session:
        session["user"] = "ann"
    assert await server.get_session(poller.sid) == {"user": "ann"}


async def test_the_user_session_is_there_in_the_connect_handler() -> None:
    server = EngineServer()

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.save_session(sid, {"user": "ann"})

    poller = await Poller(server).open()
    assert await server.get_session(poller.sid) == {"user": "ann"}


@pytest.mark.parametrize("coroutine", [False, True])
async def test_the_user_session_is_there_in_the_disconnect_handler(coroutine: bool) -> None:
    server = EngineServer()
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @server.on("disconnect")
    async def disconnect(sid: str) -> None:
        if coroutine:
            await asyncio.sleep(0)
        try:
            got.set_result(await server.get_session(sid))
        except KeyError as error:
            got.set_exception(AssertionError(f"no session {error}"))

    poller = await Poller(server).open()
    await server.save_session(poller.sid, {"user": "ann"})
    await poller.post("1")
    assert await within(got) == {"user": "ann"}


async def test_transport_tells_the_transport() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    assert server.transport(poller.sid) == "polling"
    async with Socket(server.handle_request) as socket:
        sid = json.loads((await socket.receive())[1:])["sid"]
        assert server.transport(sid) == "websocket"


async def test_transport_follows_an_upgrade() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    async with Socket(server.handle_request, PATH, f"{WEBSOCKET}&sid={poller.sid}") as socket:
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        server.on("message", server.send)
        socket.send("4hello")
        assert await socket.receive() == "4hello"
        assert server.transport(poller.sid) == "websocket"


def test_attach_is_an_error_that_names_asgi_app() -> None:
    with pytest.raises(NotImplementedError, match="ASGIApp"):
        EngineServer().attach(object())


async def test_start_background_task_runs_a_coroutine_function() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    assert await within(EngineServer().start_background_task(add, 1, b=2)) == 3


async def test_an_error_in_a_background_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("bug")

    await within(EngineServer().start_background_task(fail))
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


async def test_sleep_create_queue_and_create_event_are_asyncios() -> None:
    server = EngineServer()
    await server.sleep(0)
    assert isinstance(server.create_queue(), asyncio.Queue)
    assert isinstance(server.create_event(), asyncio.Event)


def test_generated_ids_are_20_safe_characters_and_differ() -> None:
    server = EngineServer()
    ids = {server.generate_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) == 20 and id.replace("-", "").replace("_", "").isalnum() for id in ids)


async def test_shutdown_ends_every_session_and_refuses_new_ones() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    hanging = asyncio.ensure_future(poller.request("GET"))
    await asyncio.sleep(0)
    await within(server.shutdown())
    assert (await within(hanging)).text == "1"
    assert server.sessions == {}
    assert (await ask(server)).status == 503
