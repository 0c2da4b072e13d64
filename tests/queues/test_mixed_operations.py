"""Operations in a cluster of which some processes are python-socketio's or Flask-SocketIO's.

Those ignore what they do not know, and nothing breaks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import pytest
from socketio import AsyncRedisManager

from asyncsock import AsyncServer
from tests.support.brokers import Redis
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.raw_clients import within
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve
from tests.support.socketio_in_process import connected as connected_here

CASES = [
    ("redis_broker", "python-socketio"),
    ("redis_broker", "flask-socketio"),
    ("rabbitmq_broker", "python-socketio"),
    ("rabbitmq_broker", "flask-socketio"),
]


class Mixed(NamedTuple):
    """Two of our servers and one of others, each with a client."""

    servers: list[Server]
    ours: list[Client]
    theirs: Client


async def do(client: Client, method: str, *args: Any, **options: Any) -> Any:
    return await client.socket.call("do", (method, args, options), timeout=30)


@pytest.fixture(params=CASES, ids="-".join)
async def mixed(request: pytest.FixtureRequest, channel: str) -> AsyncIterator[Mixed]:
    broker, kind = request.param
    environment = {"QUEUE": request.getfixturevalue(broker).url, "CHANNEL": channel, "KIND": kind}
    how = {"target": "tests.apps.cluster:asgi"}
    if kind == "flask-socketio":
        how = {"target": "tests/apps/cluster.py", "server": "python"}
    serving = [serve("tests.apps.operations:asgi", env=environment) for _ in range(2)]
    serving.append(serve(**how, env=environment))
    async with AsyncExitStack() as stack:
        servers = await asyncio.gather(*[asyncio.to_thread(stack.enter_context, each) for each in serving])
        clients = [
            await stack.enter_async_context(connected(server.url, mode="websocket")) for server in servers
        ]
        for number, client in enumerate(clients):
            client.answer("ask", lambda number=number: number)
        mixed = Mixed(list(servers), clients[:2], clients[2])
        await hear_each_other(mixed)
        yield mixed
        for server in servers:
            assert not trouble(server), server.log()


async def hear_each_other(mixed: Mixed) -> None:
    """Wait until the foreign server listens, and ours know each other."""
    begun = mixed.theirs.arrivals("begin")

    async def wait() -> None:
        while await mixed.ours[0].call("members") != 1 or begun.empty():
            await do(mixed.ours[0], "emit", "begin")
            await asyncio.sleep(0.05)

    await within(wait(), 30)


async def test_operations_reach_our_processes_and_others_pass_them_over(mixed: Mixed) -> None:
    one, two = mixed.ours
    sids = sorted(str(client.socket.get_sid()) for client in mixed.ours)
    assert await do(one, "fetch_sockets") == sids
    assert sorted(await do(two, "call_all", "ask")) == [0, 1]
    assert len(await do(one, "server_side_emit", "who", "x" * 600_000, ack=True)) == 1
    await do(one, "sockets_join", "room")
    assert await do(two, "fetch_sockets", to="room") == sids
    gone = two.arrivals("disconnect")
    await do(one, "disconnect_sockets", to=[two.socket.get_sid(), mixed.theirs.socket.get_sid()])
    await arrived(gone)


async def test_events_go_on_in_both_directions(mixed: Mixed) -> None:
    one, two = mixed.ours
    heard = [client.arrivals("said") for client in (one, two, mixed.theirs)]
    await do(one, "sockets_join", "room", to=two.socket.get_sid())
    await do(one, "emit", "said", 1)
    assert [await arrived(queue) for queue in heard] == [(1,)] * 3
    await mixed.theirs.call("put", "said", 2, {"to": "room"})
    assert await arrived(heard[1]) == (2,)


async def test_with_a_manager_of_theirs_the_operations_work_on_the_clients_here(
    redis_broker: Redis, channel: str
) -> None:
    server = AsyncServer(client_manager=AsyncRedisManager(redis_broker.url, channel=channel))
    async with connected_here(server) as one, connected_here(server) as two:
        await server.sockets_join(["a", "b"])
        await server.sockets_leave("a", to=two.sid)
        await asyncio.sleep(0)
        found = {each.sid: sorted(each.rooms) for each in await within(server.fetch_sockets())}
        assert found == {one.sid: sorted(["a", "b", one.sid]), two.sid: sorted(["b", two.sid])}
        assert [each.sid for each in await within(server.fetch_sockets(to=["a", None]))] == [one.sid]
        assert await within(server.fetch_sockets(to=[])) == []
        calling = asyncio.create_task(server.call_all("ask", 1, timeout=None))
        assert await within(one.receive()) == '421["ask",1]'
        assert await within(two.receive()) == '421["ask",1]'
        one.send('431["answer"]')
        two.send("41")
        assert await within(calling) == ["answer"]
        assert await within(server.server_side_emit("event", ack=True)) == []
        await within(server.disconnect_sockets(close=True))
        assert await within(one.receive()) == "41"
