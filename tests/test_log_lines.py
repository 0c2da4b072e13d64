"""Text of clients in log lines: it breaks no line, colours no terminal and turns no text around."""

from __future__ import annotations

import json
import logging
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from socketio.exceptions import ConnectionRefusedError
from socketio.packet import Packet
from uvicorn.logging import AccessFormatter

from asyncsock import ASGIApp, AsyncServer, callbacks
from asyncsock.engine import EngineServer
from asyncsock.engine.log import printable, shown
from asyncsock.engine.log_lines import LINES_OF_ADDRESS
from asyncsock.flask_bridge.wsgi import WsgiApp
from asyncsock.queues.health import Health
from asyncsock.queues.manager import QueueManager
from asyncsock.uvicorn.access_log import FORMAT, NAME, QuickAccessFormatter
from tests.support.asgi_in_process import HANDSHAKE, request
from tests.support.engineio_in_process import Poller, ask
from tests.support.queue_drivers import Silent
from tests.support.raw_clients import RawSocket, within
from tests.support.socketio_in_process import connected, opened, until
from tests.support.uvicorn_in_process import running

FORGED = "\nERROR forged \r\x1b[31m\x9b31m\x7f\x85\u2028\u202e\u2066\0"

Place = Callable[[], Awaitable[Any]]
places: dict[str, Place] = {}


def place(function: Place) -> Place:
    """Register a function that has something of a client logged."""
    places[function.__name__] = function
    return function


def verbose(**options: Any) -> AsyncServer:
    return AsyncServer(logger=True, engineio_logger=True, **options)


async def send(server: AsyncServer, packet: str) -> None:
    """Send a packet as a client in the main namespace, and wait until the server has handled it."""
    async with connected(server) as client:
        client.send(packet)
        await within(until(lambda: not len(server.eio.tasks)))
        await client.packets()


@place
async def the_name_of_an_event() -> None:
    await send(verbose(), "42" + json.dumps([FORGED]))


@place
async def the_namespace_of_an_event() -> None:
    server = verbose(namespaces="*")
    server.on("*", lambda event, sid: None, namespace="*")
    async with opened(server) as client:
        client.send(f"40/{FORGED},")
        await client.receive()
        client.send(f'42/{FORGED},["x"]')
        await client.packets()


@place
async def a_namespace_that_is_unknown() -> None:
    await send(verbose(), f"40/{FORGED},")


@place
async def a_namespace_that_the_client_is_not_in() -> None:
    await send(verbose(), f'42/{FORGED},["x"]')


@place
async def an_event_that_is_emitted() -> None:
    await verbose().emit(FORGED, to="room")


@place
async def a_room_that_is_emitted_to() -> None:
    await verbose().emit("x", to=[FORGED])


@place
async def a_namespace_that_is_emitted_to() -> None:
    await verbose().emit("x", namespace=FORGED)


@place
async def a_packet_of_an_unknown_type() -> None:
    async with opened(verbose()) as client:
        client.send("x" + FORGED)
        await within(client.socket.task)


@place
async def a_message_that_a_packet_class_does_not_decode() -> None:
    class Failing(Packet):
        def decode(self, encoded_packet: str) -> int:
            raise ValueError(encoded_packet * 1000)

    async with opened(verbose(serializer=Failing)) as client:
        client.send("4" + FORGED)
        await within(client.socket.task)


@place
async def an_event_whose_result_cannot_be_sent() -> None:
    server = verbose()
    server.on("*", lambda event, sid: object())
    await send(server, "420" + json.dumps([FORGED]))


@place
async def a_key_in_a_result_that_cannot_be_sent() -> None:
    server = verbose()
    server.on("x", lambda sid, key: {key: object()})
    await send(server, "420" + json.dumps(["x", FORGED]))


@place
async def an_error_of_the_programs_json_module() -> None:
    class Failing:
        loads = staticmethod(json.loads)

        @staticmethod
        def dumps(data: Any, **options: Any) -> str:
            if FORGED in data:
                raise ValueError("x" + FORGED[1:])
            return json.dumps(data)

    server = verbose(json=Failing)
    server.on("x", lambda sid, text: text)
    await send(server, "420" + json.dumps(["x", FORGED]))


@place
async def the_reason_of_a_refusal_that_cannot_be_sent() -> None:
    server = verbose()

    @server.on("connect", namespace="/refusing")
    def connect(sid: str, environ: Any, auth: Any) -> None:
        raise ConnectionRefusedError("no", {auth: object()})

    await send(server, "40/refusing," + json.dumps(FORGED))


@place
async def the_path_of_a_request_that_is_refused() -> None:
    await request(EngineServer().handle_request, path=f"/engine.io/{FORGED}", query="EIO=3")


@place
async def the_method_of_a_request_that_is_refused() -> None:
    await request(EngineServer().handle_request, f"GET{FORGED}", query=HANDSHAKE)


@place
async def an_origin_that_is_refused() -> None:
    await ask(EngineServer(), origin="http://" + FORGED)


@place
async def the_message_of_a_refusal() -> None:
    server = EngineServer()
    server.on("connect", lambda sid, environ: FORGED)
    await ask(server)


@place
async def a_session_that_is_unknown() -> None:
    EngineServer().send(FORGED, "text")


@place
async def a_binary_message_that_is_not_base64() -> None:
    poller = await Poller(EngineServer()).open()
    await poller.post("b" + FORGED)


@place
async def a_view_that_fails() -> None:
    def fail(environ: Any, start_response: Any) -> Any:
        raise LookupError

    await request(WsgiApp(fail), path=f"/{FORGED}", query="")


@place
async def a_field_of_a_message_of_a_queue() -> None:
    server = AsyncServer(client_manager=QueueManager("test://", lambda: Silent("test://", "channel")))
    async with connected(server):
        server.manager._health.ignored(ValueError("x" + FORGED[1:]))


@place
async def an_error_of_a_broker() -> None:
    Health("test://").set_down("listening", ConnectionError("x" + FORGED[1:]))


@place
async def a_client_that_acknowledges_nothing() -> None:
    callbacks._dropped_line_at = -callbacks.DROPPED_INTERVAL
    callbacks._log_dropped(FORGED)


@pytest.mark.parametrize("name", places)
async def test_no_line_has_more_than_printable_characters(
    name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await places[name]()
    lines = [record.getMessage() for record in caplog.records if record.name.startswith(("asyncsock", NAME))]
    assert [line for line in lines if not line.isprintable()] == []
    assert any("forged" in line or "\\x1b" in line or "x1b[31m" in line for line in lines) or name in SILENT
    assert max(map(len, lines)) < 500


# These name nothing of the text.
SILENT = {"a_binary_message_that_is_not_base64"}


@pytest.mark.parametrize("colours", [False, True])
def test_uvicorns_own_access_lines_show_what_a_proxy_says_as_printable_characters(colours: bool) -> None:
    formatter = QuickAccessFormatter(AccessFormatter(FORMAT, use_colors=colours))

    def line(address: str) -> str:
        arguments = (address, "GET", "/", "1.1", 200)
        record = logging.LogRecord(NAME, logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None)
        return formatter.format(record)

    assert line(FORGED) == line(printable(FORGED))


async def test_the_access_log_of_a_real_server_has_printable_lines(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with running(ASGIApp(AsyncServer())) as local, await RawSocket.connect(local) as raw:
        path = f"/socket.io/{quote(FORGED)}?EIO=4&transport=polling&text={quote(FORGED)}"
        await raw.send(
            f"GET {path} HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: a\x9b31mb\r\n\r\n".encode("latin-1")
        )
        assert (await raw.response())[0] == 200
    [line] = [record.getMessage() for record in caplog.records if record.name == NAME]
    assert line.isprintable()
    assert "forged" in line
    assert "a\\x9b31mb" in line


@given(st.text() | st.text(st.sampled_from(FORGED + "\ud800a'\"\\")))
def test_any_text_is_shown_as_printable_characters(text: str) -> None:
    assert printable(text).isprintable()
    assert shown(text).isprintable()
    assert printable(printable(text)) == printable(text)


# How many there are


Flood = Callable[[], Awaitable[Any]]
floods: dict[str, Flood] = {}
MANY = 2 * LINES_OF_ADDRESS


def flood(function: Flood) -> Flood:
    """Register a function that has clients cause many lines of one kind."""
    floods[function.__name__] = function
    return function


class Broken(Exception):
    pass


def break_down(*args: Any) -> None:
    raise Broken


@flood
async def connect_handlers_that_fail() -> None:
    server = EngineServer()
    server.on("connect", break_down)
    for _ in range(MANY):
        await ask(server)


@flood
async def disconnect_handlers_that_fail() -> None:
    server = EngineServer()
    server.on("disconnect", break_down)
    for _ in range(MANY):
        await ask(server)
    await server.disconnect()


@flood
async def messages_that_an_application_cannot_handle() -> None:
    server = EngineServer()
    server.core.application.message = break_down  # type: ignore[method-assign]
    poller = await Poller(server).open()
    for _ in range(MANY):
        await poller.post("4x")


@flood
async def messages_to_clients_that_have_left() -> None:
    server = EngineServer()
    for number in range(MANY):
        server.send(f"gone{number}", "text")


@flood
async def acknowledgements_that_come_twice() -> None:
    server = AsyncServer()
    async with connected(server) as client:
        for number in range(1, MANY):
            server.emit("x", to=client.sid, callback=lambda *args: None)
            client.send(f"43{number}[]")
            client.send(f"43{number}[]")
        await client.packets()


@flood
async def requests_that_are_not_http() -> None:
    async with running(ASGIApp(AsyncServer())) as local:
        for _ in range(MANY):
            async with await RawSocket.connect(local) as raw:
                await raw.send(b"\0\r\n\r\n")
                assert (await raw.response())[0] == 400


@flood
async def views_that_fail() -> None:
    app = WsgiApp(break_down)
    for _ in range(MANY):
        await request(app, path="/", query="")


@flood
async def responses_that_are_too_long() -> None:
    def too_long(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "1")])
        return [b"four"]

    app = WsgiApp(too_long)
    for _ in range(MANY):
        await request(app, path="/", query="")


@pytest.mark.parametrize("name", floods)
async def test_the_lines_that_clients_cause_are_few(name: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    await floods[name]()
    lines = [
        record.getMessage() for record in caplog.records if record.name.startswith(("asyncsock", "uvicorn"))
    ]
    most = Counter(re.sub(r"\d+", "", line) for line in lines).most_common(1)[0][1]
    assert 0 < most < MANY
