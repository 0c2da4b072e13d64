"""What a `SocketIO` object does with the clients and the servers of all processes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, g, has_request_context

from asyncsock import AnswersMissing, Namespace, SocketIO
from tests.support.cluster_in_process import met
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected


def program(url: str, name: str) -> SocketIO:
    return SocketIO(Flask(name), message_queue=url)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[tuple[SocketIO, SocketIO]]:
    """Two programs that share a queue."""
    found = program(f"local://{tmp_path}", "one"), program(f"local://{tmp_path}", "two")
    for socketio in found:
        await within(socketio.server.startup())
    await met([socketio.server for socketio in found])
    yield found
    for socketio in found:
        await socketio.server.shutdown()


async def test_coroutines_and_functions_handle_events_of_other_servers_in_an_application_context(
    pair: tuple[SocketIO, SocketIO],
) -> None:
    one, two = pair
    closed: list[str] = []
    assert two.app is not None
    two.app.teardown_appcontext(lambda error: closed.append(g.where))

    @two.on_server_side("coroutine")
    async def in_coroutine(number: int) -> Any:
        g.where = "coroutine"
        await asyncio.sleep(0)
        return [current_app.name, g.where, number, has_request_context(), threading.get_ident()]

    @two.on_server_side("function", namespace="/other")
    def in_function(number: int) -> Any:
        g.where = "function"
        return [current_app.name, g.where, number, has_request_context(), threading.get_ident()]

    here = threading.get_ident()
    (first,) = await within(one.server_side_emit("coroutine", 1, ack=True))
    assert first == ["two", "coroutine", 1, False, here]
    (second,) = await within(one.server_side_emit("function", 2, namespace="/other", ack=True))
    assert second[:4] == ["two", "function", 2, False]
    assert second[4] != here
    assert closed == ["coroutine", "function"]


async def test_handlers_that_were_registered_before_there_was_an_application_are_kept(tmp_path: Path) -> None:
    late = SocketIO()
    late.on_server_side("ask")(lambda: current_app.name)
    late.init_app(Flask("late"), message_queue=f"local://{tmp_path}")
    other = program(f"local://{tmp_path}", "other")
    for socketio in (late, other):
        await within(socketio.server.startup())
    await met([late.server, other.server])
    assert await within(other.server_side_emit("ask", ack=True)) == ["late"]
    for socketio in (late, other):
        await socketio.server.shutdown()


async def test_a_function_that_returns_a_coroutine_is_an_error(
    pair: tuple[SocketIO, SocketIO], caplog: pytest.LogCaptureFixture
) -> None:
    one, two = pair

    async def coroutine() -> None:
        pass

    two.on_server_side("ask")(lambda: coroutine())
    with pytest.raises(AnswersMissing):
        await within(one.server_side_emit("ask", ack=True))
    assert "returned a coroutine" in errors(caplog)[0]


async def test_everything_works_in_handlers_views_and_threads(pair: tuple[SocketIO, SocketIO]) -> None:
    one, two = pair
    two.on_server_side("ask")(lambda: "server")

    def everything() -> list[Any]:
        found = [len(one.fetch_sockets())]
        one.sockets_join(["room", "left"])
        one.sockets_leave("left")
        found += [len(one.fetch_sockets(to="room")), len(one.fetch_sockets(to="left"))]
        found.append(one.call_all("ask", 1, 2, to="room"))
        found.append(one.call_all("ask", data=(1, 2), to="room"))
        found.append(one.server_side_emit("ask", ack=True))
        one.server_side_emit("ask")
        one.disconnect_sockets(to="room")
        return found

    one.on("everything")(everything)
    assert one.app is not None
    one.app.add_url_rule("/", view_func=everything)

    @asynccontextmanager
    async def everything_from(way: str) -> AsyncIterator[Any]:
        assert one.app is not None
        async with connected(two.server) as client:
            if way == "view":
                calling = asyncio.create_task(asyncio.to_thread(one.app.test_client().get, "/"))
            else:
                calling = asyncio.create_task(asyncio.to_thread(everything))
            for _ in range(2):
                packet = await within(client.receive())
                assert packet.endswith('["ask",1,2]')
                client.send(f"43{packet[2 : packet.index('[')]}[1]")
            assert await within(client.receive()) == "41"
            yield await within(calling)

    expected = [1, 1, 0, [1], [1], ["server"]]
    async with everything_from("view") as response:
        assert response.json == expected
    async with everything_from("thread") as found:
        assert found == expected
    async with connected(one.server) as client:
        client.send('420["everything"]')
        for _ in range(2):
            packet = await within(client.receive())
            client.send(f"43{packet[2 : packet.index('[')]}[1]")
        assert await within(client.receive()) == "41"


async def test_a_namespace_means_its_own_clients(pair: tuple[SocketIO, SocketIO]) -> None:
    one, two = pair
    chat = Namespace("/chat")
    one.on_namespace(chat)
    two.on_namespace(Namespace("/chat"))
    async with connected(two.server, "/chat") as client:
        sid = client.sids["/chat"]
        await chat.sockets_join(["room", "left"])
        await chat.sockets_leave("left")
        (found,) = await within(chat.fetch_sockets())
        assert (found.sid, found.rooms) == (sid, [sid, "room"])
        calling = asyncio.create_task(chat.call_all("ask", to="room"))
        assert await within(client.receive()) == '42/chat,1["ask"]'
        client.send("43/chat,1[2]")
        assert await within(calling) == [2]
        await chat.disconnect_sockets()
        assert await within(client.receive()) == "41/chat,"
