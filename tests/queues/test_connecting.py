"""A client whose connect handler runs is disconnected in a cluster, from another process too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio

from asyncsock import AsyncServer
from asyncsock.queues import from_url
from tests.support.brokers import Redis
from tests.support.connecting_programs import EARLY, OUT, Program, connecting, in_order, received, rest
from tests.support.socketio_in_process import opened

MANAGERS = ["asyncsock", "python-socketio"]


def make_manager(kind: str, url: str, channel: str) -> Any:
    if kind == "asyncsock":
        return from_url(url, channel)
    return socketio.AsyncRedisManager(url, channel=channel)


@asynccontextmanager
async def started(*servers: AsyncServer) -> AsyncIterator[None]:
    for server in servers:
        await server.startup()
    try:
        yield
    finally:
        for server in servers:
            await server.shutdown()


async def until_heard(near: AsyncServer, far: AsyncServer) -> None:
    """Wait until a server hears another: python-socketio's managers begin with their first client."""
    async with opened(near) as client:
        client.send("40")
        while not any("begin" in packet for packet in await client.packets()):
            await far.emit("begin")
            await asyncio.sleep(0.01)


def is_to_leave(server: AsyncServer, sid: str) -> bool:
    connecting: Any = server._rooms
    return connecting.why_gone(sid, "/") is not None


@pytest.mark.parametrize("remote", MANAGERS)
@pytest.mark.parametrize("own", MANAGERS)
@pytest.mark.parametrize("kind", ["coroutine", "Flask function"])
async def test_a_connecting_client_is_disconnected_from_another_process(
    redis_broker: Redis, channel: str, kind: str, own: str, remote: str
) -> None:
    program = Program(kind, client_manager=make_manager(own, redis_broker.url, channel))
    near, far = program.server, AsyncServer(client_manager=make_manager(remote, redis_broker.url, channel))
    async with started(near, far):
        await until_heard(near, far)
        async with connecting(program) as (client, gate):
            await far.disconnect(gate.sid)
            await far.disconnect(gate.sid)
            while not is_to_leave(near, gate.sid):
                await asyncio.sleep(0.01)
            for to in (None, "room", gate.sid):
                await far.emit("secret", to=to)
            await near.emit("secret", to="room")
            gate.open()
            packets = await received(client, OUT)
            assert [packet for packet in packets if "begin" not in packet] == in_order(near, EARLY, OUT)
            while ("left", "server disconnect", True) not in program.notes:
                await asyncio.sleep(0.01)
            assert await rest(client) == []


@pytest.mark.parametrize("own", MANAGERS)
async def test_a_connect_handler_disconnects_its_client_with_a_queue(
    redis_broker: Redis, channel: str, own: str
) -> None:
    program = Program("coroutine", client_manager=make_manager(own, redis_broker.url, channel))
    program.act = lambda sid: program.server.disconnect(sid)
    async with started(program.server), opened(program.server) as client:
        client.send("40")
        assert await received(client, OUT) == in_order(program.server, EARLY, OUT)
        assert await program.until_noted() == [("left", "server disconnect", True)]
