"""A client that has lost its connection and may come back is still shown to the others."""

from __future__ import annotations

from typing import Any

from asyncsock import AsyncServer
from tests.support.cluster_in_process import eventually
from tests.support.recovery_states import nothing_is_kept
from tests.support.returning_visitors import Visitors, visitors

ADA = {"name": "Ada"}
JOINS: list[Any] = ["presence_diff", {"joins": {"ada": [ADA]}, "leaves": {}}, "room"]
LEAVES: list[Any] = ["presence_diff", {"joins": {}, "leaves": {"ada": [ADA]}}, "room"]


async def test_a_client_that_comes_back_has_neither_left_nor_joined(
    server: AsyncServer, guests: Visitors
) -> None:
    ada, other = await guests.come(), await guests.come()
    server.enter_room(other.sid, "room")
    server.track(ada.sid, "ada", ADA, "room")
    assert len(await ada.events()) == 1
    for _ in range(3):
        await ada.lose()
        assert server.presence("room") == {"ada": [ADA]}
        server.track(other.sid, "other", None, "room")
        server.untrack(other.sid, "room")
        await ada.come()
        assert ada.recovered
        assert [event[0] for event in await ada.events()] == ["presence_diff"] * 2
    await server.disconnect(ada.sid)
    seen = await other.events()
    assert [event for event in seen if event in (JOINS, LEAVES)] == [JOINS, LEAVES]


async def test_one_that_does_not_come_back_in_time_leaves_then() -> None:
    options = {"max_disconnection_duration": 0.2}
    server = AsyncServer(connection_state_recovery=options, presence={"leave_after": 60})
    async with visitors(server) as guests:
        ada, other = await guests.come(), await guests.come()
        server.enter_room(other.sid, "room")
        server.track(ada.sid, "ada", ADA, "room")
        await ada.lose()
        assert server.presence("room") == {"ada": [ADA]}
        await eventually(lambda: server.presence("room") == {})
        assert await other.events() == [JOINS, LEAVES]


async def test_one_that_is_sent_away_or_put_out_of_the_room_meanwhile_leaves_at_once(
    server: AsyncServer, guests: Visitors
) -> None:
    for way in ("disconnect", "leave_room", "close_room"):
        ada = await guests.come()
        server.track(ada.sid, "ada", ADA, "room")
        await ada.lose()
        assert server.presence("room") == {"ada": [ADA]}
        if way == "disconnect":
            await server.disconnect(ada.sid)
        elif way == "leave_room":
            await server.leave_room(ada.sid, "room")
        else:
            await server.close_room("room")
        assert server.presence("room") == {}, way


async def test_nothing_is_kept_of_those_who_have_left(server: AsyncServer, guests: Visitors) -> None:
    ada = await guests.come()
    server.track(ada.sid, "ada", ADA, "room")
    await ada.lose()
    await ada.come()
    await server.disconnect(ada.sid)
    nothing_is_kept(server)
    assert not server._presence._parked
    assert not server._presence._replica.people.of_client("", ada.sid)
