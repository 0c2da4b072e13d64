"""What Sentry's integration of Flask, as it is, gets of errors in handlers: tests/apps/sentry_errors.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask import Flask, request
from flask.signals import got_request_exception
from socketio.exceptions import ConnectionError as RefusedError

from asyncsock import SocketIO
from asyncsock.engine.log_lines import LINES_OF_ERROR
from tests.support.python_socketio_client import connected as client_of
from tests.support.server_process import Server, serve
from tests.support.socketio_in_process import connected


@pytest.fixture
def server() -> Iterator[Server]:
    with serve("tests.apps.sentry_errors:asgi") as running:
        yield running


async def collected(server: Server, count: int) -> list[dict[str, Any]]:
    """What Sentry has got, once it is so many."""

    async def ask() -> list[dict[str, Any]]:
        while True:
            async with httpx.AsyncClient(trust_env=False) as http:
                events: list[dict[str, Any]] = (await http.get(f"{server.url}/events")).json()
            if len(events) >= count:
                return events
            await asyncio.sleep(0.02)

    return await asyncio.wait_for(ask(), 20)


async def test_an_error_of_any_kind_of_handler_is_one_event_with_the_name_of_the_event_as_its_transaction(
    server: Server,
) -> None:
    sent = [
        ("/", "coroutine"),
        ("/", "function"),
        ("/", "something"),
        ("/class", "coroutine"),
        ("/class", "function"),
        ("/dispatching", "function"),
        ("/", "coroutine"),
    ]
    namespaces = ["/", "/class", "/dispatching"]
    async with client_of(server.url, mode="websocket", namespaces=namespaces) as client:
        for number, (namespace, event) in enumerate(sent, 1):
            await client.emit(event, namespace=namespace)
            await collected(server, number)
    events = await collected(server, len(sent))
    told = [(event["tags"]["socketio.namespace"], event["transaction"]) for event in events]
    assert told == [(namespace, "*" if event == "something" else event) for namespace, event in sent]
    assert [event["error"] for event in events] == [f"ValueError: {event}" for _, event in sent]
    assert {event["mechanism"] for event in events} == {"flask"}
    assert {event["logger"] for event in events} == {None}  # and none of the same errors as they are logged


async def test_connect_and_disconnect_handlers_and_callbacks_are_told_of_too_but_no_refusal(
    server: Server,
) -> None:
    for auth in ("refuse", "fail"):
        with pytest.raises(RefusedError):
            async with client_of(server.url, mode="websocket", auth=auth):
                pass
    await collected(server, 1)
    async with client_of(f"{server.url}?fail=disconnect", mode="websocket") as client:
        client.answer("question", lambda: 5)
        await client.emit("callback")
        await collected(server, 2)
    events = await collected(server, 3)
    assert [event["transaction"] for event in events] == ["connect", "acknowledgement", "disconnect"]
    assert [event["error"] for event in events] == [
        "ValueError: connect",
        "ValueError: callback",
        "ValueError: disconnect",
    ]


async def test_an_error_that_an_error_handler_takes_is_told_of_only_if_that_fails(server: Server) -> None:
    async with client_of(server.url, mode="websocket", namespaces=["/handled"]) as client:
        assert await client.call("handled", namespace="/handled") == "handled"
        await client.emit("again", namespace="/handled")
        await collected(server, 1)
    async with httpx.AsyncClient(trust_env=False) as http:
        assert (await http.get(f"{server.url}/fail")).status_code == 500
    again, view = await collected(server, 2)
    assert (again["transaction"], again["error"]) == ("again", "ValueError: in the error handler")
    assert (view["transaction"], view["error"]) == ("view", "ValueError: view")


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_the_signal_is_sent_in_the_context_of_the_event_as_flask_sends_it(kind: str) -> None:
    app, heard = Flask("signals"), []
    socketio = SocketIO(app)

    def fail() -> None:
        raise ValueError("wrong")

    async def fail_on_the_loop() -> None:
        fail()

    socketio.on_event("chat", fail if kind == "function" else fail_on_the_loop)
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def hear(sender: Any, exception: BaseException) -> None:
        event = request.event["message"]  # type: ignore[attr-defined]
        heard.append((sender is app, str(exception), event))
        loop.call_soon_threadsafe(told.set)

    with got_request_exception.connected_to(hear):
        async with connected(socketio.server) as client:
            client.send('42["chat"]')
            await asyncio.wait_for(told.wait(), 10)
    assert heard == [(True, "wrong", "chat")]


async def test_a_client_that_makes_a_handler_fail_again_and_again_is_reported_as_often_as_it_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    socketio, heard = SocketIO(Flask("signals")), []

    @socketio.on("chat")
    async def chat() -> None:
        raise ValueError

    def hear(sender: Any, exception: BaseException) -> None:
        heard.append(exception)

    with got_request_exception.connected_to(hear):
        async with connected(socketio.server) as client:
            for _ in range(LINES_OF_ERROR + 20):
                client.send('42["chat"]')
            await client.packets()
    assert len(heard) == LINES_OF_ERROR
    assert len([line for line in caplog.messages if line == "error in a handler"]) == LINES_OF_ERROR
