"""docs/troubleshooting.md: each symptom gives the text that the page has, and the remedy takes it away."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

import flask
import httpx
import pytest
from flask import Flask, request, session
from socketio.exceptions import ConnectionError

from asyncsock import ASGIApp, AsyncServer, SocketIO, emit
from tests.support.asgi_in_process import request as ask
from tests.support.document_programs import blocks
from tests.support.nginx import nginx
from tests.support.ports import free_port
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_process import ROOT
from tests.support.started_programs import started
from tests.support.uvicorn_in_process import running

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
TEXT = " ".join(PAGE.split())
PROGRAM = """
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app
"""


def quoted(text: str) -> str:
    """A text that the page has."""
    assert text in TEXT, text
    return text


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("uvicorn app:app", "Flask.__call__() missing 1 required positional argument: 'start_response'"),
        ("gunicorn app:asgi", "ASGIApp.__call__() missing 1 required positional argument: 'send'"),
    ],
)
def test_an_application_of_the_other_kind_is_missing_an_argument(
    tmp_path: Path, command: str, text: str
) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    with started(command, tmp_path, tracebacks=True) as (_, server):
        assert httpx.get(server.url, trust_env=False).status_code == 500
        server.wait_for_log(quoted(text))


def test_gunicorn_with_the_worker_of_the_remedy_serves(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(PROGRAM)
    command = quoted("gunicorn app:asgi -k uvicorn_worker.UvicornWorker")
    with started(command, tmp_path) as (_, server):
        answer = httpx.get(f"{server.url}/socket.io/?EIO=4&transport=polling", trust_env=False)
        assert answer.status_code == 200


def test_options_that_there_are_not(app: Flask) -> None:
    with pytest.warns(UserWarning, match=re.escape(quoted("SocketIO() ignores 'debug'"))):
        SocketIO(app, debug=True)
    text = quoted("SocketIO() has no option 'ping_intervall': it is called 'ping_interval'")
    with pytest.raises(TypeError, match=re.escape(text)):
        SocketIO(app, ping_intervall=5)


@pytest.mark.parametrize(
    ("query", "headers", "body", "line"),
    [
        (
            "EIO=4&transport=polling&sid=gone",
            {},
            '{"code":1,"message":"Session ID unknown"}',
            "refused: 400 Session ID unknown",
        ),
        (
            "EIO=3&transport=polling",
            {},
            '{"code":5,"message":"Unsupported protocol version"}',
            None,
        ),
        (
            "EIO=4&transport=polling",
            {"Origin": "http://other.example"},
            '{"code":3,"message":"Not an accepted origin."}',
            "Not an accepted origin: name 'http://other.example' in cors_allowed_origins to let it in",
        ),
        (
            "EIO=4&transport=websocket",
            {},
            None,
            "refused: 400 Transport unknown: a request for a WebSocket came without its Upgrade header",
        ),
    ],
)
async def test_a_request_that_is_refused(
    socketio: SocketIO,
    caplog: pytest.LogCaptureFixture,
    query: str,
    headers: dict[str, str],
    body: str | None,
    line: str | None,
) -> None:
    answer = await ask(socketio.asgi_app, query=query, headers=headers)
    assert answer.status == 400
    assert body is None or answer.text == quoted(body)
    assert line is None or quoted(line) in caplog.text


async def test_an_origin_that_is_named_is_accepted(app: Flask) -> None:
    socketio = SocketIO(app, cors_allowed_origins=["http://other.example"])
    assert (await ask(socketio.asgi_app, headers={"Origin": "http://other.example"})).status == 200


async def test_the_path_of_the_javascript_client_is_400_without_the_option(
    socketio: SocketIO, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await ask(socketio.asgi_app, path=quoted("/socket.io/socket.io.js"), query="")
    assert answer.status == 400
    assert quoted("serve_client=True") in caplog.text


async def test_nginx_passes_websockets_with_the_lines_of_the_page(
    socketio: SocketIO, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(socketio.asgi_app) as local:
        for number, lines in enumerate(["", *blocks(PAGE, "nginx")]):
            port, folder = free_port(), tmp_path / str(number)
            folder.mkdir()
            place = f"location / {{ proxy_pass http://127.0.0.1:{local.port}; {lines} }}"
            with nginx(folder, port, f"server {{ listen 127.0.0.1:{port}; {place} }}"):
                client = Client(f"http://127.0.0.1:{port}", mode="websocket")
                if lines:
                    await client.connect()
                else:
                    with pytest.raises(ConnectionError):
                        await client.connect()
                    assert "without its Upgrade header" in caplog.text
                await client.close()


async def test_a_websocket_at_another_path_is_403_or_404(socketio: SocketIO) -> None:
    statuses = []
    for app in (socketio.asgi_app, ASGIApp(AsyncServer())):
        async with running(app) as local, httpx.AsyncClient(trust_env=False) as http:
            upgrade = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
            }
            answer = await http.get(f"http://127.0.0.1:{local.port}/live/?EIO=4", headers=upgrade)
            statuses.append(answer.status_code)
    assert statuses == [404, 403]


async def test_a_namespace_without_handlers_is_invalid(
    socketio: SocketIO, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(socketio.asgi_app) as local:
        client = Client(f"http://127.0.0.1:{local.port}")
        refused = client.arrivals("connect_error", "/chat")
        with pytest.raises(ConnectionError):
            await client.connect(["/chat"])
        assert await arrived(refused) == ({"message": quoted("Invalid namespace")},)
        assert quoted("asked for unknown namespace '/chat'") in caplog.text
        await client.close()


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_a_large_message_ends_the_connection(
    socketio: SocketIO, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    socketio.on("chat")(lambda text: None)
    async with running(socketio.asgi_app) as local:
        async with connected(f"http://127.0.0.1:{local.port}", mode=mode) as client:
            gone = client.arrivals("disconnect")
            await client.emit("chat", "x" * 2_000_000)
            await arrived(gone)
    text = {"websocket": "bytes exceeds limit of 1000000 bytes", "polling": quoted("Payload too large")}
    assert text[mode] in caplog.text


def test_an_event_without_a_handler_is_in_the_log(app: Flask, caplog: pytest.LogCaptureFixture) -> None:
    socketio = SocketIO(app, logger=True)
    client = socketio.test_client(app)
    assert client.emit("chat", "hi", callback=True) is None
    assert quoted('received event "chat"') in caplog.text


def test_a_handler_with_too_few_arguments_is_a_type_error(app: Flask, socketio: SocketIO) -> None:
    @socketio.on("chat")
    async def chat(text: str) -> None:
        pass

    with pytest.raises(TypeError, match=quoted("takes 1 positional argument but 3 were given")):
        socketio.test_client(app).emit("chat", 1, 2, 3)


@dataclass
class Message:
    text: str


def test_an_event_that_does_not_fit_the_annotations_says_where(
    socketio: SocketIO, app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    @socketio.on("chat")
    async def chat(message: Message) -> None:
        pass

    answer = socketio.test_client(app).emit("chat", {"text": 1}, callback=True)
    assert answer["error"]["code"] == "invalid_payload"
    assert answer["error"]["path"] == quoted("$[0].text")
    assert quoted("is not what its handler takes: Expected") in caplog.text


async def test_jobs_have_no_context(app: Flask, socketio: SocketIO) -> None:
    for use, text in (
        (lambda: request.path, "Working outside of request context"),
        (lambda: flask.current_app.name, "application context"),
        (lambda: emit("news"), "emit() needs the context of a Socket.IO event"),
    ):
        with pytest.raises(RuntimeError, match=re.escape(quoted(text))):
            await asyncio.to_thread(use)
    with app.app_context():
        assert flask.current_app.name == app.name


def test_what_a_handler_puts_into_the_session_is_seen_by_its_connection_only(
    app: Flask, socketio: SocketIO
) -> None:
    @socketio.on("count")
    async def count() -> int:
        session["count"] = session.get("count", 0) + 1
        return int(session["count"])

    @app.get("/count")
    def view() -> str:
        return str(session.get("count"))

    browser = app.test_client()
    client = socketio.test_client(app, flask_test_client=browser)
    assert [client.emit("count", callback=True) for _ in range(2)] == [1, 2]
    assert browser.get("/count").text == "None"


class OfALoop:
    """What clients of databases are: made for the loop that runs at their first use."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    async def ask(self) -> str:
        self._loop = self._loop or asyncio.get_running_loop()
        answer = self._loop.create_future()
        self._loop.call_soon(answer.set_result, "answer")
        return await answer


def test_asyncio_run_closes_the_loop_of_what_was_used_in_it(app: Flask, socketio: SocketIO) -> None:
    in_function, in_coroutine = OfALoop(), OfALoop()
    socketio.on("function")(lambda: asyncio.run(in_function.ask()))
    socketio.on("coroutine")(in_coroutine.ask)
    client = socketio.test_client(app)
    assert client.emit("function", callback=True) == "answer"
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        client.emit("function", callback=True)
    assert [client.emit("coroutine", callback=True) for _ in range(2)] == ["answer"] * 2


def test_a_thread_runs_a_coroutine_on_the_servers_loop(app: Flask, socketio: SocketIO) -> None:
    thing = OfALoop()

    @socketio.on("function")
    def function() -> str:
        return asyncio.run_coroutine_threadsafe(thing.ask(), socketio.server.loop).result()

    client = socketio.test_client(app)
    assert [client.emit("function", callback=True) for _ in range(2)] == ["answer"] * 2
