"""What can be a handler, and which handler gets an event."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.support.flask_visitors import both_kinds, in_namespaces
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_process import Server

LIBRARIES: dict[str, Any] = {
    "asyncio.wait_for": ["in time", "too late"],
    "anyio.move_on_after": [True],
    "anyio.create_task_group": ["one", "two"],
    "httpx.AsyncClient": {},
    "aiohttp.ClientSession": {},
}
if sys.version_info >= (3, 11):
    LIBRARIES["asyncio.timeout"] = ["in time", "too late"]
    LIBRARIES["asyncio.TaskGroup"] = ["one", "two"]


@pytest.mark.parametrize("name", LIBRARIES)
async def test_a_handler_may_begin_with_it(client: Client, name: str) -> None:
    assert await client.call(name) == LIBRARIES[name]


@both_kinds
async def test_event_registers_under_the_functions_name(client: Client, kind: str) -> None:
    assert await client.call(f"named_after_the_{kind}", 5) == 5


async def test_event_takes_a_namespace(server: Server) -> None:
    async with in_namespaces(server, "/named") as client:
        assert await client.call("named_in_a_namespace", 5, namespace="/named") == ("/named", 5)


async def test_decorators_stack(server: Server) -> None:
    async with in_namespaces(server, "/", "/named") as client:
        assert await client.call("stacked one") == ("/", "stacked one")
        assert await client.call("stacked two") == ("/", "stacked two")
        assert await client.call("stacked three", namespace="/named") == ("/named", "stacked three")


@pytest.mark.parametrize(
    ("kind", "namespace"), [("coroutine", "/catching"), ("function", "/catching-in-function")]
)
async def test_a_handler_of_any_event_gets_its_name(server: Server, kind: str, namespace: str) -> None:
    async with in_namespaces(server, namespace) as client:
        sid = client.socket.get_sid(namespace)
        answer = await client.call("whatever", 1, {"two": 2}, namespace=namespace)
        assert answer == (kind, "whatever", sid, [1, {"two": 2}])


async def test_a_handler_of_any_event_gets_none_that_has_its_own(server: Server) -> None:
    async with in_namespaces(server, "/catching") as client:
        assert await client.call("known", namespace="/catching") == "known"


async def test_handlers_of_any_namespace_get_those_without_handlers(factory: Server) -> None:
    client = Client(factory.url, mode="websocket")
    greetings, heard = client.arrivals("connected", "/new/one"), client.arrivals("heard", "/new/one")
    await client.connect(["/new/one"], auth={"token": 1})
    sid = client.socket.get_sid("/new/one")
    assert await arrived(greetings) == (["/new/one", {"token": 1}],)
    assert await client.call("where", 1, 2, namespace="/new/one") == ("/new/one", sid, [1, 2])
    assert await client.call("whatever", 3, namespace="/new/one") == ("whatever", "/new/one", sid, [3])
    assert await arrived(heard) == ("whatever",)
    await client.close()


@pytest.mark.parametrize(
    "name",
    [
        "a function around a coroutine function",
        "a function around a function",
        "a coroutine function around a function",
        "a bound coroutine function",
        "a bound function",
    ],
)
async def test_a_handler_may_be(client: Client, name: str) -> None:
    assert await client.call(name, 1) == (["decorated", 1], name)


async def test_a_handler_may_be_an_object_whose_call_is_a_coroutine_function(client: Client) -> None:
    name = "an object whose call is a coroutine function"
    assert await client.call(name, 1) == ([1], name)


async def test_handlers_registered_before_init_app_are_called(factory: Server) -> None:
    async with connected(factory.url, mode="websocket") as client:
        assert await client.call("coroutine who") is None
