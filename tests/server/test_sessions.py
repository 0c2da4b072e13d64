"""What a server keeps for each client: the user session, the environ, the transport."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected


async def test_sessions_of_two_namespaces_are_apart(any_server: AsyncServer) -> None:
    any_server.namespaces = ["/", "/other"]
    async with connected(any_server, "/", "/other") as client:
        await any_server.save_session(client.sid, {"a": 1})
        assert await any_server.get_session(client.sid) == {"a": 1}
        assert await any_server.get_session(client.sids["/other"], namespace="/other") == {}


async def test_a_session_is_a_context_manager(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        async with any_server.session(client.sid) as session:
            session["a"] = 1
        assert await any_server.get_session(client.sid) == {"a": 1}


@pytest.mark.parametrize("how", ["41", "1", "41 and 1", "breaks off", "is disconnected"])
async def test_the_session_is_there_in_the_disconnect_handler(any_server: AsyncServer, how: str) -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        try:
            got.set_result(await any_server.get_session(sid))
        except Exception as error:
            got.set_exception(AssertionError(f"no session: {error!r}"))

    async with connected(any_server) as client:
        await any_server.save_session(client.sid, {"user": "ann"})
        if how == "breaks off":
            await client.leave()
        elif how == "is disconnected":
            await any_server.disconnect(client.sid)
        else:
            for packet in how.split(" and "):
                client.send(packet)
        assert await within(got) == {"user": "ann"}


@pytest.mark.parametrize("how", ["41", "41 and 1", "breaks off"])
async def test_the_environ_is_there_in_the_disconnect_handler(any_server: AsyncServer, how: str) -> None:
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @any_server.event
    async def disconnect(sid: str) -> None:
        await asyncio.sleep(0)
        got.set_result(any_server.get_environ(sid))

    async with connected(any_server) as client:
        if how == "breaks off":
            await client.leave()
        else:
            for packet in how.split(" and "):
                client.send(packet)
        assert "PATH_INFO" in (await within(got) or {})


async def test_transport_tells_a_clients_transport(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        assert any_server.transport(client.sid) == "websocket"


def test_attach_is_an_error_that_names_asgi_app(server: AsyncServer) -> None:
    with pytest.raises(NotImplementedError, match="ASGIApp"):
        server.attach(object())
