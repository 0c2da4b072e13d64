"""SystemExit and KeyboardInterrupt in handlers of every kind: errors of the handler, and the server goes on.

The handlers are in tests/apps/leaving.py.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from socketio.exceptions import ConnectionError

from tests.support.python_socketio_client import WAIT, Client, connected, tags
from tests.support.raw_clients import RawSocket, is_refused, upgrade_request, websocket, within
from tests.support.server_process import Server, Start, serve

FAULTS = ("SystemExit", "KeyboardInterrupt")
EVENTS = [
    *(("/socket.io/", "/", event) for event in ("coroutine", "function", "background task")),
    *(("/socket.io/", "/", event) for event in ("callback coroutine", "callback function")),
    ("/socket.io/", "/", "background task of a thread"),
    *(("/socket.io/", "/class", event) for event in ("coroutine", "function")),
    *(("/bare/", "/", event) for event in ("coroutine", "function", "callback function")),
    *(("/bare/", "/", event) for event in ("background task", "background task of a thread")),
    *(("/bare/", "/class", event) for event in ("coroutine", "function")),
    *(("/in-turn/", "/", event) for event in ("coroutine", "function")),
    *(("/socket.io/", f"/error {kind}", "fail") for kind in ("coroutine", "function")),
]
CONNECTS = [
    ("/socket.io/", "/connect coroutine"),
    ("/socket.io/", "/connect function"),
    ("/bare/", "/connect"),
]
DISCONNECTS = [
    ("/socket.io/", "/disconnect coroutine"),
    ("/socket.io/", "/disconnect function"),
    ("/bare/", "/disconnect"),
]

on_each_engine = pytest.mark.parametrize("path", ["/engine/", "/later/"], ids=["function", "coroutine"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tests.apps.leaving:asgi") as running:
        yield running


@pytest.fixture
async def other(server: Server) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket") as client:
        yield client


@pytest.fixture(autouse=True)
async def _others_are_served(other: Client) -> AsyncIterator[None]:
    """What a test does to the server is nothing to its other clients."""
    yield
    assert await other.call("echo", "still here") == "still here"


async def logged(server: Server, fault: str, text: str) -> None:
    """Wait until a fault has been logged, with its traceback, as an error."""
    log = await asyncio.to_thread(server.wait_for_log, f"{fault}: {text}\n")
    line = log.index(f"{fault}: {text}\n")
    assert "raise FAULTS[kind](text)" in log[line - 200 : line]
    assert "ERROR asyncsock" in log[:line]


@asynccontextmanager
async def client_of(
    server: Server, path: str, namespace: str, handlers: dict[str, Any] | None = None, **options: Any
) -> AsyncIterator[Client]:
    options = {"mode": "websocket", "socketio_path": path.strip("/"), "namespaces": [namespace], **options}
    async with connected(server.url, **options) as client:
        yield client


def visitor(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT)


@pytest.mark.parametrize(("path", "namespace", "event"), EVENTS)
async def test_a_fault_is_logged_as_the_error_of_its_handler(
    server: Server, path: str, namespace: str, event: str
) -> None:
    async with client_of(server, path, namespace) as client:
        client.socket.on("question", lambda: None, namespace=namespace)
        for fault in FAULTS:
            text = next(tags)
            await client.emit(event, fault, text, namespace=namespace)
            await logged(server, fault, text)


@pytest.mark.parametrize("path", ["/socket.io/", "/bare/", "/in-turn/"])
@pytest.mark.parametrize("event", ["coroutine", "function"])
async def test_an_event_whose_handler_raises_a_fault_is_not_acknowledged(
    server: Server, path: str, event: str
) -> None:
    answers: list[Any] = []
    async with client_of(server, path, "/") as client:
        for fault in FAULTS:
            text = next(tags)
            await client.emit(event, fault, text, callback=lambda *args: answers.append(args))
            await logged(server, fault, text)
        assert await client.call("echo", "after these") == "after these"
    assert answers == []


@pytest.mark.parametrize("event", ["coroutine", "function"])
async def test_the_error_handler_of_flask_gets_a_fault(server: Server, event: str) -> None:
    async with client_of(server, "/socket.io/", "/handled") as client:
        for fault in FAULTS:
            answer = await client.call(event, fault, "why", namespace="/handled")
            assert answer == ["handled", f"{fault}('why')"]


@pytest.mark.parametrize(("path", "namespace"), CONNECTS)
async def test_a_fault_in_a_connect_handler_refuses_the_client(
    server: Server, path: str, namespace: str
) -> None:
    for fault in FAULTS:
        text = next(tags)
        client = Client(server.url, mode="websocket")
        refusals = client.arrivals("connect_error", namespace)
        with pytest.raises(ConnectionError, match="failed to connect"):
            await client.connect([namespace], socketio_path=path.strip("/"), auth=[fault, text])
        await within(refusals.get())
        await client.close()
        await logged(server, fault, text)


@pytest.mark.parametrize(("path", "namespace"), DISCONNECTS)
async def test_a_fault_in_a_disconnect_handler_is_logged(server: Server, path: str, namespace: str) -> None:
    for fault in FAULTS:
        text = next(tags)
        async with client_of(server, path, namespace) as client:
            await client.call("note", fault, text, namespace=namespace)
        await logged(server, fault, text)


@on_each_engine
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_fault_in_a_connect_handler_of_the_engine_refuses_the_client(
    server: Server, path: str, transport: str
) -> None:
    for fault in FAULTS:
        text = next(tags)
        if transport == "websocket":
            assert await is_refused(server, path, leave=f"{fault},{text}")
        else:
            async with visitor(server) as http:
                query = f"EIO=4&transport=polling&leave={fault},{text}"
                assert (await http.get(f"{path}?{query}")).status_code == 401
        await logged(server, fault, text)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_fault_in_a_function_that_allows_origins_is_an_error_of_its_request(
    server: Server, transport: str
) -> None:
    query = f"/choosy/?EIO=4&transport={transport}"
    for fault in FAULTS:
        text = next(tags)
        origin = f"http://{fault}.{text}"
        async with visitor(server) as http, await RawSocket.connect(server) as raw:
            if transport == "polling":
                assert (await http.get(query, headers={"Origin": origin})).status_code == 500
            else:
                await raw.send(upgrade_request("/choosy/", {}, {"Origin": origin}))
                await within(raw.reader.read())
        await asyncio.to_thread(server.wait_for_log, f"raised {fault}('{text}')")


@on_each_engine
async def test_a_fault_in_a_message_handler_of_the_engine_is_logged(server: Server, path: str) -> None:
    async with websocket(server, path) as ws:
        for fault in FAULTS:
            text = next(tags)
            await ws.send(f"4{fault},{text}")
            await logged(server, fault, text)


@on_each_engine
async def test_a_fault_in_a_disconnect_handler_of_the_engine_is_logged(server: Server, path: str) -> None:
    for fault in FAULTS:
        text = next(tags)
        async with websocket(server, path) as ws:
            await ws.send(f"4note,{fault},{text}")
        await logged(server, fault, text)


@pytest.mark.parametrize("view", ["function", "coroutine"])
async def test_a_fault_in_a_view_is_an_error_of_the_view(server: Server, view: str) -> None:
    for fault in FAULTS:
        text = next(tags)
        async with visitor(server) as http:
            assert (await http.get(f"/{view}/{fault}/{text}")).status_code == 500
        await logged(server, fault, text)


@pytest.mark.parametrize("asgi_server", ["uvicorn", "hypercorn"])
async def test_a_fault_in_a_streaming_view_breaks_off_its_answer_only(
    running: Start, asgi_server: str
) -> None:
    server = running("tests.apps.leaving:asgi", asgi_server)
    for fault in FAULTS:
        text = next(tags)
        async with visitor(server) as http:
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get(f"/stream/{fault}/{text}")
        await asyncio.to_thread(server.wait_for_log, f"{fault}: {text}\n")
    async with connected(server.url, mode="websocket") as client:
        assert await client.call("echo", "still here") == "still here"


@pytest.mark.parametrize("asgi_server", ["uvicorn", "hypercorn"])
async def test_ctrl_c_stops_the_server(asgi_server: str) -> None:
    with serve("tests.apps.leaving:asgi", server=asgi_server) as server:
        async with connected(server.url, mode="websocket") as client:
            await client.emit("coroutine", "KeyboardInterrupt", "raised by the program")
            await asyncio.to_thread(server.wait_for_log, "raised by the program\n")
            assert await client.call("echo", "still here") == "still here"
            server.process.send_signal(signal.SIGINT)
        # hypercorn waits for its connections
        await within(asyncio.to_thread(server.process.wait), WAIT)
