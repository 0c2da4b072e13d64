"""Which spans a server makes, and whose part each of them is."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import socketio as python_socketio
from flask import Flask

from asyncsock import AsyncServer, ConnectionRefusedError, Namespace, SocketIO, emit
from asyncsock.engine import EngineServer
from asyncsock.observing.traces import AsyncsockInstrumentor
from tests.support.asgi_in_process import Socket
from tests.support.raw_clients import within
from tests.support.recorded_spans import SPAN_ID, TRACE_ID, TRACEPARENT, Spans
from tests.support.socketio_in_process import Client, connected, opened

NAME = "messaging.socket.io.event_name"
ACKNOWLEDGED = "messaging.socket.io.acknowledged"
CONNECTED = "messaging.socket.io.connected"


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture
def server(spans: Spans) -> AsyncServer:
    """A server that is traced."""
    server = AsyncServer(namespaces=["/", "/other"])
    AsyncsockInstrumentor().instrument_server(server, spans.provider)
    return server


@pytest.fixture
def socketio(spans: Spans) -> SocketIO:
    """A Flask application's server that is traced."""
    socketio = SocketIO(Flask("traced"))
    AsyncsockInstrumentor().instrument_server(socketio, spans.provider)
    return socketio


@pytest.fixture
def everywhere(spans: Spans) -> Iterator[Spans]:
    """While the test runs, all servers are traced."""
    AsyncsockInstrumentor().instrument(tracer_provider=spans.provider)
    yield spans
    AsyncsockInstrumentor().uninstrument()


# Events


def register(socketio: SocketIO, kind: str, spans: Spans) -> None:
    """Register a handler of a kind for the event "chat", whose work is a span of its own."""

    def work(*args: Any) -> str:
        with spans.tracer.start_as_current_span("work"):
            return "done"

    async def work_on_the_loop(*args: Any) -> str:
        await asyncio.sleep(0)
        return work()

    class Functions(Namespace):
        def on_chat(self) -> str:
            return work()

    class Coroutines(Namespace):
        async def on_chat(self) -> str:
            return await work_on_the_loop()

    if kind == "a coroutine":
        socketio.on_event("chat", work_on_the_loop)
    elif kind == "a function":
        socketio.on_event("chat", work)
    elif kind == "of any event":
        socketio.on_event("*", work)
    elif kind == "of any namespace":
        socketio.on_event("chat", work, "*")
    else:
        socketio.on_namespace((Coroutines if kind == "a coroutine method" else Functions)("/"))


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("a coroutine", "process chat"),
        ("a function", "process chat"),
        ("of any event", "process *"),
        ("of any namespace", "process chat"),
        ("a coroutine method", "process chat"),
        ("a method", "process chat"),
    ],
)
async def test_what_a_handler_of_any_kind_does_is_part_of_the_span_of_its_event(
    socketio: SocketIO, spans: Spans, kind: str, name: str
) -> None:
    register(socketio, kind, spans)
    namespace = "/elsewhere" if kind == "of any namespace" else "/"
    socketio.server.namespaces.append(namespace)
    async with opened(socketio.server) as client:
        await client.connect(namespace)
        prefix = "" if namespace == "/" else f"{namespace},"
        client.send(f'42{prefix}7["chat"]')
        assert await client.receive() == f'43{prefix}7["done"]'
        event, work = await spans.one(name), await spans.one("work")
    assert (work["trace"], work["parent"]) == (event["trace"], event["id"])
    assert event["kind"] == "CONSUMER"
    assert event["attributes"] == {
        "messaging.system": "socket.io",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": namespace,
        "messaging.socket.io.namespace": namespace,
        "messaging.client.id": client.sids[namespace],
        NAME: "chat",
        ACKNOWLEDGED: True,
    }


async def test_an_event_that_asks_for_no_acknowledgement_has_none(server: AsyncServer, spans: Spans) -> None:
    server.on("chat", lambda sid: None)
    async with connected(server) as client:
        client.send('42["chat"]')
        assert ACKNOWLEDGED not in (await spans.one("process chat"))["attributes"]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_an_error_in_a_handler_is_the_error_of_its_span(
    socketio: SocketIO, spans: Spans, kind: str
) -> None:
    def fail() -> None:
        raise ValueError("it is wrong")

    async def fail_on_the_loop() -> None:
        fail()

    socketio.on_event("chat", fail if kind == "function" else fail_on_the_loop)
    async with connected(socketio.server) as client:
        client.send('427["chat"]')
        span = await spans.one("process chat")
    assert span["status"] == "ERROR"
    assert span["attributes"]["error.type"] == "builtins.ValueError"
    assert span["attributes"][ACKNOWLEDGED] is False
    (event,) = span["events"]
    assert (event["name"], event["exception.message"]) == ("exception", "it is wrong")
    assert "in fail\n" in event["exception.stacktrace"]


async def test_an_error_that_the_application_handles_is_none_of_the_span(
    socketio: SocketIO, spans: Spans
) -> None:
    @socketio.on("chat")
    async def chat() -> None:
        raise ValueError

    socketio.on_error()(lambda error: "handled")
    async with connected(socketio.server) as client:
        assert await client.ask("chat") == ["handled"]
        span = await spans.one("process chat")
    assert (span["status"], span["attributes"][ACKNOWLEDGED]) == ("UNSET", True)


async def test_a_result_that_cannot_be_sent_is_an_error_of_the_span(
    server: AsyncServer, spans: Spans
) -> None:
    server.on("chat", lambda sid: object())
    async with connected(server) as client:
        client.send('427["chat"]')
        span = await spans.one("process chat")
    assert (span["status"], span["attributes"][ACKNOWLEDGED]) == ("ERROR", False)


async def test_events_that_overlap_have_their_own_errors(server: AsyncServer, spans: Spans) -> None:
    go = asyncio.Event()

    @server.on("bad")
    async def bad(sid: str) -> None:
        await go.wait()
        raise ValueError

    server.on("good", lambda sid: go.set())
    async with connected(server) as client:
        client.send('42["bad"]')
        client.send('42["good"]')
        assert (await spans.one("process bad"))["status"] == "ERROR"
        assert (await spans.one("process good"))["status"] == "UNSET"


async def test_clients_that_name_events_make_no_new_names_of_spans(server: AsyncServer, spans: Spans) -> None:
    server.on("*", lambda event, sid: event)
    async with connected(server) as client:
        for number in range(50):
            await client.ask(f"event {number}")
        client.send('427["event \\ud800' + "x" * 10_000 + '"]')
        await client.receive()
    processed = spans.named("process *")
    assert len(processed) == 51
    assert processed[7]["attributes"][NAME] == "event 7"
    last = processed[50]["attributes"][NAME]
    assert last.encode().startswith(b"event \\ud800xxx")
    assert len(last) < 120


async def test_an_error_with_text_that_utf8_does_not_have_can_be_exported(
    server: AsyncServer, spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What pytest captures of the log has to be UTF-8 to come from one of its processes to another.
    for name in ("asyncsock.server", "asyncsock.engine"):
        monkeypatch.setattr(logging.getLogger(name), "disabled", True)

    @server.on("chat")
    async def chat(sid: str, text: str) -> None:
        raise ValueError(text)

    async with connected(server) as client:
        client.send('42["chat","\\ud800' + "x" * 100_000 + '"]')
        (event,) = (await spans.one("process chat"))["events"]
    assert json.dumps(event, ensure_ascii=False).encode()
    assert len(event["exception.message"]) <= 10_000


# Connections


async def client_with(server: AsyncServer, headers: Any) -> str:
    """Connect a client with headers, have it send an event, and return its sid."""
    async with Socket(server.handle_request, headers=headers) as socket:
        client = Client(server, socket, json.loads((await socket.receive())[1:])["sid"])
        await client.connect()
        await client.ask("chat")
        return client.sid


async def test_a_connection_and_its_events_are_part_of_the_trace_in_the_headers_of_its_handshake(
    server: AsyncServer, spans: Spans
) -> None:
    server.on("chat", lambda sid: None)
    sid = await client_with(server, {"traceparent": TRACEPARENT})
    connect, event = await spans.one("connect /"), await spans.one("process chat")
    assert [(span["trace"], span["parent"]) for span in (connect, event)] == [(TRACE_ID, SPAN_ID)] * 2
    assert event["links"] == [connect["id"]]
    assert connect["kind"] == "SERVER"
    assert connect["attributes"]["messaging.client.id"] == sid


async def test_a_browser_names_its_trace_in_the_auth(server: AsyncServer, spans: Spans) -> None:
    server.on("chat", lambda sid: None)
    async with opened(server) as client:
        await client.connect(auth={"traceparent": TRACEPARENT, "token": "secret"})
        await client.ask("chat")
    connect, event = await spans.one("connect /"), await spans.one("process chat")
    assert [(span["trace"], span["parent"]) for span in (connect, event)] == [(TRACE_ID, SPAN_ID)] * 2


@pytest.mark.parametrize(
    "auth", [None, "text", [TRACEPARENT], {"traceparent": 5}, {"traceparent": "0" * 9_000}]
)
async def test_each_event_of_a_client_that_names_no_trace_begins_one(
    server: AsyncServer, spans: Spans, auth: Any
) -> None:
    server.on("chat", lambda sid: None)
    async with opened(server) as client:
        await client.connect(auth=auth)
        await client.ask("chat")
        await client.ask("chat")
    connect, (first, second) = await spans.one("connect /"), spans.named("process chat")
    assert connect["parent"] is first["parent"] is second["parent"] is None
    assert len({connect["trace"], first["trace"], second["trace"]}) == 3
    assert first["links"] == second["links"] == [connect["id"]]


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_what_a_connect_handler_does_is_part_of_the_span_of_the_connection(
    socketio: SocketIO, spans: Spans, kind: str
) -> None:
    def work() -> None:
        emit("welcome")

    async def work_on_the_loop() -> None:
        work()

    socketio.on_event("connect", work if kind == "function" else work_on_the_loop)
    async with connected(socketio.server):
        connect, sent = await spans.one("connect /"), await spans.one("send welcome")
    assert (sent["trace"], sent["parent"]) == (connect["trace"], connect["id"])
    assert connect["attributes"][CONNECTED] is True


@pytest.mark.parametrize(
    ("error", "status"), [(ConnectionRefusedError("no"), "UNSET"), (ValueError("no"), "ERROR")]
)
async def test_a_connection_that_is_refused_is_an_error_only_if_the_handler_failed(
    server: AsyncServer, spans: Spans, error: Exception, status: str
) -> None:
    @server.on("connect")
    async def connect(sid: str, environ: Any) -> None:
        raise error

    async with opened(server) as client:
        client.send("40")
        assert (await client.receive()).startswith("44")
        span = await spans.one("connect /")
    assert (span["status"], span["attributes"][CONNECTED]) == (status, False)


async def test_a_namespace_that_does_not_exist_is_refused_and_names_no_span(
    server: AsyncServer, spans: Spans
) -> None:
    async with connected(server) as client:
        client.send("40/junk,")
        await client.receive()
    first, second = spans.named("connect *")
    assert (first["attributes"][CONNECTED], second["attributes"][CONNECTED]) == (True, False)
    assert second["attributes"]["messaging.destination.name"] == "/junk"


async def test_a_second_connect_to_the_same_namespace_is_refused(server: AsyncServer, spans: Spans) -> None:
    async with connected(server) as client:
        client.send("40")
        assert (await client.receive()).startswith("44")
    assert [span["attributes"][CONNECTED] for span in spans.named("connect *")] == [True, False]


async def test_a_disconnect_tells_its_reason_and_what_its_handler_did(
    server: AsyncServer, spans: Spans
) -> None:
    @server.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        server.emit("gone")

    async with connected(server) as client:
        client.send("41")
        span, sent = await spans.one("disconnect /"), await spans.one("send gone")
    assert span["attributes"]["messaging.socket.io.reason"] == "client disconnect"
    assert sent["parent"] == span["id"]
    assert span["links"] == [spans.named("connect /")[0]["id"]]


async def test_a_client_that_comes_back_goes_on_in_the_trace_that_it_names_then(spans: Spans) -> None:
    server = AsyncServer(connection_state_recovery=True)
    AsyncsockInstrumentor().instrument_server(server, spans.provider)
    server.on("chat", lambda sid: None)
    server.on("connect", lambda sid, environ: None)
    async with opened(server) as client:
        client.send("40")
        first = json.loads((await client.receive())[2:])
        server.emit("news")
        offset = (await client.event())[-1]
        await client.leave()
    async with opened(server) as client:
        auth = {"pid": first["pid"], "offset": offset, "traceparent": TRACEPARENT}
        client.send(f"40{json.dumps(auth)}")
        assert json.loads((await client.receive())[2:])["sid"] == first["sid"]
        await client.ask("chat")
    assert (await spans.one("process chat"))["parent"] == SPAN_ID


# Emits


@pytest.mark.parametrize("thread", [False, True])
async def test_an_emit_is_a_span_of_a_producer_in_any_thread(
    server: AsyncServer, spans: Spans, thread: bool
) -> None:
    def view() -> None:
        with spans.tracer.start_as_current_span("view"):
            server.emit("news", to=["a", "b"], namespace="/other")

    async with connected(server):
        await asyncio.to_thread(view) if thread else view()
    sent, view_span = await spans.one("send news"), await spans.one("view")
    assert (sent["trace"], sent["parent"]) == (view_span["trace"], view_span["id"])
    assert sent["kind"] == "PRODUCER"
    assert sent["attributes"]["messaging.destination.name"] == "/other"
    assert list(sent["attributes"]["messaging.socket.io.rooms"]) == ["a", "b"]


async def test_data_that_cannot_be_sent_are_an_error_of_the_span(server: AsyncServer, spans: Spans) -> None:
    async with connected(server):
        with pytest.raises(TypeError):
            server.emit("news", object())
    assert (await spans.one("send news"))["status"] == "ERROR"


@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_the_callback_of_a_client_is_part_of_the_emit(
    server: AsyncServer, spans: Spans, kind: str
) -> None:
    answers = []

    def take(answer: Any) -> None:
        with spans.tracer.start_as_current_span("work"):
            answers.append(answer)

    async def take_on_the_loop(answer: Any) -> None:
        take(answer)

    async with connected(server) as client:
        server.emit("news", to=client.sid, callback=take if kind == "function" else take_on_the_loop)
        assert (await client.receive()) == '421["news"]'
        client.send("431[5]")
        called, work = await spans.one("acknowledge news"), await spans.one("work")
    (sent,) = spans.named("send news")
    assert answers == [5]
    assert [called["parent"], work["parent"]] == [sent["id"], called["id"]]
    assert {called["trace"], work["trace"]} == {sent["trace"]}


async def test_an_error_in_a_callback_is_one_of_its_span(server: AsyncServer, spans: Spans) -> None:
    def fail() -> None:
        raise ValueError

    async with connected(server) as client:
        server.emit("news", to=client.sid, callback=fail)
        await client.receive()
        client.send("431[]")
        assert (await spans.one("acknowledge news"))["status"] == "ERROR"


async def test_a_call_is_a_span_until_its_answer(server: AsyncServer, spans: Spans) -> None:
    async with connected(server) as client:
        call = asyncio.ensure_future(server.call("ask", to=client.sid))
        await client.receive()
        assert spans.named("call ask") == []
        client.send("431[5]")
        assert await within(call) == 5
        span = await spans.one("call ask")
        assert (span["kind"], span["status"]) == ("CLIENT", "UNSET")
        with pytest.raises(python_socketio.exceptions.TimeoutError):
            await server.call("ask again", to=client.sid, timeout=0.01)
    assert (await spans.one("call ask again"))["attributes"]["error.type"] == "timeout"


# Which servers are traced


async def test_servers_before_and_after_instrument_are_traced_until_uninstrument(everywhere: Spans) -> None:
    after = AsyncServer()
    async with connected(after):
        assert everywhere.names() == ["connect *"]
    AsyncsockInstrumentor().uninstrument()
    before = AsyncServer()
    async with connected(after), connected(before):
        assert everywhere.names() == ["connect *"]
    AsyncsockInstrumentor().instrument(tracer_provider=everywhere.provider)
    async with connected(after), connected(before):
        assert everywhere.names() == ["connect *"] * 3
    assert AsyncsockInstrumentor().is_instrumented_by_opentelemetry


async def test_a_server_is_traced_once_however_often_it_is_asked_for(
    everywhere: Spans, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer()
    AsyncsockInstrumentor().instrument_server(server, everywhere.provider)
    with caplog.at_level(logging.WARNING):
        AsyncsockInstrumentor().instrument()
    assert "remove the second call" in caplog.text
    async with connected(server):
        assert everywhere.names() == ["connect *"]
    AsyncsockInstrumentor().uninstrument_server(server)
    async with connected(server):
        assert everywhere.names() == ["connect *"]


@pytest.mark.parametrize("wrong", [SocketIO(), EngineServer(), None])
def test_what_is_no_server_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match="is no AsyncServer"):
        AsyncsockInstrumentor().instrument_server(wrong)


async def test_a_server_that_is_not_traced_calls_its_functions_themselves(spans: Spans) -> None:
    server = AsyncServer()
    functions = server._dispatcher.run_event, server._dispatcher.let_in, server._trigger, server._emit_here
    routes, connector = server._routes, server._connector
    assert functions == (routes.run_event, connector.connect, routes.trigger, server._rooms.emit)
    AsyncsockInstrumentor().instrument_server(server, spans.provider)
    assert server._dispatcher.run_event != routes.run_event
    AsyncsockInstrumentor().uninstrument_server(server)
    assert server._dispatcher.run_event == routes.run_event
