"""Limits on the namespaces of a client, and on the time that it is in none."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import socketio

from asyncsock import AsyncServer
from asyncsock.engine.limits import Limits
from tests.support.asgi_in_process import HANDSHAKE, Closed, request
from tests.support.raw_clients import SEPARATOR, within
from tests.support.socketio_in_process import Client, connected, opened, until

MANAGERS: dict[str, Any] = {"ours": lambda: None, "python-socketio's": socketio.AsyncManager}
KINDS = ("no handler", "function", "coroutine", "class")


@pytest.fixture(params=MANAGERS)
def manager(request: pytest.FixtureRequest) -> Any:
    return MANAGERS[request.param]()


def accepting(kind: str, manager: Any, **options: Any) -> tuple[AsyncServer, list[str]]:
    """A server that lets clients into any namespace, and the sids that its connect handlers have seen."""
    seen: list[str] = []

    async def connect(sid: str, environ: Any) -> None:
        seen.append(sid)

    class Noting(socketio.AsyncNamespace):
        async def on_connect(self, namespace: str, sid: str, environ: Any) -> None:
            seen.append(sid)

    server = AsyncServer(client_manager=manager, namespaces="*", **options)
    if kind == "function":
        server.on("connect", lambda namespace, sid, environ: seen.append(sid), namespace="*")
    elif kind == "coroutine":
        for number in range(10):
            server.on("connect", connect, namespace=f"/{number}")
    elif kind == "class":
        server.register_namespace(Noting("*"))
    return server, seen


def ask_for(client: Client, *namespaces: str) -> None:
    """Send CONNECT packets as if all had been read at once."""
    for namespace in namespaces:
        client.server.eio.sessions[client.eio_sid].receive(f"40{namespace},")


async def answers(client: Client, count: int) -> list[Any]:
    """What the client got for each CONNECT packet: True, or the message of the refusal."""
    found: list[Any] = []
    for _ in range(count):
        packet = await client.receive()
        data = json.loads(packet[packet.index("{") :])
        found.append(True if packet[:2] == "40" else data["message"])
    return found


# How many


@pytest.mark.parametrize("kind", KINDS)
async def test_a_namespace_too_many_is_refused_without_its_handler(kind: str, manager: Any) -> None:
    server, seen = accepting(kind, manager, max_namespaces=2)
    async with opened(server) as client:
        ask_for(client, "/1", "/2")
        assert await answers(client, 2) == [True, True]
        called = len(seen)
        ask_for(client, "/3")
        assert not server.eio.tasks
        assert await answers(client, 1) == ["Too many namespaces"]
        assert len(seen) == called
        assert server.limits()["max_namespaces"] == {"limit": 2, "hits": 1}


async def test_namespaces_that_a_client_asks_for_at_once_count_while_they_connect(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, namespaces="*", max_namespaces=3)
    decided = asyncio.Event()

    async def connect(namespace: str, sid: str, environ: Any) -> None:
        await decided.wait()

    server.on("connect", connect, namespace="*")
    async with opened(server) as client:
        ask_for(client, *[f"/{number}" for number in range(1000)])
        assert len(server.eio.tasks) == 3
        assert await answers(client, 997) == ["Too many namespaces"] * 997
        decided.set()
        assert await answers(client, 3) == [True] * 3


async def test_a_client_that_leaves_a_namespace_may_connect_to_another(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, namespaces="*", max_namespaces=1)
    async with connected(server, "/a") as client:
        client.send("41/a,")
        await client.connect("/b")


async def test_the_limit_is_1000_by_default_and_none_lifts_it() -> None:
    assert Limits().max_namespaces == 1000
    server = AsyncServer(namespaces="*", max_namespaces=None)
    async with opened(server) as client:
        ask_for(client, *[f"/{number}" for number in range(1100)])
        assert await answers(client, 1100) == [True] * 1100


async def test_a_polling_client_is_refused_as_well(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, namespaces="*", max_namespaces=1)
    opening = await request(server.handle_request)
    query = f"{HANDSHAKE}&sid={json.loads(opening.text[1:])['sid']}"
    posted = await request(server.handle_request, "POST", query=query, body=b"40/a,\x1e40/b,")
    assert posted.text == "ok"
    packets: list[str] = []
    while len(packets) < 2:
        packets += (await request(server.handle_request, query=query)).text.split(SEPARATOR)
    assert '44/b,{"message":"Too many namespaces"}' in packets


# The same namespace again and again


async def test_a_namespace_that_a_client_asks_for_again_is_refused_without_a_task(manager: Any) -> None:
    server = AsyncServer(client_manager=manager)
    decided = asyncio.Event()
    calls: list[str] = []

    async def connect(sid: str, environ: Any) -> None:
        calls.append(sid)
        await decided.wait()

    server.on("connect", connect, namespace="/a")
    async with opened(server) as client:
        ask_for(client, *["/a"] * 1000)
        assert len(server.eio.tasks) == 1
        assert await answers(client, 999) == ["Unable to connect"] * 999
        decided.set()
        assert await answers(client, 1) == [True]
        await until(lambda: not server.eio.tasks)
        ask_for(client, *["/a"] * 1000)
        assert not server.eio.tasks
        assert await answers(client, 1000) == ["Unable to connect"] * 1000
    assert len(calls) == 1


async def test_a_client_that_leaves_before_its_connect_handler_has_begun_is_out() -> None:
    server = AsyncServer()
    left = asyncio.Event()
    server.on("connect", lambda sid, environ: None)
    server.on("disconnect", lambda sid, reason: left.set())
    async with opened(server) as client:
        session = server.eio.sessions[client.eio_sid]
        session.receive("40")
        session.receive("41")
        await within(left.wait())
        await until(lambda: not server.eio.tasks)
        assert not server.manager.clients


async def test_a_manager_that_fails_leaves_the_namespace_free() -> None:
    manager = socketio.AsyncManager()
    first_step = "pre_connect" if hasattr(manager, "pre_connect") else "connect"
    enter = getattr(manager, first_step)

    async def fail(*args: Any) -> None:
        raise OSError("no connection to the store")

    setattr(manager, first_step, fail)
    server = AsyncServer(client_manager=manager)
    server.on("connect", lambda sid, environ: None)
    async with opened(server) as client:
        client.send("40")
        await until(lambda: server.connections[client.eio_sid].greeted)
        await until(lambda: not server.eio.tasks)
        setattr(manager, first_step, enter)
        await client.connect()


# In no namespace


async def refuse(sid: str, environ: Any) -> bool:
    return False


def keep_asking(client: Client, packet: str) -> asyncio.Task[None]:
    async def ask() -> None:
        while True:
            client.send(packet)
            await asyncio.sleep(0.005)

    return asyncio.ensure_future(ask())


async def until_closed(client: Client) -> None:
    with pytest.raises(Closed):
        while True:
            await client.receive()


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_client_that_is_refused_again_and_again_is_closed(manager: Any, always_connect: bool) -> None:
    server = AsyncServer(client_manager=manager, connect_timeout=0.1, always_connect=always_connect)
    server.on("connect", refuse)
    async with opened(server) as client:
        asking = keep_asking(client, "40")
        if always_connect:  # each time it is let in for a moment
            await until(lambda: server.connections[client.eio_sid].greeted)
            asking.cancel()
        await within(until_closed(client))
        asking.cancel()
    assert server.limits()["connect_timeout"]["hits"] == 1


async def test_a_client_that_asks_for_unknown_namespaces_is_closed(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, connect_timeout=0.1)
    async with opened(server) as client:
        asking = keep_asking(client, "40/unknown,")
        await within(until_closed(client))
        asking.cancel()


def time_out_soon(server: AsyncServer) -> None:
    """Shorten `connect_timeout`, once those are connected that are to stay."""
    deadlines = server._disconnector.in_no_namespace
    deadlines.clear()  # with the timer, which is set for the usual delay
    deadlines.delay = 0.05


@pytest.mark.parametrize("has_handler", [False, True])
@pytest.mark.parametrize("who", ["client", "server"])
async def test_a_client_that_has_left_its_last_namespace_is_closed(
    manager: Any, has_handler: bool, who: str
) -> None:
    server = AsyncServer(client_manager=manager, namespaces=["/", "/b"])
    if has_handler:
        server.on("disconnect", lambda sid, reason: None)
    async with connected(server, "/", "/b") as client, connected(server) as other:
        time_out_soon(server)
        if who == "client":
            client.send("41")
            client.send("41/b,")
        else:
            server.disconnect(client.sid)
            server.disconnect(client.sids["/b"], "/b")
        await within(until_closed(client))
        assert list(server.eio.sessions) == [other.eio_sid]


async def test_a_client_that_is_in_another_namespace_stays(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, namespaces=["/", "/b"])
    async with connected(server, "/", "/b") as client:
        time_out_soon(server)
        client.send("41")
        async with opened(server) as idle:
            await within(until_closed(idle))
        assert client.eio_sid in server.eio.sessions


async def test_a_client_that_comes_back_in_time_stays(manager: Any) -> None:
    server = AsyncServer(client_manager=manager, namespaces=["/"])
    async with connected(server) as client:
        client.send("41")
        await client.connect()
        time_out_soon(server)
        async with opened(server) as idle:
            await within(until_closed(idle))
        assert client.eio_sid in server.eio.sessions
