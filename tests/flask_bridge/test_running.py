"""socketio.run, socketio.stop, `flask socketio run` and the loggers, in processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest

import asyncsock
from asyncsock.flask_bridge import runner
from tests.support.python_socketio_client import WAIT, Client, arrived, connected
from tests.support.raw_clients import close_code, receive, websocket
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve

PROGRAM = "tests/apps/flask_run.py"

# The reloader watches everything below PYTHONPATH, where other tests have their modules compiled meanwhile.
NOT_RELOADED = [f"{ROOT}/*"]


@contextmanager
def run(*, tls: str = "", env: dict[str, str] | None = None, **options: Any) -> Iterator[Server]:
    """`python tests/apps/flask_run.py` with these options of socketio.run."""
    environment = {"TLS": tls, "RUN_OPTIONS": json.dumps(options), **(env or {})}
    with serve(PROGRAM, server="python", env=environment, tls=bool(tls)) as server:
        yield server


def visitor(server: Server) -> httpx.AsyncClient:
    verify = ssl.create_default_context(cafile=str(server.authority)) if server.tls else True
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT, verify=verify)


async def exit_code(server: Server) -> int:
    return await asyncio.to_thread(server.process.wait, WAIT)


def lines(log: str, text: str) -> list[str]:
    return [line for line in log.splitlines() if text in line]


# run()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
async def test_run_serves_and_returns_at_a_signal(name: str) -> None:
    with run() as server:
        async with connected(server.url) as client:
            gone = client.arrivals("disconnect")
            assert await client.call("echo", "hello") == "hello"
            server.process.send_signal(getattr(signal, name))
            await arrived(gone)
        assert await exit_code(server) == 0
        assert "run() has returned" in server.log()
        assert "Traceback" not in server.log()


async def test_run_returns_after_its_number_of_requests_with_the_sessions_closed() -> None:
    with run(limit_max_requests=20) as server:
        async with connected(server.url, mode="polling") as client, visitor(server) as http:
            gone = client.arrivals("disconnect")
            with suppress(httpx.TransportError):  # when it accepts no more
                while True:
                    await http.get("/")
            await arrived(gone)
        assert await exit_code(server) == 0
        assert "run() has returned" in server.log()


async def test_a_background_task_that_never_ends_keeps_no_server_from_stopping() -> None:
    with run(env={"ENDLESS": "1"}) as server:
        async with connected(server.url) as client:
            await client.call("echo", "hello")
        server.process.terminate()
        assert await exit_code(server) == 0


@pytest.mark.parametrize("reloader", [False, True], ids=["without a reloader", "with a reloader"])
async def test_run_with_debug_shows_flasks_debugger(reloader: bool) -> None:
    with run(debug=True, use_reloader=reloader, exclude_patterns=NOT_RELOADED) as server:
        async with visitor(server) as http:
            page = await http.get("/fail")
        assert page.status_code == 500
        assert "LookupError: a view that fails" in page.text
        assert "Werkzeug Debugger" in page.text
        async with connected(server.url) as client:
            assert await client.call("echo", "hello") == "hello"


async def test_run_with_debug_and_without_the_debugger_shows_no_traceback() -> None:
    with run(debug=True, use_reloader=False, use_debugger=False) as server:
        async with visitor(server) as http:
            page = await http.get("/fail")
        assert page.status_code == 500
        assert "LookupError" not in page.text


@pytest.mark.parametrize(
    ("options", "logged"),
    [
        ({}, False),
        ({"log_output": True}, True),
        ({"debug": True, "use_reloader": False}, True),
        ({"debug": True, "use_reloader": False, "log_output": False}, False),
    ],
    ids=["by default", "with log_output", "with debug", "with debug and without log_output"],
)
async def test_run_logs_requests(options: dict[str, Any], logged: bool) -> None:
    with run(**options) as server:
        async with visitor(server) as http:
            await http.get("/nowhere")
        server.process.terminate()
        assert await exit_code(server) == 0
        assert bool(lines(server.log(), "GET /nowhere")) == logged


async def test_run_ignores_the_options_of_other_servers_with_one_warning() -> None:
    ignored = {"spawn": 10, "log": None, "keepalive": True, "allow_unsafe_werkzeug": True, "threaded": True}
    with run(**ignored, backlog=100, extra_files=[]) as server:
        async with connected(server.url) as client:
            assert await client.call("echo", "hello") == "hello"
        [warning] = lines(server.log(), "Warning")
        assert "ignores allow_unsafe_werkzeug, keepalive, log, spawn, threaded: " in warning
        assert "flask_run.py" in warning


@pytest.mark.parametrize("kind", ["files", "pair", "context"])
async def test_run_serves_tls(kind: str) -> None:
    with run(tls=kind) as server:
        async with visitor(server) as http:
            assert (await http.get("/fail")).status_code == 500
        options = {"ssl_verify": False}
        async with connected(server.url, mode="websocket", client_options=options) as client:
            assert await client.call("echo", "hello") == "hello"


def an_application() -> tuple[flask.Flask, asyncsock.SocketIO]:
    app = flask.Flask("app")
    return app, asyncsock.SocketIO(app)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("no_such_option", "no option 'no_such_option'"),
        ("reload", "use_reloader"),
    ],
)
def test_run_refuses_by_name_what_it_cannot_do(option: str, message: str) -> None:
    app, socketio = an_application()
    with pytest.raises(TypeError, match=message):
        socketio.run(app, **{option: 2})


def test_run_refuses_what_is_no_ssl_context() -> None:
    app, socketio = an_application()
    with pytest.raises(TypeError, match=r"ssl_context='certificate.pem'.*\(certificate, key\)"):
        socketio.run(app, ssl_context="certificate.pem")


def test_run_refuses_another_application() -> None:
    _, socketio = an_application()
    with pytest.raises(ValueError, match="another application"):
        socketio.run(flask.Flask("two"))


@pytest.mark.parametrize(("options", "size"), [({}, 5000), ({"ws_max_size": 7000}, 7000)], ids=str)
def test_run_has_uvicorn_decompress_messages_up_to_the_engines_limit(
    options: dict[str, int], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    monkeypatch.setattr(runner, "_run_until_signal", lambda server: sizes.append(server.config.ws_max_size))
    app = flask.Flask("app")
    asyncsock.SocketIO(app, max_http_buffer_size=5000).run(app, **options)
    assert sizes == [size]


@pytest.mark.parametrize("protocol", ["websockets", "wsproto"])
async def test_a_compressed_message_that_is_too_large_ends_its_connection(protocol: str) -> None:
    with run(ws=protocol) as server:
        async with websocket(server, "/socket.io/") as connection, websocket(server, "/socket.io/") as other:
            await connection.send("4" + "2" * 2_000_000)
            assert await close_code(connection) == 1009
            assert (await receive(other)).startswith("0")


# stop()


@pytest.mark.parametrize("where", ["coroutine", "function", "thread"])
async def test_stop_ends_run_once_the_handler_has_answered(where: str) -> None:
    with run() as server:
        async with connected(server.url) as client:
            gone = client.arrivals("disconnect")
            assert await client.call(f"stop in a {where}") == "stopping"
            await arrived(gone)
        assert await exit_code(server) == 0
        assert "run() has returned" in server.log()
        assert "Traceback" not in server.log()


async def test_stop_in_a_view_closes_the_sessions_and_answers_the_view() -> None:
    with run() as server:
        async with connected(server.url) as client, visitor(server) as http:
            gone = client.arrivals("disconnect")
            assert (await http.get("/stop")).text == "stopping"
            await arrived(gone)
        assert await exit_code(server) == 0
        assert "run() has returned" in server.log()


async def test_stop_ends_the_process_of_the_reloader() -> None:
    with run(debug=True, exclude_patterns=NOT_RELOADED) as server:
        async with visitor(server) as http:
            assert (await http.get("/stop")).text == "stopping"
        assert await exit_code(server) == 0


async def test_after_run_stop_raises_the_same_error_as_without_run() -> None:
    with run() as server:
        async with visitor(server) as http:
            await http.get("/stop")
        assert await exit_code(server) == 0
        assert "none runs: a server that was started otherwise" in server.log()


def test_stop_without_run_raises_one_clear_error() -> None:
    _, socketio = an_application()
    with pytest.raises(RuntimeError, match=r"socketio.run\(\).*SIGTERM"):
        socketio.stop()


# flask socketio run

SIMPLE = """
from flask import Flask
from asyncsock import SocketIO

socketio = SocketIO()

def create_app():
    app = Flask(__name__)
    socketio.init_app(app)

    @app.get("/")
    def index():
        return "first"

    @app.get("/fail")
    def fail():
        raise LookupError("a view that fails")

    return app

@socketio.on("echo")
async def echo(text):
    return text
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A module with an application factory."""
    path = tmp_path / "simple_app.py"
    path.write_text(SIMPLE)
    return path


@asynccontextmanager
async def served(server: Server) -> AsyncIterator[tuple[httpx.AsyncClient, Client]]:
    options = {"ssl_verify": False} if server.tls else {}
    async with visitor(server) as http, connected(server.url, client_options=options) as client:
        yield http, client


async def save_again(program: Path) -> None:
    while True:
        await asyncio.sleep(4)
        program.touch()


async def page(server: Server, wanted: Callable[[str], bool]) -> str:
    """The page at / once it is the wanted one; there is none while the server restarts."""

    async def asking() -> str:
        async with visitor(server) as http:
            while True:
                try:
                    text = (await http.get("/")).text
                    if wanted(text):
                        return text
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    return await asyncio.wait_for(asking(), 30)


async def test_flask_socketio_run_serves_an_application_factory(program: Path) -> None:
    with serve(str(program), server="flask socketio run") as server:
        async with served(server) as (http, client):
            assert await client.call("echo", "hello") == "hello"
            assert (await http.get("/")).text == "first"
            assert "LookupError" not in (await http.get("/fail")).text
        server.process.terminate()
        assert await exit_code(server) == 0
        assert "Traceback (most recent call last):\n" in server.log()  # the view's, by Flask
        assert "Debug mode: off" in server.log()


async def test_flask_socketio_run_serves_tls(program: Path) -> None:
    with serve(str(program), server="flask socketio run", tls=True) as server:
        async with served(server) as (http, client):
            assert await client.call("echo", "hello") == "hello"
            assert (await http.get("/")).text == "first"


async def test_flask_socketio_run_with_debug_shows_flasks_debugger_and_reloads(program: Path) -> None:
    args = ["--debug", "--exclude-patterns", *NOT_RELOADED]
    with serve(str(program), server="flask socketio run", args=args) as server:
        async with served(server) as (http, _):
            assert "Werkzeug Debugger" in (await http.get("/fail")).text
        program.write_text("this is no Python\n")
        server.wait_for_log("SyntaxError", timeout=30)
        program.write_text(SIMPLE.replace("first", "second"))
        # Werkzeug's reloader may look for the first time only now, and take this for what there was before.
        saving = asyncio.create_task(save_again(program))
        await page(server, lambda text: text == "second")
        saving.cancel()
        async with connected(server.url) as client:
            assert await client.call("echo", "hello") == "hello"


async def test_flask_socketio_run_takes_its_defaults_from_the_environment(program: Path) -> None:
    env = {"FLASK_RUN_EXTRA_FILES": str(program), "FLASK_DEBUG": "1"}
    with serve(str(program), server="flask socketio run", args=["--no-debugger"], env=env) as server:
        async with visitor(server) as http:
            assert "Werkzeug Debugger" not in (await http.get("/fail")).text
        assert "Restarting with" in server.log()


def test_flask_socketio_run_has_the_options_of_flask_run() -> None:
    def options(*command: str) -> str:
        line = [sys.executable, "-m", "flask", *command, "--help"]
        return subprocess.run(line, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    flasks, ours = options("run"), options("socketio", "run")
    names = {word.rstrip(",") for word in flasks.split() if word.startswith("--")}
    assert {"--host", "--port", "--cert", "--key", "--reload", "--debugger", "--extra-files"} <= names
    assert {word.rstrip(",") for word in ours.split() if word.startswith("--")} == (
        names - {"--with-threads", "--without-threads"}
    )


@pytest.mark.parametrize("kind", ["none", "Flask-SocketIO"])
def test_flask_socketio_run_without_socketio_ends_with_one_clear_error(kind: str, tmp_path: Path) -> None:
    source = "from flask import Flask\napp = Flask('plain')\n"
    if kind != "none":
        require(find_spec("flask_socketio"), "Python package flask-socketio")
        source += "import flask_socketio\nflask_socketio.SocketIO(app, async_mode='threading')\n"
    (tmp_path / "plain.py").write_text(source)
    ended = subprocess.run(
        [sys.executable, "-m", "flask", "--app", str(tmp_path / "plain.py"), "socketio", "run"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ended.returncode == 1
    [error] = [line for line in ended.stderr.splitlines() if line.startswith("Error:")]
    assert "'plain' has no Socket.IO server of asyncsock" in error
    assert "SocketIO(app)" in error
    assert "Traceback" not in ended.stderr


# Loggers


async def log_of(**env: str) -> str:
    """What a server logs, besides uvicorn, of a client that comes, has an event handled and leaves."""
    with run(env=env) as server:
        async with connected(server.url, mode="websocket") as client:
            await client.call("echo", "hello")
            await client.emit("fail")
            await asyncio.to_thread(server.wait_for_log, "LookupError: a handler that fails")
        server.process.terminate()
        assert await exit_code(server) == 0
        return server.log()


async def test_loggers_show_nothing_but_errors_by_default() -> None:
    log = await log_of(LOGGER="false", ENGINE_LOGGER="false")
    assert "LookupError: a handler that fails" in log
    assert lines(log, "received event") == []
    assert lines(log, "session ") == []


async def test_logger_true_shows_the_events() -> None:
    log = await log_of(LOGGER="true")
    assert len(lines(log, 'received event "echo"')) == 1
    assert lines(log, "session ") == []


async def test_engineio_logger_true_shows_the_sessions() -> None:
    log = await log_of(ENGINE_LOGGER="true")
    assert len(lines(log, " opened on websocket")) == 1
    assert len(lines(log, " ended: ")) == 1
    assert lines(log, "received event") == []


async def test_a_logger_of_ones_own_gets_what_is_logged() -> None:
    log = await log_of(LOGGER="own", ENGINE_LOGGER="own")
    assert len(lines(log, 'mine INFO: received event "echo"')) == 1
    assert len(lines(log, "engine of mine INFO: session ")) == 2
