"""In which order handlers begin, and what waits for what."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.support.flask_visitors import KINDS, until
from tests.support.python_socketio_client import Client, connected, tags
from tests.support.raw_clients import receive, websocket
from tests.support.server_process import Server


@pytest.mark.parametrize(
    "kinds", [("coroutine",), ("function",), KINDS], ids=["coroutine", "function", "mixed"]
)
async def test_events_of_one_client_start_in_the_order_sent(client: Client, kinds: tuple[str, ...]) -> None:
    for number in range(200):
        await client.emit(f"{kinds[number % len(kinds)]} start", number)
    started = await until(lambda: client.call("started"), lambda found: len(found) == 200)
    assert started == list(range(200))


@pytest.mark.parametrize(
    "kinds", [("coroutine",), ("function",), KINDS], ids=["coroutine", "function", "mixed"]
)
async def test_without_async_handlers_each_event_ends_before_the_next_begins(
    factory: Server, kinds: tuple[str, ...]
) -> None:
    async with connected(factory.url, mode="websocket") as client:
        for number in range(50):
            await client.emit(f"{kinds[number % len(kinds)]} work", number)
        happened = await client.call("happened")
        assert happened == [f"{what} {number}" for number in range(50) for what in ("begin", "end")]


async def test_a_function_that_blocks_delays_no_coroutine(client: Client) -> None:
    tag = next(tags)
    blocked = asyncio.ensure_future(client.call("function block", tag))
    assert await client.call("echo", "meanwhile") == "meanwhile"
    assert not blocked.done()
    await client.call("release", tag)
    assert await blocked == "released"


async def test_a_function_that_blocks_delays_no_heartbeat(server: Server) -> None:
    tag = next(tags)
    async with websocket(server, "/socket.io/") as ws:
        await receive(ws)
        await ws.send("40")
        assert str(await receive(ws)).startswith("40")
        await ws.send(f'421["function block","{tag}"]')
        for _ in range(3):
            assert await receive(ws) == "2"
            await ws.send("3")
        await ws.send(f'422["release","{tag}"]')
        packets = {await receive(ws) for _ in range(2)} - {"2"}
        while len(packets) < 2:
            packets |= {await receive(ws)} - {"2"}
        assert packets == {'431["released"]', "432[]"}


async def test_many_slow_views_are_handled_at_once(http: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(http.get("/slow") for _ in range(32)))
    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "ok")] * 32
