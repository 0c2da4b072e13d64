"""What handlers see: request, session, g and the rest; and what ends with each event."""

from __future__ import annotations

import asyncio

import httpx

from tests.support.flask_visitors import KINDS, both_kinds, cookies_of, until, visitor
from tests.support.python_socketio_client import Client, connected, tags
from tests.support.server_process import Server


@both_kinds
async def test_a_handler_sees_the_connecting_request_and_its_own_event(server: Server, kind: str) -> None:
    headers = {"X-Tone": "warm", "Cookie": "colour=blue"}
    async with connected(f"{server.url}?room=7", mode="websocket", headers=headers) as client:
        seen = await client.call(f"{kind} describe_request", "one", {"two": 2})
        assert seen.pop("args")["room"] == "7"
        assert seen == {
            "header": "warm",
            "cookie": "blue",
            "remote_addr": "127.0.0.1",
            "path": "/socket.io/",
            "sid": client.socket.get_sid("/"),
            "namespace": "/",
            "event": {"message": f"{kind} describe_request", "args": ["one", {"two": 2}]},
            "scope": "/socket.io/",
            "app": "tests.apps.flask_handlers",
        }


async def test_coroutines_run_on_the_loop_and_functions_in_threads(client: Client) -> None:
    assert await client.call("coroutine thread_name") == "MainThread"
    assert (await client.call("function thread_name")).startswith("asyncsock-handler-")


@both_kinds
async def test_a_handler_sees_the_session_that_a_view_has_set(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} remember", "user", "ada again") == "ada"


@both_kinds
async def test_the_session_is_kept_from_event_to_event_and_views_do_not_see_it(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} remember", "colour", "red") is None
        for other in KINDS:
            assert await client.call(f"{other} remember", "colour", "blue") in ("red", "blue")
        assert (await http.get("/session")).json() == {"user": "ada"}


@both_kinds
async def test_g_is_new_for_each_event(client: Client, kind: str) -> None:
    assert await client.call(f"{kind} note_in_g", 1) is None
    assert await client.call(f"{kind} note_in_g", 2) is None


@both_kinds
async def test_url_for_builds_addresses(server: Server, client: Client, kind: str) -> None:
    assert await client.call(f"{kind} address_of_a_view") == ["/session", f"{server.url}/session"]


@both_kinds
async def test_flashed_messages_arrive_in_a_later_event(client: Client, kind: str) -> None:
    await client.call(f"{kind} flash_text", "saved")
    assert await client.call(f"{kind} flashed") == ["saved"]
    assert await client.call(f"{kind} flashed") == []


@both_kinds
async def test_templates_see_request_session_and_g(
    server: Server, http: httpx.AsyncClient, kind: str
) -> None:
    await http.get("/sign-in/ada")
    async with connected(server.url, mode="websocket", headers=cookies_of(http)) as client:
        assert await client.call(f"{kind} render", "hello") == f"HELLO {kind} render ada noted"


@both_kinds
async def test_two_events_at_once_see_their_own_event_and_g(client: Client, kind: str) -> None:
    one, two = next(tags), next(tags)
    answers = await asyncio.gather(
        client.call(f"{kind} meet", one, two), client.call(f"{kind} meet", two, one)
    )
    assert answers == [(one, [one, two]), (two, [two, one])]


@both_kinds
async def test_teardown_functions_run_once_per_event(client: Client, kind: str) -> None:
    for _ in range(3):
        await client.call(f"{kind} note_in_g", 1)
    torn_down = await client.call("torn down", f"{kind} note_in_g")
    assert torn_down == {"request None": 3, "app None": 3}


@both_kinds
async def test_teardown_functions_get_the_handlers_exception(client: Client, kind: str) -> None:
    await client.emit(f"{kind} fail_with", "why")
    found = await until(lambda: client.call("torn down", f"{kind} fail_with"), bool)
    assert found == {"request LookupError('why')": 1, "app LookupError('why')": 1}


@both_kinds
async def test_flask_logins_current_user_is_who_signed_in(factory: Server, kind: str) -> None:
    async with visitor(factory) as http:
        await http.get("/sign-in/ada")
        headers = cookies_of(http)
    async with connected(factory.url, mode="websocket", headers=headers) as client:
        assert await client.call(f"{kind} who") == "ada"
    async with connected(factory.url, mode="websocket") as stranger:
        assert await stranger.call(f"{kind} who") is None


@both_kinds
async def test_flask_sqlalchemy_frees_its_session_after_each_event(factory: Server, kind: str) -> None:
    async with connected(factory.url, mode="websocket") as client:
        for _ in range(1_000):
            assert await client.call(f"{kind} query") == 42
        async with visitor(factory) as http:
            assert (await http.get("/database")).json() == {"sessions": 0, "connections": 0}
