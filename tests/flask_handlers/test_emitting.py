"""Sending events from handlers, views, threads and background tasks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.support.flask_visitors import KINDS, both_kinds
from tests.support.python_socketio_client import Client, arrived, connected, tags
from tests.support.server_process import Server

COUNT = 30


async def collected(queue: asyncio.Queue[tuple[Any, ...]], count: int = COUNT) -> list[Any]:
    """The first argument of so many events."""
    return [(await arrived(queue))[0] for _ in range(count)]


@both_kinds
async def test_what_a_handler_emits_arrives_in_order_awaited_or_not(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} count")
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("place", ["function", "coroutine", "thread"])
async def test_what_a_view_or_its_thread_emits_arrives_in_order(
    client: Client, http: httpx.AsyncClient, place: str
) -> None:
    numbers = client.arrivals("number")
    assert (await http.get(f"/count/{place}/{client.socket.get_sid('/')}")).text == "ok"
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
@both_kinds
async def test_what_a_background_task_of_a_handler_emits_arrives_in_order(
    client: Client, kind: str, target: str
) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} start_to_count", target)
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
async def test_what_a_background_task_of_a_view_emits_arrives_in_order(
    client: Client, http: httpx.AsyncClient, target: str
) -> None:
    numbers = client.arrivals("number")
    assert (await http.get(f"/start/{target}/{client.socket.get_sid('/')}")).text == "ok"
    assert await collected(numbers) == list(range(COUNT))


@pytest.mark.parametrize("target", KINDS)
async def test_a_background_task_from_before_the_start_of_the_server_runs(
    client: Client, target: str
) -> None:
    numbers = client.arrivals("number")
    await client.emit("tell those that began early", target)
    assert await collected(numbers) == list(range(COUNT))


@both_kinds
async def test_a_handler_that_returns_emit_acknowledges_with_nothing(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    assert await client.call(f"{kind} return_emit") is None
    assert await arrived(numbers) == (1,)


@both_kinds
async def test_emit_raises_what_is_wrong_with_the_data(client: Client, kind: str) -> None:
    assert await client.call(f"{kind} emit_what_cannot_be_sent") == "TypeError"


@both_kinds
async def test_data_changed_after_emit_goes_out_as_it_was(client: Client, kind: str) -> None:
    numbers = client.arrivals("number")
    await client.emit(f"{kind} emit_and_change")
    assert await arrived(numbers) == ([1],)


async def test_nothing_warns_of_calls_that_are_not_awaited(server: Server, client: Client) -> None:
    await client.call("coroutine do_join", "a room")
    await client.call("coroutine do_leave", "a room")
    await client.call("coroutine do_close", "a room")
    await client.call("coroutine tell_with_send", "text", False)
    await client.call("coroutine count")
    log = server.log()
    assert "never awaited" not in log
    assert "RuntimeWarning" not in log


class Crowd:
    """Three clients of one namespace that listen to "told"; the first is in room one, the second in two."""

    def __init__(self, clients: list[Client]) -> None:
        self.clients = clients
        self.told = [client.arrivals("told") for client in clients]
        self.sids = [client.socket.get_sid("/") for client in clients]
        self.rooms = [next(tags), next(tags)]

    async def heard(self, *, end: str) -> list[list[Any]]:
        """What each heard before the end, which somebody tells everybody now."""
        await self.clients[0].call("coroutine tell", {"broadcast": True}, end)
        found: list[list[Any]] = []
        for queue in self.told:
            found.append([])
            while (said := (await arrived(queue))[0]) != end:
                found[-1].append(said)
        return found


@pytest.fixture
async def crowd(server: Server) -> AsyncIterator[Crowd]:
    async with (
        connected(server.url, mode="websocket") as one,
        connected(server.url, mode="websocket") as two,
        connected(server.url, mode="websocket") as three,
    ):
        crowd = Crowd([one, two, three])
        for client, room in zip(crowd.clients, crowd.rooms, strict=False):
            await client.call("coroutine do_join", room)
        yield crowd


@both_kinds
async def test_emit_reaches_who_it_is_addressed_to(crowd: Crowd, kind: str) -> None:
    """Each message is named after the clients that are to hear it; the first client asks for it."""
    sids, rooms = crowd.sids, crowd.rooms
    orders: list[tuple[dict[str, Any], str]] = [
        ({}, "1"),
        ({"broadcast": True}, "123"),
        ({"broadcast": True, "include_self": False}, "23"),
        ({"to": sids[1]}, "2"),
        ({"room": sids[2]}, "3"),
        ({"to": rooms[1]}, "2"),
        ({"to": rooms}, "12"),
        ({"to": [*rooms, sids[0], sids[1]]}, "12"),
        ({"to": rooms, "include_self": False}, "2"),
        ({"broadcast": True, "skip_sid": sids[1]}, "13"),
        ({"broadcast": True, "skip_sid": [sids[0], sids[2]]}, "2"),
        ({"to": rooms[0], "skip_sid": sids[0]}, "nobody"),
        ({"to": next(tags)}, "nobody"),
        ({"broadcast": True, "namespace": "/elsewhere"}, "elsewhere"),
    ]
    for options, who in orders:
        await crowd.clients[0].call(f"{kind} tell", options, who)
    expected = [[who for _, who in orders if str(number) in who] for number in (1, 2, 3)]
    assert await crowd.heard(end=next(tags)) == expected


@both_kinds
async def test_emit_takes_several_arguments(client: Client, kind: str) -> None:
    told = client.arrivals("told")
    await client.emit(f"{kind} tell_several")
    assert await arrived(told) == ("one", {"two": 2}, b"three")


@both_kinds
async def test_send_is_a_message_event_or_a_json_event(client: Client, kind: str) -> None:
    messages, jsons = client.arrivals("message"), client.arrivals("json")
    await client.emit(f"{kind} tell_with_send", "text", False)
    assert await arrived(messages) == ("text",)
    await client.emit(f"{kind} tell_with_send", {"a": 1}, True)
    assert await arrived(jsons) == ({"a": 1},)


@both_kinds
async def test_flasks_json_encodes_what_flask_can(factory: Server, kind: str) -> None:
    expected = {"day": "Thu, 02 Jan 2020 00:00:00 GMT", "id": str(UUID(int=5))}
    async with connected(factory.url, mode="websocket") as client:
        values = client.arrivals("values")
        assert await client.call(f"{kind} values") == expected
        assert await arrived(values) == (expected,)
