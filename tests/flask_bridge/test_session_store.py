"""A session that is in a store on the server, as handlers and views see it: tests/apps/flask_store.py."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.flask_visitors import both_kinds, cookies_of, visitor
from tests.support.python_socketio_client import connected
from tests.support.server_process import Server, serve


@pytest.fixture(scope="module", params=[True, False], ids=["manage_session", "no manage_session"])
def managed(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def server(managed: bool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    env = {"STORE": str(tmp_path_factory.mktemp("store")), **({"MANAGED": "1"} if managed else {})}
    with serve("tests.apps.flask_store:asgi", env=env) as running:
        yield running


@both_kinds
async def test_views_see_what_handlers_store_unless_socketio_manages_the_session(
    server: Server, managed: bool, kind: str
) -> None:
    async with visitor(server) as http:
        await http.get("/sign-in/ada")
        async with connected(server.url, headers=cookies_of(http)) as client:
            assert await client.call(kind) == {"user": "ada", "count": 1}
            assert await client.call(kind) == {"user": "ada", "count": 2}
            seen = (await http.get("/session")).json()
    assert seen.get("count") == (None if managed else 2)


@both_kinds
async def test_handlers_see_what_views_store_later_unless_socketio_manages_the_session(
    server: Server, managed: bool, kind: str
) -> None:
    async with visitor(server) as http:
        await http.get("/sign-in/ada")
        async with connected(server.url, headers=cookies_of(http)) as client:
            assert (await client.call(kind))["user"] == "ada"
            await http.get("/sign-in/grace")
            assert (await client.call(kind))["user"] == ("ada" if managed else "grace")


@both_kinds
async def test_two_connections_of_a_visitor_share_what_is_in_the_store(
    server: Server, managed: bool, kind: str
) -> None:
    async with visitor(server) as http:
        await http.get("/sign-in/ada")
        async with (
            connected(server.url, headers=cookies_of(http)) as one,
            connected(server.url, headers=cookies_of(http)) as other,
        ):
            assert await one.call(kind) == {"user": "ada", "count": 1}
            assert await other.call(kind) == {"user": "ada", "count": 1 if managed else 2}
