"""Events: which handler runs, in which order, and what it answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, opened, until


async def test_a_handler_is_called_with_the_events_arguments(any_server: AsyncServer) -> None:
    any_server.on("say", lambda sid, *args: (sid, *args))
    async with connected(any_server) as client:
        assert await client.ask("say", 1, [2], {"a": None}) == [client.sid, 1, [2], {"a": None}]


@pytest.mark.parametrize(
    ("result", "acknowledged"),
    [(None, []), (1, [1]), ([1, 2], [[1, 2]]), ((1, 2), [1, 2]), (False, [False]), ((), [])],
    ids=repr,
)
@pytest.mark.parametrize("coroutine", [False, True])
async def test_what_a_handler_returns_is_acknowledged(
    any_server: AsyncServer, coroutine: bool, result: Any, acknowledged: list[Any]
) -> None:
    async def handler(sid: str) -> Any:
        return result

    any_server.on("say", handler if coroutine else lambda sid: result)
    async with connected(any_server) as client:
        assert await client.ask("say") == acknowledged


async def test_an_error_in_a_handler_is_logged_and_the_client_goes_on(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("bad", lambda sid: 1 / 0)
    server.on("good", lambda sid: 1)
    async with connected(server) as client:
        client.send('42["bad"]')
        assert await client.ask("good") == [1]
    assert errors(caplog) == ["ZeroDivisionError('division by zero')"]


async def test_a_handlers_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    @server.event
    async def bad(sid: str) -> None:
        calls.append(sid)
        raise TypeError("my own")

    server.on("good", lambda sid: 1)
    async with connected(server) as client:
        client.send('42["bad"]')
        await client.ask("good")
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


async def test_a_handler_that_raises_does_not_acknowledge(server: AsyncServer) -> None:
    server.on("bad", lambda sid: 1 / 0)
    async with connected(server) as client:
        client.send('420["bad"]')
        await within(until(lambda: not server.eio.tasks))
        assert await client.packets() == []


async def test_events_of_a_client_start_in_the_order_in_which_they_were_sent(any_server: AsyncServer) -> None:
    started: list[int] = []

    @any_server.event
    async def number(sid: str, value: int) -> None:
        started.append(value)
        await asyncio.sleep(0)

    any_server.on("flush", lambda sid: None)
    async with connected(any_server) as client:
        for value in range(100):
            client.send(f'42["number",{value}]')
        await client.ask("flush")
    assert started == list(range(100))


async def test_without_async_handlers_events_of_a_client_are_handled_in_turn() -> None:
    server = AsyncServer(async_handlers=False)
    steps: list[Any] = []

    @server.event
    async def number(sid: str, value: int) -> None:
        steps.append(value)
        await asyncio.sleep(0.01 if value == 0 else 0)
        steps.append(value)

    async with connected(server) as client:
        for value in range(3):
            client.send(f'42["number",{value}]')
        await client.ask("number", 3)
    assert steps == [0, 0, 1, 1, 2, 2, 3, 3]


async def test_without_async_handlers_a_client_is_known_until_its_events_are_handled() -> None:
    server = AsyncServer(async_handlers=False)
    gone = asyncio.Event()
    known: list[bool] = []

    @server.event
    async def number(sid: str, value: int) -> None:
        await gone.wait()
        known.append(sid in server.manager.clients)

    async with connected(server) as client:
        client.send('42["number",0]')
        client.send('42["number",1]')
        await client.leave()
        gone.set()
    while server.eio.tasks:
        await asyncio.sleep(0)
    assert known == [True, True]
    assert not server.manager.clients


async def test_an_event_that_has_no_handler_goes_to_the_one_for_any_event(any_server: AsyncServer) -> None:
    any_server.on("known", lambda sid: "known")
    any_server.on("*", lambda event, sid, *args: [event, *args])
    async with connected(any_server) as client:
        assert await client.ask("known") == ["known"]
        assert await client.ask("other", 1, 2) == [["other", 1, 2]]


async def test_the_handler_for_any_event_gets_no_connect_or_disconnect(any_server: AsyncServer) -> None:
    got: list[str] = []
    any_server.on("*", lambda event, *args: got.append(event))
    async with connected(any_server) as client:
        await client.leave()
    assert got == []


async def test_a_namespace_without_handlers_goes_to_those_for_any_namespace() -> None:
    server = AsyncServer(namespaces="*")
    got: list[Any] = []
    server.on("connect", lambda namespace, sid, environ, auth: got.append((namespace, sid)), namespace="*")
    server.on("disconnect", lambda namespace, sid, reason: got.append((namespace, reason)), namespace="*")
    server.on("say", lambda namespace, sid, *args: [namespace, *args], namespace="*")
    server.on("*", lambda event, namespace, sid, *args: [event, namespace, *args], namespace="*")
    async with connected(server, "/any") as client:
        client.send('42/any,0["say",1]')
        client.send('42/any,1["other",2]')
        assert await client.packets() == []
        assert [await client.receive() for _ in range(2)] == [
            '43/any,0[["/any",1]]',
            '43/any,1[["other","/any",2]]',
        ]
        await client.leave()
    await within(until(lambda: len(got) == 2))
    assert got == [("/any", client.sids["/any"]), ("/any", "transport close")]


async def test_connect_and_disconnect_handlers_for_any_namespace_may_take_less() -> None:
    server = AsyncServer(namespaces="*")
    got: list[Any] = []
    server.on("connect", lambda namespace, sid, environ: got.append((namespace, sid)), namespace="*")
    server.on("disconnect", lambda namespace, sid: got.append((namespace, sid)), namespace="*")
    async with connected(server, "/any") as client:
        await client.leave()
    await within(until(lambda: len(got) == 2))
    assert got == [("/any", client.sids["/any"])] * 2


async def test_a_namespace_that_is_named_is_accepted_without_handlers() -> None:
    server = AsyncServer(namespaces=["/named"])
    async with connected(server, "/named"), opened(server) as other:
        other.send("40/other,")
        assert await other.receive() == '44/other,{"message":"Invalid namespace"}'


async def test_an_event_for_a_namespace_that_the_client_is_not_in_is_ignored(server: AsyncServer) -> None:
    got: list[Any] = []
    server.on("say", lambda *args: got.append(args), namespace="/other")
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        client.send('42/other,["say"]')
        await client.ask("flush")
    assert got == []
