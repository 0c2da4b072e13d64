"""What the Admin UI costs at most, whatever clients and its own pages do."""

from __future__ import annotations

import asyncio
import json

import pytest

from asyncsock import AsyncServer
from asyncsock.admin import budget, reporter, watchers
from asyncsock.admin.budget import EVENTS, Budget
from tests.admin.conftest import Instrumented
from tests.support.admin_clients import AdminClient, watching
from tests.support.asgi_in_process import request
from tests.support.socketio_in_process import connected

CLIENTS = 1000


async def many(server: AsyncServer, count: int) -> set[str]:
    """Clients that poll. Returns their sids."""
    before = set(server._rooms.clients)
    for _ in range(count):
        answer = await request(server.handle_request)
        sid = json.loads(answer.text[1:])["sid"]
        query = f"EIO=4&transport=polling&sid={sid}"
        await request(server.handle_request, "POST", query=query, body=b"40")
    return set(server._rooms.clients) - before


async def read_all(admin: AdminClient, sids: set[str]) -> None:
    """Read until each of these clients has been shown."""
    missing = set(sids)
    while missing:
        name, *args = await admin.next()
        if name == "all_sockets":
            missing -= {socket["id"] for socket in args[0]}
        elif name == "socket_connected":
            missing.discard(args[0]["id"])


async def test_a_thousand_clients_are_listed_in_parts(instrumented: Instrumented) -> None:
    server = instrumented()
    sids = await many(server, CLIENTS)
    async with watching(server) as admin:
        await read_all(admin, sids)
    [first] = [args[0] for name, *args in admin.messages if name == "all_sockets"]
    assert len(first) <= reporter.IN_A_PART
    shown = [args[0]["id"] for name, *args in admin.messages if name == "socket_connected"]
    assert len(shown) == len(set(shown))


async def test_clients_that_come_and_go_while_the_list_is_sent_are_shown_as_they_are(
    instrumented: Instrumented,
) -> None:
    server = instrumented()
    await many(server, 4 * reporter.IN_A_PART)
    async with watching(server) as admin:
        await admin.gets("all_sockets")
        last = list(server._rooms.clients)[-2]  # before the admin itself
        await server.disconnect(last)
        late = await many(server, 1)
        sids = {sid for sid in server._rooms.clients if sid != last}
        there: set[str] = {
            socket["id"] for name, *args in admin.messages if name == "all_sockets" for socket in args[0]
        }
        while not late | sids <= there:
            name, *args = await admin.next()
            if name == "socket_connected":
                there.add(args[0]["id"])
            elif name == "socket_disconnected":
                there.discard(args[1])
        assert last not in there


async def test_events_that_are_shown_are_bounded_in_a_second(instrumented: Instrumented) -> None:
    server = instrumented()
    async with watching(server) as admin, connected(server):
        await admin.gets("all_sockets")
        for number in range(5 * EVENTS):
            await server.emit("news", number)
        for _ in range(4):
            await admin.gets("server_stats")
    numbers = [args[2][1] for name, *args in admin.messages if name == "event_sent"]
    assert EVENTS <= len(numbers) <= 2 * EVENTS
    assert numbers[:EVENTS] == list(range(EVENTS))


def test_large_events_are_decoded_for_a_megabyte_in_a_second() -> None:
    large = Budget()
    assert large.take(5_000_000)  # one that is larger is shown, too
    assert not large.take(5)
    assert large.take_left_out() == 1
    assert large.take_left_out() == 0


async def test_an_admin_that_does_not_read_gets_no_more_events(
    instrumented: Instrumented, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "EVENTS", 10 * watchers.UNREAD)
    server = instrumented()
    await request(server.handle_request)
    [session] = server.eio.sessions.values()
    query = f"EIO=4&transport=polling&sid={session.sid}"
    await request(server.handle_request, "POST", query=query, body=b"40/admin,")
    while server._rooms.watcher is None:
        await asyncio.sleep(0.01)
    async with watching(server) as reads, connected(server):
        await reads.gets("all_sockets")
        for burst in range(3 * watchers.UNREAD // EVENTS):
            for _ in range(EVENTS):
                await server.emit("news", burst)
            for _ in range(EVENTS):
                await reads.gets("event_sent", lambda nsp, sid, event, at, burst=burst: event[1] == burst)
    assert watchers.UNREAD <= len(session.outbox) < watchers.UNREAD + 50
