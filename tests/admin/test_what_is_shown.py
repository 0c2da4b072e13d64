"""What the Admin UI is told: python-socketio's own cases by their meaning, and others."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.admin.conftest import Instrumented
from tests.support.admin_clients import watching
from tests.support.asgi_in_process import request
from tests.support.socketio_in_process import connected

ACTIONS = {"EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"}


def counts(stats: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["socketsCount"] for each in stats["namespaces"]}


async def test_an_admin_alone_sees_itself(instrumented: Instrumented) -> None:
    async with watching(instrumented()) as admin:
        [config] = await admin.gets("config")
        [sockets] = await admin.gets("all_sockets")
        [stats] = await admin.gets("server_stats")
    assert set(config["supportedFeatures"]) == {*ACTIONS, "ALL_EVENTS", "AGGREGATED_EVENTS"}
    [socket] = sockets
    assert socket["id"] == admin.sid
    assert socket["rooms"] == [admin.sid]
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (1, 0)
    assert counts(stats) == {"/": 0, "/foo": 0, "/admin": 1}


async def test_an_admin_sees_the_others_with_their_rooms_and_transports(instrumented: Instrumented) -> None:
    server = instrumented()
    await request(server.handle_request)  # one that polls
    [polling] = server.eio.sessions
    await request(
        server.handle_request, "POST", query=f"EIO=4&transport=polling&sid={polling}", body=b"40/foo,"
    )
    async with connected(server) as one, watching(server) as two, watching(server) as admin:
        one.send('42["enter_room","room"]')
        await one.packets()
        [sockets] = await admin.gets("all_sockets")
        [stats] = await admin.gets("server_stats")
    rooms = {socket["id"]: socket["rooms"] for socket in sockets}
    assert rooms.pop(one.sid) == [one.sid, "room"]
    assert rooms.pop(two.sid) == [two.sid]
    assert rooms.pop(admin.sid) == [admin.sid]
    [(sid, others)] = rooms.items()
    assert others == [sid]
    transports = {socket["nsp"]: socket["transport"] for socket in sockets}
    assert transports == {"/": "websocket", "/foo": "polling", "/admin": "websocket"}
    assert (stats["clientsCount"], stats["pollingClientsCount"]) == (4, 1)
    assert counts(stats) == {"/": 1, "/foo": 1, "/admin": 2}


async def test_in_production_mode_and_read_only_it_gets_numbers(instrumented: Instrumented) -> None:
    server = instrumented(mode="production", read_only=True)
    async with watching(server) as admin, connected(server) as client:
        client.send('42["emit","news"]')
        [config] = await admin.gets("config")
        [stats] = await admin.gets("server_stats", lambda stats: stats["clientsCount"] == 2)
    assert config["supportedFeatures"] == ["AGGREGATED_EVENTS"]
    assert counts(stats) == {"/": 1, "/foo": 0, "/admin": 1}
    assert {name for name, *_ in admin.messages} == {"config", "server_stats"}


async def test_in_production_mode_no_event_is_looked_at(instrumented: Instrumented) -> None:
    server = instrumented(mode="production")
    async with watching(server) as admin:
        await admin.gets("server_stats")
        assert (
            server._rooms.watcher is server._disconnector.on_leaving is server._dispatcher.on_upgrade is None
        )
        assert not server._watches
        assert server.eio.core.application is server._dispatcher


async def test_the_sums_are_those_of_what_has_happened(instrumented: Instrumented) -> None:
    server = instrumented(mode="production")
    async with watching(server) as admin:
        await admin.gets("config")
        for _ in range(5):
            async with connected(server) as client:
                client.send('42["emit","news","words"]')
                await client.packets()
        await admin.gets("server_stats", lambda stats: stats["clientsCount"] == 1)
        await admin.gets("server_stats")
    sums: dict[tuple[str, str | None], int] = {}
    for _, stats in [message for message in admin.messages if message[0] == "server_stats"]:
        for happened in stats["aggregatedEvents"]:
            key = happened["type"], happened["subType"]
            sums[key] = sums.get(key, 0) + happened["count"]
    assert sums.pop(("rawConnection", None)) == 5
    assert sums.pop(("rawDisconnection", "transport close")) == 5
    assert sums.pop(("bytesIn", None)) == 5 * len('4042["emit","news","words"]')
    assert sums.pop(("bytesOut", None)) > 5 * len('40{"sid":"12345678901234567890"}')
    assert not sums


async def test_a_client_is_shown_as_it_comes_and_goes(instrumented: Instrumented) -> None:
    server = instrumented()
    async with watching(server) as admin:
        await admin.gets("all_sockets")
        async with connected(server) as client:
            socket, connected_at = await admin.gets("socket_connected")
            client.send('42["enter_room","lobby"]')
            joined = await admin.gets("room_joined")
            client.send('42["exit_room","lobby"]')
            left = await admin.gets("room_left")
        own = await admin.gets("room_left")
        gone = await admin.gets("socket_disconnected")
    assert (socket["id"], socket["nsp"], socket["transport"]) == (client.sid, "/", "websocket")
    assert (socket["handshake"]["address"], socket["handshake"]["secure"]) == ("127.0.0.1", False)
    assert socket["handshake"]["headers"]["host"] == "example.org"
    assert socket["handshake"]["query"] == {"EIO": "4", "transport": "websocket"}
    assert connected_at == socket["handshake"]["time"]
    assert joined[:3] == left[:3] == ["/", "lobby", client.sid]
    assert own[:3] == ["/", client.sid, client.sid]
    assert gone[:3] == ["/", client.sid, "transport close"]


@pytest.mark.parametrize(("how", "why"), [("client", "client disconnect"), ("server", "server disconnect")])
async def test_the_reason_of_a_disconnection_is_shown(instrumented: Instrumented, how: str, why: str) -> None:
    server = instrumented()
    async with watching(server) as admin, connected(server) as client:
        await admin.gets("config")
        if how == "client":
            client.send("41")
        else:
            await server.disconnect(client.sid)
        assert (await admin.gets("socket_disconnected"))[:3] == ["/", client.sid, why]


async def test_a_client_whose_connect_handler_refuses_it_is_not_shown(instrumented: Instrumented) -> None:
    server = instrumented()
    server.on("connect", lambda sid, environ: False)
    async with watching(server) as admin:
        await admin.gets("all_sockets")
        with pytest.raises(AssertionError, match="44"):
            async with connected(server):
                pass
        async with connected(server, "/foo") as client:
            [socket, _] = await admin.gets("socket_connected")
            assert socket["id"] == client.sids["/foo"]
    assert not [message for message in admin.messages if message[0] == "socket_disconnected"]


async def test_events_are_shown_both_ways_with_their_arguments(instrumented: Instrumented) -> None:
    server = instrumented()
    async with watching(server) as admin, connected(server) as one, connected(server) as two:
        await admin.gets("config")
        one.send('42["emit","news",{"words":[1,2]},null]')
        assert (await admin.gets("event_received"))[:3] == [
            "/", one.sid, ["emit", "news", {"words": [1, 2]}, None]
        ]  # fmt: skip
        assert (await admin.gets("event_sent"))[:3] == ["/", two.sid, ["news", {"words": [1, 2]}, None]]
        assert await two.event() == ["news", {"words": [1, 2]}, None]


async def test_what_is_large_binary_or_deep_is_shown_in_short(instrumented: Instrumented) -> None:
    server = instrumented()
    async with watching(server) as admin, connected(server):
        await admin.gets("config")
        deep: Any = "deep"
        for _ in range(100):
            deep = [deep]
        await server.emit("news", (b"12345", "x" * 100_000, list(range(100_000)), deep, 2**60))
        _, _, event, _ = await admin.gets("event_sent")
    name, binary, text, numbers, *_ = event
    assert (name, binary) == ("news", "(5 bytes)")
    assert text == "x" * 1000 + "…"
    assert numbers[:3] == [0, 1, 2]
    assert numbers[-1].endswith("more)")


async def test_cookies_and_the_keys_of_sessions_are_not_shown(instrumented: Instrumented) -> None:
    server = instrumented()
    headers = {"Cookie": "session=secret", "Authorization": "Basic c2VjcmV0"}
    await request(server.handle_request, headers=headers)
    [sid] = server.eio.sessions
    await request(server.handle_request, "POST", query=f"EIO=4&transport=polling&sid={sid}", body=b"40")
    async with watching(server) as admin:
        [sockets] = await admin.gets("all_sockets")
    [socket] = [socket for socket in sockets if socket["nsp"] == "/"]
    assert socket["handshake"]["headers"]["cookie"] == "(not shown)"
    assert socket["handshake"]["headers"]["authorization"] == "(not shown)"
    assert sid.startswith(socket["clientId"])
    assert len(socket["clientId"]) == 10


async def test_a_client_is_shown_with_its_user_session(instrumented: Instrumented) -> None:
    server = instrumented()
    async with connected(server) as client:
        await server.save_session(client.sid, {"name": "Ada", "picture": b"123"})
        async with watching(server) as admin:
            [sockets] = await admin.gets("all_sockets")
    [data] = [socket["data"] for socket in sockets if socket["id"] == client.sid]
    assert data == {"name": "Ada", "picture": "(3 bytes)"}


async def test_nothing_is_watched_while_nobody_does(instrumented: Instrumented) -> None:
    server = instrumented()
    async with watching(server) as admin:
        await admin.gets("config")
        assert server._rooms.watcher is not None
    async with connected(server) as client:
        assert await client.ask("emit", "news") == []
        assert server._rooms.watcher is server._disconnector.on_leaving is None
        assert not server._watches
    assert len(asyncio.all_tasks()) == 1
