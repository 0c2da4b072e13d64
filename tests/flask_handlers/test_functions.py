"""Rooms, disconnect() and the other functions that handlers call, also where there is no event."""

from __future__ import annotations

import httpx
import pytest

import asyncsock
from tests.support.flask_visitors import both_kinds, in_namespaces
from tests.support.python_socketio_client import Client, arrived, tags
from tests.support.server_process import Server


@both_kinds
async def test_rooms_are_joined_left_and_closed(client: Client, kind: str) -> None:
    one, two = next(tags), next(tags)
    assert await client.call(f"{kind} do_join", one) == [one]
    assert await client.call(f"{kind} do_join", two) == sorted([one, two])
    assert await client.call(f"{kind} do_leave", one) == [two]
    assert await client.call(f"{kind} do_close", two) == []


@both_kinds
async def test_the_functions_take_another_clients_sid_and_namespace(
    server: Server, client: Client, kind: str
) -> None:
    room = next(tags)
    async with in_namespaces(server, "/elsewhere") as other:
        told, gone = other.arrivals("told", "/elsewhere"), other.arrivals("disconnect", "/elsewhere")
        sid = other.socket.get_sid("/elsewhere")
        found = await client.call(f"{kind} do_for", sid, "/elsewhere", room)
        assert found == [[room, f"{room} too"], [room], []]
        assert [await arrived(told), await arrived(told)] == [("in a room",), ("alone",)]
        await client.call(f"{kind} do_disconnect", sid, "/elsewhere")
        assert await arrived(gone) == ("server disconnect",)


@both_kinds
async def test_disconnect_without_arguments_disconnects_who_sent_the_event(client: Client, kind: str) -> None:
    gone = client.arrivals("disconnect")
    await client.emit(f"{kind} do_disconnect_me")
    assert await arrived(gone) == ("server disconnect",)


FUNCTIONS = ("emit", "emit to all", "send", "call", "join_room", "leave_room", "close_room", "rooms")
FUNCTIONS += ("disconnect", "join_room for one")


@pytest.mark.parametrize("place", ["view", "async view", "thread", "task"])
@pytest.mark.parametrize("name", FUNCTIONS)
async def test_without_an_event_it_raises_an_error_that_says_what_to_use(
    http: httpx.AsyncClient, name: str, place: str
) -> None:
    kind, text = (await http.get(f"/without-context/{place}/{name}")).json()
    assert kind == "RuntimeError"
    assert text.startswith(name.split()[0])
    assert "socketio.emit()" in text


@pytest.mark.parametrize("name", ["join_room for one in a namespace", "close_room in a namespace"])
async def test_without_an_application_it_raises_the_same_error(http: httpx.AsyncClient, name: str) -> None:
    kind, text = (await http.get(f"/without-context/thread/{name}")).json()
    assert kind == "RuntimeError"
    assert text.startswith(name.split()[0])
    assert "socketio.emit()" in text


async def test_a_view_may_name_the_client_and_its_namespace(client: Client, http: httpx.AsyncClient) -> None:
    assert (await http.get(f"/for-one/{client.socket.get_sid('/')}")).json() == ["from a view"]


def test_without_an_application_one_clear_error_is_raised() -> None:
    socketio = asyncsock.SocketIO()
    for use in (
        lambda: socketio.asgi_app,
        lambda: socketio.emit("event"),
        lambda: socketio.close_room("room"),
    ):
        with pytest.raises(RuntimeError, match=r"init_app"):
            use()
