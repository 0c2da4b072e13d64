"""What clients of one process are told of who is in their room."""

from __future__ import annotations

import json
from typing import Any

import pytest
import socketio

from asyncsock import AsyncServer
from asyncsock.presence.messages import Written, write
from asyncsock.presence.people import Change
from asyncsock.queues import from_url
from tests.support.socketio_in_process import connected, msgpack_client, opened, until

ADA, GRACE = {"name": "Ada"}, {"name": "Grace"}


def state(people: dict[str, list[Any]], room: Any = "room") -> list[Any]:
    return ["presence_state", people, room]


def diff(
    joins: dict[str, list[Any]] | None = None, leaves: dict[str, list[Any]] | None = None, room: Any = "room"
) -> list[Any]:
    return ["presence_diff", {"joins": joins or {}, "leaves": leaves or {}}, room]


async def test_whoever_is_tracked_gets_the_state_and_the_others_in_the_room_a_diff(
    any_server: AsyncServer,
) -> None:
    async with connected(any_server) as ada, connected(any_server) as grace, connected(any_server) as other:
        await any_server.track(ada.sid, "ada", ADA, "room")
        assert await ada.event() == state({"ada": [ADA]})
        await any_server.track(grace.sid, "grace", GRACE, room="room")
        assert await grace.event() == state({"ada": [ADA], "grace": [GRACE]})
        assert await ada.event() == diff(joins={"grace": [GRACE]})
        assert any_server.presence("room") == {"ada": [ADA], "grace": [GRACE]}
        assert any_server.presence() == {}
        assert await other.events() == []


async def test_without_a_room_everybody_in_the_namespace_is_told(any_server: AsyncServer) -> None:
    any_server.on("connect", lambda *_: None, namespace="/chat")
    async with connected(any_server, "/", "/chat") as ada, connected(any_server) as other:
        await any_server.track(ada.sid, "ada")
        assert await ada.event() == state({"ada": [None]}, None)
        assert await other.event() == diff({"ada": [None]}, room=None)
        assert any_server.presence(namespace="/chat") == {}
        await any_server.track(ada.sids["/chat"], "countess", namespace="/chat")
        assert any_server.presence(namespace="/chat") == {"countess": [None]}
        assert await ada.receive() == '42/chat,["presence_state",{"countess":[null]},null]'
        assert await other.events() == []


async def test_a_member_of_the_room_who_is_not_tracked_gets_the_diffs(server: AsyncServer) -> None:
    async with connected(server) as ada, connected(server) as other:
        server.enter_room(other.sid, "room")
        server.track(ada.sid, "ada", ADA, "room")
        server.untrack(ada.sid, "room")
        assert await other.events() == [diff(joins={"ada": [ADA]}), diff(leaves={"ada": [ADA]})]
        assert (await ada.events())[1:] == [diff(leaves={"ada": [ADA]})]  # who stays in the room
        assert server.presence("room") == {}


async def test_tracking_again_changes_the_meta_with_one_diff(server: AsyncServer) -> None:
    async with connected(server) as ada, connected(server) as other:
        server.enter_room(other.sid, "room")
        server.track(ada.sid, "ada", {"away": False}, "room")
        server.track(ada.sid, "ada", {"away": True}, "room")
        server.track(ada.sid, "ada", {"away": True}, "room")
        assert (await other.events())[1:] == [diff({"ada": [{"away": True}]}, {"ada": [{"away": False}]})]
        assert (await ada.events())[-1] == state({"ada": [{"away": True}]})


async def test_several_tabs_join_once_and_leave_once(server: AsyncServer) -> None:
    async with connected(server) as other, connected(server) as tab:
        server.enter_room(other.sid, "room")
        server.track(tab.sid, "ada", ADA, "room")
        async with connected(server) as second:
            server.track(second.sid, "ada", ADA, "room")
            assert await second.event() == state({"ada": [ADA]})
            await second.leave()
        assert await other.events() == [diff(joins={"ada": [ADA]})]
        await tab.leave()
        assert await other.event() == diff(leaves={"ada": [ADA]})


@pytest.mark.parametrize("way", ["leave_room", "close_room", "disconnect", "break off", "goodbye"])
async def test_whoever_leaves_the_room_in_any_way_leaves(any_server: AsyncServer, way: str) -> None:
    async with connected(any_server) as ada, connected(any_server) as other:
        await any_server.track(other.sid, "other")
        await any_server.track(ada.sid, "ada", ADA)
        for room in ("room", "second room"):
            await any_server.track(ada.sid, "ada", ADA, room)
        if way == "leave_room":
            await any_server.leave_room(ada.sid, "room")
        elif way == "close_room":
            await any_server.close_room("room")
        elif way == "disconnect":
            await any_server.disconnect(ada.sid)
        elif way == "break off":
            await ada.leave()
        else:
            ada.send("41")
        left_all = not way.endswith("_room")
        await until(lambda: any_server.presence("room") == {})
        await until(lambda: any_server.presence("second room") == ({} if left_all else {"ada": [ADA]}))
        await until(lambda: ("ada" in any_server.presence()) is not left_all)
        assert await other.event() == state({"other": [None]}, None)
        assert await other.event() == diff({"ada": [ADA]}, room=None)
        if left_all:
            assert await other.event() == diff(leaves={"ada": [ADA]}, room=None)
        assert await other.events() == []


async def test_a_client_can_be_tracked_in_its_connect_handler(any_server: AsyncServer) -> None:
    @any_server.event
    async def connect(sid: str, environ: Any, auth: Any) -> bool:
        await any_server.track(sid, auth["id"], ADA, "room")
        return bool(auth["welcome"])

    async with opened(any_server) as ada:
        await ada.connect(auth={"id": "ada", "welcome": True})
        assert await ada.event() == state({"ada": [ADA]})
        async with opened(any_server) as refused:
            refused.send('40{"id":"eve","welcome":false}')
            assert (await refused.receive()).startswith("44")
            assert await ada.events() == [diff({"eve": [ADA]}), diff(leaves={"eve": [ADA]})]
    assert any_server.presence("room") == {}


async def test_binary_data_half_an_emoji_and_large_numbers_may_be_shown(server: AsyncServer) -> None:
    meta = {"half": "\ud83d", "large": 2**70, "number": 0.1}
    async with connected(server) as ada:
        server.track(ada.sid, "ada \ud83d", meta, "room \ud83d")
        assert await ada.event() == state({"ada \ud83d": [meta]}, "room \ud83d")
        server.track(ada.sid, "ada", {"picture": b"\0\xff"})
        packet, attachment = await ada.packets()
        placeholder = {"_placeholder": True, "num": 0}
        assert packet.startswith("451-")
        assert json.loads(packet[4:]) == state({"ada": [{"picture": placeholder}]}, None)
        assert attachment == b"\0\xff"
        assert server.presence() == {"ada": [{"picture": b"\0\xff"}]}


@pytest.mark.parametrize(
    ("serializer", "meta"),
    [("default", {"_placeholder": True, "num": 0}), ("msgpack", 2**70)],
    ids=["a placeholder", "a large number for msgpack"],
)
async def test_what_could_not_be_sent_beside_what_others_show_is_refused(serializer: str, meta: Any) -> None:
    server = AsyncServer(serializer=serializer)
    connect = msgpack_client if serializer == "msgpack" else connected
    async with connect(server):
        (sid,) = server.manager.clients
        with pytest.raises(TypeError, match="the meta of 'eve'"):
            server.track(sid, "eve", meta)
        server.track(sid, "ada", b"picture")
        assert server.presence() == {"ada": [b"picture"]}


async def test_what_is_changed_after_the_call_changes_nothing(server: AsyncServer) -> None:
    async with connected(server) as ada:
        meta = {"name": "Ada"}
        server.track(ada.sid, "ada", meta)
        meta["name"] = "Eve"
        server.presence()["ada"][0]["name"] = "Mallory"
        assert server.presence() == {"ada": [ADA]}


async def test_each_mistake_is_one_error_and_changes_nothing(server: AsyncServer) -> None:
    async with connected(server) as ada:
        mistakes: list[tuple[Any, ...]] = [
            (TypeError, ada.sid, 5, None, None),
            (TypeError, ada.sid, "ada", object(), None),
            (TypeError, ada.sid, "ada", None, ("room", 1)),
            (TypeError, ada.sid, "ada", None, float("nan")),
            (ValueError, "nobody", "ada", None, None),
        ]
        for error, *arguments in mistakes:
            with pytest.raises(error):
                server.track(*arguments)
        assert server.presence() == {}
        assert await ada.events() == []
        assert server.rooms(ada.sid) == [ada.sid]


async def test_a_client_is_tracked_in_no_more_rooms_than_it_may_be_in() -> None:
    server = AsyncServer(max_rooms=2)
    async with connected(server) as client:
        for room in ("one", "two"):
            server.track(client.sid, "ada", None, room)
        with pytest.raises(ValueError, match="max_rooms"):
            server.track(client.sid, "ada", None, "three")
        assert [server.presence(room) for room in ("one", "two", "three")] == [{"ada": [None]}] * 2 + [{}]


@pytest.mark.parametrize("value", [5, {"after": 5}, {"leave_after": -1}, {"leave_after": "5"}, True])
def test_a_wrong_option_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="presence"):
        AsyncServer(presence=value)


def test_a_process_that_only_writes_to_a_queue_says_that_it_does_not_know() -> None:
    server = AsyncServer(client_manager=from_url("redis://", write_only=True))
    with pytest.raises(RuntimeError, match="does not know who is there"):
        server.presence()


# leave_after


async def a_tab(server: AsyncServer, meta: Any = ADA) -> None:
    """Somebody who comes and goes."""
    async with connected(server) as tab:
        server.track(tab.sid, "ada", meta, "room")
        await tab.leave()


@pytest.mark.parametrize("manager", [None, socketio.AsyncManager])
async def test_whoever_is_back_in_time_has_neither_left_nor_joined(manager: Any) -> None:
    server = AsyncServer(presence={"leave_after": 60}, client_manager=manager and manager())
    async with connected(server) as other, connected(server) as tab:
        await server.enter_room(other.sid, "room")
        await a_tab(server)
        assert server.presence("room") == {"ada": [ADA]}
        await server.track(tab.sid, "ada", ADA, "room")
        await tab.leave()
        await a_tab(server)
        assert await other.event() == diff({"ada": [ADA]})
        assert await other.events() == []


async def test_whoever_comes_back_as_something_else_changes_at_once() -> None:
    server = AsyncServer(presence={"leave_after": 60})
    async with connected(server) as other, connected(server) as tab:
        server.enter_room(other.sid, "room")
        await a_tab(server)
        server.track(tab.sid, "ada", GRACE, "room")
        assert (await other.events())[1:] == [diff({"ada": [GRACE]}, {"ada": [ADA]})]


async def test_whoever_is_not_back_leaves_then() -> None:
    server = AsyncServer(presence={"leave_after": 0.05})
    async with connected(server) as other:
        server.enter_room(other.sid, "room")
        await a_tab(server)
        assert await other.event() == diff({"ada": [ADA]})
        assert await other.event() == diff(leaves={"ada": [ADA]})


async def test_whoever_leaves_the_room_by_themselves_leaves_at_once() -> None:
    server = AsyncServer(presence={"leave_after": 60})
    async with connected(server) as ada:
        server.track(ada.sid, "ada", ADA, "room")
        server.leave_room(ada.sid, "room")
        assert server.presence("room") == {}


# Nothing is left


async def test_nothing_is_kept_of_those_who_have_left() -> None:
    server = AsyncServer(presence={"leave_after": 0.01})
    empty = shape(server)
    for round in range(3):
        async with connected(server) as one, connected(server) as two:
            for room in (None, "room", f"room {round}"):
                server.track(one.sid, "ada", ADA, room)
                server.track(two.sid, "ada", GRACE, room)
            server.untrack(two.sid)
            await two.leave()
            server.track(one.sid, "ada")
    await until(lambda: shape(server) == empty)


def shape(server: AsyncServer) -> list[Any]:
    presence = server._presence
    awaited = {name: value for name, value in vars(presence._awaited).items() if isinstance(value, dict)}
    return [vars(presence._replica.people), awaited, presence._parked]


async def test_a_server_that_starts_again_begins_with_nobody() -> None:
    server = AsyncServer()
    async with connected(server) as ada:
        server.track(ada.sid, "ada", ADA, "room")
        await server.shutdown()
    await server.startup()
    assert server.presence("room") == {}
    await server.shutdown()


# Clients whose connection can be restored


async def test_whoever_is_parked_is_still_shown_until_it_is_certain_that_it_has_gone() -> None:
    server = AsyncServer()
    presence = server._presence
    async with connected(server) as other, connected(server) as ada:
        server.enter_room(other.sid, "room")
        server.track(ada.sid, "ada", ADA, "room")
        presence.parked(ada.sid)
        await ada.leave()
        assert server.presence("room") == {"ada": [ADA]}
        presence.gone(ada.sid)
        assert await other.events() == [diff({"ada": [ADA]}), diff(leaves={"ada": [ADA]})]


async def test_whoever_is_back_has_not_gone_whatever_is_said_late(server: AsyncServer) -> None:
    async with connected(server) as ada:
        server.track(ada.sid, "ada", ADA, "room")
        server._presence.parked(ada.sid)
        server._presence.restored(ada.sid)
        server._presence.gone(ada.sid)
        assert server.presence("room") == {"ada": [ADA]}


async def test_a_client_that_moves_is_not_shown_in_a_room_that_it_has_left_meanwhile(
    server: AsyncServer,
) -> None:
    names = write(Change(("/", "room"), "", "ada")).names
    async with connected(server) as client:
        server._presence.take_over(client.sid, [Written(client.sid, names, b"1")])
        assert server.presence("room") == {}
        server.enter_room(client.sid, "room")
        server._presence.take_over(client.sid, [Written(client.sid, names, b"1")])
        assert server.presence("room") == {"ada": [1]}
        with pytest.raises(ValueError):
            server._presence.take_over(client.sid, [Written("another", names, b"1")])


async def test_the_client_managers_of_others_have_their_own_process_only() -> None:
    server = AsyncServer(client_manager=socketio.AsyncManager())
    async with connected(server) as client:
        await server.track(client.sid, "ada", ADA, "room")
        assert await client.event() == state({"ada": [ADA]})
