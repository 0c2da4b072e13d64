"""The Admin UI with several processes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asyncsock import AsyncServer
from tests.support.admin_clients import refusal, watching
from tests.support.cluster_in_process import eventually, servers, started
from tests.support.socketio_in_process import connected

Place = tuple[str, str]
RIGHT = {"username": "admin", "password": "secret"}


@asynccontextmanager
async def three(
    place: Place, auth: object = False, mode: str = "development"
) -> AsyncIterator[list[AsyncServer]]:
    async with servers(*place, 3) as found:
        for number, server in enumerate(found):
            server.instrument(auth, mode, server_id=f"server {number}", server_stats_interval=0.05)
        yield found


@pytest.fixture(params=["local_broker", "redis_broker"])
def place(request: pytest.FixtureRequest, channel: str) -> Place:
    """The URL and the channel of a message queue."""
    return request.getfixturevalue(request.param).url, channel


async def test_the_clients_of_all_processes_come_as_one_list(place: Place) -> None:
    async with three(place) as found:
        async with connected(found[0]) as one, connected(found[1]) as two, watching(found[2]) as admin:
            [sockets] = await admin.gets("all_sockets")
            assert {socket["id"] for socket in sockets} == {one.sid, two.sid, admin.sid}
            await two.leave()
            assert (await admin.gets("socket_disconnected"))[1] == two.sid
            async with connected(found[0]) as late:
                [socket, _] = await admin.gets("socket_connected")
                assert socket["id"] == late.sid
    assert [name for name, *_ in admin.messages].count("all_sockets") == 1


async def test_each_process_shows_its_figures_under_a_name_of_its_own(place: Place) -> None:
    async with three(place, mode="production") as found, connected(found[0]), watching(found[2]) as admin:
        clients: dict[str, int] = {}
        while len(clients) < 3:
            [stats] = await admin.gets("server_stats")
            clients[stats["serverId"].partition("#")[0]] = stats["clientsCount"]
        assert clients == {"server 0": 1, "server 1": 0, "server 2": 1}


async def test_events_of_clients_of_other_processes_are_shown(place: Place) -> None:
    async with three(place) as found, connected(found[0]) as one, watching(found[2]) as admin:
        await admin.gets("all_sockets")
        one.send('42["hello",1]')
        assert (await admin.gets("event_received"))[:3] == ["/", one.sid, ["hello", 1]]
        await found[1].emit("news", 2)
        assert (await admin.gets("event_sent"))[:3] == ["/", one.sid, ["news", 2]]


async def test_actions_reach_the_clients_of_other_processes(place: Place) -> None:
    async with three(place) as found, connected(found[0]) as one, watching(found[2]) as admin:
        await admin.gets("all_sockets")
        admin.emit("join", "/", "room", one.sid)
        assert (await admin.gets("room_joined"))[:3] == ["/", "room", one.sid]
        admin.emit("emit", "/", "room", "hello", 1)
        assert await one.event() == ["hello", 1]
        admin.emit("leave", "/", "room")
        assert (await admin.gets("room_left"))[:3] == ["/", "room", one.sid]
        admin.emit("_disconnect", "/", False, one.sid)
        assert await one.receive() == "41"


async def test_nobody_reports_when_the_last_has_left(place: Place) -> None:
    async with three(place) as found:
        async with watching(found[2]) as admin:
            await admin.gets("all_sockets")
            assert found[0]._rooms.watcher is not None
        await eventually(lambda: not any(server._rooms.watcher for server in found))


async def test_a_process_that_starts_later_reports_too(place: Place) -> None:
    async with three(place) as found, watching(found[0]) as admin:
        await admin.gets("all_sockets")
        async with started(*place) as late:
            late.instrument(False, server_id="late", server_stats_interval=0.05)
            await admin.gets("server_stats", lambda stats: stats["serverId"].startswith("late"))
            async with connected(late) as client:
                [socket, _] = await admin.gets("socket_connected")
                assert socket["id"] == client.sid


async def test_who_watches_at_a_process_that_has_gone_is_forgotten(place: Place) -> None:
    async with servers(*place, 1) as [stays]:
        stays.instrument(False)
        async with started(*place) as goes:
            goes.instrument(False)
            await eventually(lambda: stays.cluster.members() and goes.cluster.members())
            async with watching(goes) as admin:
                await admin.gets("all_sockets")
                await eventually(lambda: stays._rooms.watcher)
                await goes.shutdown()
        await eventually(lambda: stays._rooms.watcher is None)


async def test_logins_are_of_all_processes(place: Place) -> None:
    async with three(place, RIGHT) as found:
        async with watching(found[0], RIGHT) as admin:
            [token] = await admin.gets("session")
        await logs_in(found[1], token)
        for _ in range(5):
            await refusal(found[0], {"username": "admin"})
            await refusal(found[1], {"username": "admin"})
        await eventually(lambda: [wrong_logins(server) for server in found] == [10, 10, 10])
        assert "too many" in await refusal(found[0], RIGHT)


def wrong_logins(server: AsyncServer) -> int:
    """How many wrong logins a process knows of."""
    return sum(count for _, count in server._admin._logins._wrong.values())


async def logs_in(server: AsyncServer, token: str) -> None:
    """Log in with what another process has given, which this one may not know yet."""

    async def accepted() -> bool:
        try:
            async with watching(server, {"sessionId": token}) as admin:
                await admin.gets("config")
                return True
        except AssertionError:
            return False

    assert await accepted() or await accepted()


async def test_events_that_are_large_together_reach_a_browser_at_another_process(place: Place) -> None:
    async with three(place) as found, connected(found[0]) as one, watching(found[2]) as admin:
        await admin.gets("all_sockets")
        large = ["é" * 1000] * 150
        for number in range(150):
            one.send(f"42{json.dumps(['large', number, large])}")
        await admin.gets("event_received", lambda nsp, sid, event, at: event[1] == 149)
