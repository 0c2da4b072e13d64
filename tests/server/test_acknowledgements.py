"""Acknowledgements of what the server sends: callbacks and call()."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

import pytest
from socketio.exceptions import TimeoutError

from asyncsock import AsyncServer, callbacks
from asyncsock.connection import NO_CALLBACKS
from asyncsock.rooms import Rooms
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected, until


async def test_a_callback_is_called_with_what_the_client_answers(any_server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(any_server) as client:
        await any_server.emit("question", 1, to=client.sid, callback=lambda *args: answered.set_result(args))
        assert await client.receive() == '421["question",1]'
        client.send('431["yes",2]')
        assert await within(answered) == ("yes", 2)


async def test_a_callback_may_be_a_coroutine_function(any_server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def callback(*args: Any) -> None:
        await asyncio.sleep(0)
        answered.set_result(args)

    async with connected(any_server) as client:
        await any_server.emit("question", to=client.sid, callback=callback)
        assert await client.receive() == '421["question"]'
        client.send("431[]")
        assert await within(answered) == ()


async def test_a_callback_gets_binary_answers(server: AsyncServer) -> None:
    answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=answered.set_result)
        await client.receive()
        client.send('461-1[{"_placeholder":true,"num":0}]')
        client.send(b"\x01")
        assert await within(answered) == b"\x01"


async def test_a_callback_of_a_broadcast_is_called_for_each_client(any_server: AsyncServer) -> None:
    answers: asyncio.Queue[Any] = asyncio.Queue()
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.emit("question", callback=answers.put_nowait)
        for number, client in enumerate((one, two)):
            assert await client.receive() == '421["question"]'
            client.send(f"431[{number}]")
        assert sorted([await within(answers.get()), await within(answers.get())]) == [0, 1]


async def test_callbacks_of_one_client_are_told_apart(any_server: AsyncServer) -> None:
    first: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    async with connected(any_server) as client:
        await any_server.emit("a", to=client.sid, callback=first.set_result)
        await any_server.emit("b", to=client.sid, callback=second.set_result)
        assert await client.packets() == ['421["a"]', '422["b"]']
        client.send("432[2]")
        client.send("431[1]")
        assert [await within(first), await within(second)] == [1, 2]


async def test_an_error_in_a_callback_is_logged(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=lambda: 1 / 0)
        await client.receive()
        client.send("431[]")
        await within(until(lambda: errors(caplog)))
        assert errors(caplog) == ["ZeroDivisionError('division by zero')"]
        await server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]


async def test_an_answer_to_no_question_is_ignored_with_one_log_line(
    any_server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(any_server) as client:
        client.send("4399[]")
        await within(until(lambda: recorded(caplog, logging.WARNING)))
        await any_server.emit("hello", to=client.sid)
        assert await client.events() == [["hello"]]
    assert len(recorded(caplog, logging.WARNING)) == 1


async def test_an_answer_counts_once(server: AsyncServer) -> None:
    answers: list[Any] = []
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        await server.emit("question", to=client.sid, callback=answers.append)
        await client.receive()
        client.send("431[1]")
        client.send("431[2]")
        await client.ask("flush")
    assert answers == [1]


async def test_another_clients_answer_does_not_count(server: AsyncServer) -> None:
    answers: list[Any] = []
    server.on("flush", lambda sid: None)
    async with connected(server) as one, connected(server) as two:
        await server.emit("question", to=one.sid, callback=answers.append)
        two.send("431[2]")
        await two.ask("flush")
    assert answers == []


@pytest.mark.parametrize(("packet", "answer"), [("431[]", None), ("431[5]", 5), ('431["a",[2]]', ("a", [2]))])
async def test_call_in_a_coroutine_returns_the_answer(
    any_server: AsyncServer, packet: str, answer: Any
) -> None:
    async with connected(any_server) as client:
        call = asyncio.ensure_future(any_server.call("question", 1, to=client.sid))
        assert await client.receive() == '421["question",1]'
        client.send(packet)
        assert await within(call) == answer


async def test_call_in_a_handler_returns_the_answer(any_server: AsyncServer) -> None:
    @any_server.event
    async def start(sid: str) -> Any:
        return await any_server.call("question", to=sid)

    async with connected(any_server) as client:
        client.send('420["start"]')
        assert await client.receive() == '421["question"]'
        client.send("431[5]")
        assert await client.receive() == "430[5]"


async def test_call_in_a_thread_returns_the_answer(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        call = asyncio.ensure_future(asyncio.to_thread(any_server.call, "question", to=client.sid))
        assert await client.receive() == '421["question"]'
        client.send("431[5]")
        assert await within(call) == 5


async def test_call_in_a_coroutine_times_out(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        with pytest.raises(TimeoutError):
            await any_server.call("question", to=client.sid, timeout=0.01)


async def test_call_in_a_thread_times_out(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(any_server.call, "question", to=client.sid, timeout=0.01)


async def test_an_answer_after_the_timeout_does_no_harm(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        with pytest.raises(TimeoutError):
            await server.call("question", to=client.sid, timeout=0.01)
        await client.receive()
        client.send("431[5]")
        assert await client.ask("flush") == []
    assert errors(caplog) == []


def kept(server: AsyncServer, sid: str) -> list[Any]:
    """The callbacks that wait for acknowledgements of a client, in either client manager."""
    if isinstance(server.manager, Rooms):
        return list(server.manager.clients[sid].callbacks.values())
    return list(server.manager.callbacks.get(sid, {}).values())


async def test_a_call_that_times_out_leaves_no_callback(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        with pytest.raises(TimeoutError):
            await any_server.call("question", to=client.sid, timeout=0)
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(any_server.call, "question", to=client.sid, timeout=0)
        assert kept(any_server, client.sid) == []


async def test_a_call_that_is_cancelled_leaves_no_callback(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        call = asyncio.ensure_future(any_server.call("question", to=client.sid))
        await client.receive()
        assert len(kept(any_server, client.sid)) == 1
        call.cancel()
        await asyncio.wait([call])
        assert kept(any_server, client.sid) == []


async def test_a_call_to_a_room_keeps_no_callbacks_of_members_who_are_late(
    any_server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    any_server.on("flush", lambda sid: None)
    async with connected(any_server) as one, connected(any_server) as two:
        for client in (one, two):
            await any_server.enter_room(client.sid, "room")
        call = asyncio.ensure_future(any_server.call("question", to="room"))
        assert [await one.receive(), await two.receive()] == ['421["question"]'] * 2
        two.send("431[2]")
        assert await within(call) == 2
        assert kept(any_server, one.sid) == kept(any_server, two.sid) == []
        one.send("431[1]")
        assert await one.ask("flush") == []
    assert errors(caplog) == []


async def test_what_a_client_never_acknowledges_is_kept_up_to_a_bound(
    any_server: AsyncServer, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(callbacks, "MOST_CALLBACKS", 3)
    monkeypatch.setattr(callbacks, "_dropped_line_at", -callbacks.DROPPED_INTERVAL)
    answers: list[Any] = []
    any_server.on("flush", lambda sid: None)
    async with connected(any_server) as client, connected(any_server) as other:
        for number in range(10):
            await any_server.emit("question", to=client.sid, callback=partial(answers.append, number))
            await any_server.emit(
                "question", to=other.sid, callback=partial(answers.append, f"other {number}")
            )
            await other.receive()
            other.send(f"43{number + 1}[]")
            await other.ask("flush")
        assert len(kept(any_server, client.sid)) == 3
        for id in range(1, 11):
            client.send(f"43{id}[]")
        for _ in range(10):
            await client.receive()
        await client.ask("flush")
    assert [answer for answer in answers if isinstance(answer, int)] == [7, 8, 9]
    assert len(answers) == 13  # the other client has answered all
    assert len([line for line in recorded(caplog, logging.WARNING) if "are dropped" in line]) == 1


async def test_ten_thousand_answers_in_a_burst_all_count(server: AsyncServer) -> None:
    answers: list[Any] = []
    server.on("flush", lambda sid: None)
    async with connected(server) as client:
        for _ in range(10_000):
            server.emit("question", to=client.sid, callback=answers.append)
        for id in range(1, 10_001):
            client.send(f"43{id}[{id}]")
        for _ in range(10_000):
            await client.receive()
        await client.ask("flush")
    assert answers == list(range(1, 10_001))


async def test_events_without_a_callback_keep_nothing(server: AsyncServer) -> None:
    async with connected(server) as client:
        await server.emit("hello")
        await server.emit("hello", to=client.sid)
        assert server.manager.clients[client.sid].callbacks is NO_CALLBACKS


async def test_call_needs_a_client(server: AsyncServer) -> None:
    with pytest.raises(ValueError):
        await server.call("question")


async def test_call_without_async_handlers_is_an_error() -> None:
    server = AsyncServer(async_handlers=False)
    with pytest.raises(RuntimeError, match="async_handlers"):
        await server.call("question", to="sid")
