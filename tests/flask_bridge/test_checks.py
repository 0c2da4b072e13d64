"""What cannot work is refused with one clear error that names the remedy."""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import httpx
import pytest
import socketio
import websockets
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client as WsgiClient

import asyncsock
from tests.support.python_socketio_client import WAIT, arrived, connected
from tests.support.raw_clients import NO_PROXY, address, query
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, Start, serve
from tests.support.worker_processes import supervised

# Other event loops

PATCHES = {
    "eventlet": "import eventlet; eventlet.monkey_patch()",
    "gevent": "from gevent import monkey; monkey.patch_all()",
    "gevent, only sockets": "from gevent import monkey; monkey.patch_socket()",
}
USES = {
    "SocketIO(app)": "SocketIO(Flask('app'))",
    "SocketIO()": "SocketIO()",
}


def run_python(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)


def require_package(name: str) -> None:
    require(find_spec(name), name)
    imported = run_python(f"import {name}.patcher" if name == "eventlet" else f"import {name}.monkey")
    require(imported.returncode == 0, f"{name} for Python {sys.version_info.major}.{sys.version_info.minor}")


@pytest.mark.parametrize("patch", list(PATCHES))
@pytest.mark.parametrize("use", list(USES))
def test_monkey_patched_python_is_refused_with_the_remedy(patch: str, use: str) -> None:
    package = patch.split(",")[0]
    require_package(package)
    program = f"{PATCHES[patch]}\nfrom flask import Flask\nfrom asyncsock import SocketIO\n{USES[use]}"
    ended = run_python(program)
    assert ended.returncode == 1
    [error] = [line for line in ended.stderr.splitlines() if line.startswith("RuntimeError: ")]
    assert f"{package} has monkey-patched Python" in error
    assert "remove " in error
    assert "uvicorn module:asgi" in error


def test_python_patched_after_socketio_is_refused_by_init_app() -> None:
    require_package("gevent")
    program = (
        "from flask import Flask; from asyncsock import SocketIO; socketio = SocketIO()\n"
        f"{PATCHES['gevent']}\nsocketio.init_app(Flask('app'))"
    )
    assert "RuntimeError: gevent has monkey-patched Python" in run_python(program).stderr


@pytest.mark.parametrize("package", ["eventlet", "gevent"])
def test_the_package_alone_is_not_refused(package: str) -> None:
    require_package(package)
    program = (
        f"import {package}\nfrom flask import Flask\nfrom asyncsock import SocketIO\nSocketIO(Flask('app'))"
    )
    ended = run_python(f"{program}\nprint('made')")
    assert ended.stdout == "made\n"


@pytest.mark.parametrize("mode", [None, "threading", "asgi", "asyncio"])
def test_this_async_mode_is_accepted(mode: str | None) -> None:
    socketio = asyncsock.SocketIO(Flask("app"), async_mode=mode)
    assert isinstance(socketio.server, asyncsock.AsyncServer)
    assert isinstance(socketio.asgi_app, asyncsock.ASGIApp)


@pytest.mark.parametrize("mode", ["eventlet", "gevent", "gevent_uwsgi"])
@pytest.mark.parametrize("early", [True, False], ids=["constructor", "init_app"])
def test_this_async_mode_is_refused_with_the_remedy(mode: str, early: bool) -> None:
    app = Flask("app")
    with pytest.raises(ValueError, match=rf"async_mode='{mode}'.*Remove async_mode.*uvicorn"):
        if early:
            asyncsock.SocketIO(app, async_mode=mode)
        else:
            asyncsock.SocketIO(async_mode=mode).init_app(app)


GREENLETS = """
import gevent
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app


@socketio.on("nothing")
def nothing():
    gevent.sleep(0.01)


@socketio.on("function")
def spawn_in_a_function():
    gevent.spawn(print, "never")


@socketio.on("coroutine")
async def spawn_in_a_coroutine():
    gevent.spawn(print, "never")


@socketio.on("waiting")
def wait_for_greenlets():
    return [job.value for job in gevent.joinall([gevent.spawn(len, "abc")])]


@app.get("/view")
def spawn_in_a_view():
    gevent.spawn(print, "never")
    return "a view"
"""


@pytest.mark.parametrize("where", ["function", "coroutine", "view"])
async def test_a_greenlet_that_is_started_in_a_handler_gets_the_remedy_in_the_log_once(
    where: str, tmp_path: Path
) -> None:
    require_package("gevent")
    (tmp_path / "greenlets.py").write_text(GREENLETS)
    with serve("greenlets:asgi", args=["--app-dir", str(tmp_path)]) as server:
        async with connected(server.url) as client:
            await client.call("nothing")
            assert "greenlet" not in server.log()
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
                for _ in range(2):
                    await (http.get("/view") if where == "view" else client.call(where))
            assert await client.call("waiting") == [3]
        log = server.log()
    assert log.count("has started a greenlet") == 1
    assert "socketio.start_background_task()" in log


# WSGI servers

SOCKETS = "/socket.io/?EIO=4&transport=polling"
REMEDIES = ("flask --app ... socketio run", "uvicorn module:asgi")


def test_waitress_answers_socket_io_requests_with_the_remedy() -> None:
    require(find_spec("waitress"), "waitress")
    waitress = importlib.import_module("waitress")
    app = Flask("app")
    app.get("/")(lambda: "a view")
    asyncsock.SocketIO(app)
    server = waitress.create_server(app, host="127.0.0.1", port=0)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{server.effective_port}", trust_env=False) as http:
            assert http.get("/").text == "a view"
            answer = http.get(SOCKETS)
        assert answer.status_code == 501
        assert all(remedy in answer.text for remedy in REMEDIES)
    finally:
        server.close()


@pytest.fixture(scope="module")
def flask_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    path = tmp_path_factory.mktemp("app") / "simple_app.py"
    path.write_text(
        "from flask import Flask\nfrom asyncsock import SocketIO\napp = Flask(__name__)\nSocketIO(app)\n"
        "app.get('/')(lambda: 'a view')\n"
    )
    with serve(str(path), server="flask run") as server:
        yield server


async def test_flask_run_answers_socket_io_requests_with_the_remedy(flask_run: Server) -> None:
    async with httpx.AsyncClient(base_url=flask_run.url, trust_env=False, timeout=WAIT) as http:
        assert (await http.get("/")).text == "a view"
        for method in ("GET", "POST"):
            answer = await http.request(method, SOCKETS)
            assert answer.status_code == 501
            assert answer.headers["content-type"].startswith("text/plain")
            assert all(remedy in answer.text for remedy in REMEDIES)
    [line] = [line for line in flask_run.log().splitlines() if "Socket.IO cannot be served here" in line]
    assert all(remedy in line for remedy in REMEDIES)


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io", "/socket.io/anything"])
def test_the_test_client_of_flask_gets_the_remedy(path: str) -> None:
    app = Flask("app")
    asyncsock.SocketIO(app)
    answer = app.test_client().get(path)
    assert answer.status_code == 501
    assert all(remedy in answer.text for remedy in REMEDIES)


def test_other_paths_are_the_applications_own() -> None:
    app = Flask("app")
    app.get("/<path:path>")(lambda path: path)
    asyncsock.SocketIO(app, path="/sockets/here/")
    client = app.test_client()
    assert client.get("/sockets/here/").status_code == 501
    for path in ("sockets/hereabouts", "sockets", "socket.io/"):
        assert client.get(f"/{path}").text == path
    assert [rule.rule for rule in app.url_map.iter_rules()] == ["/static/<path:filename>", "/<path:path>"]


def test_a_mounted_application_answers_below_its_script_name() -> None:
    app = Flask("app")
    asyncsock.SocketIO(app)
    client = WsgiClient(DispatcherMiddleware(Flask("other"), {"/mounted": app}))
    assert client.get("/mounted/socket.io/").status_code == 501
    assert client.get("/socket.io/").status_code == 404


# ASGI servers that are given the Flask application


@contextmanager
def serving_the_flask_object(start: str, folder: Path) -> Iterator[Server]:
    (folder / "slip.py").write_text(
        "from flask import Flask\nfrom asyncsock import SocketIO\n"
        "app = Flask(__name__)\nasgi = SocketIO(app).asgi_app\napp.get('/')(lambda: 'a view')\n"
    )
    if start == "gunicorn":
        name, target, environment = "gunicorn", "slip:app", {"PYTHONPATH": f"{folder}:{ROOT}"}
        with supervised(name, target, 1, folder, environment, started="startup complete") as server:
            yield server
    else:
        interface = start.split()[1:]
        with serve("slip:app", args=["--app-dir", str(folder), *interface]) as server:
            yield server


@pytest.mark.parametrize("start", ["uvicorn", "uvicorn --interface asgi3", "gunicorn"])
async def test_an_asgi_server_that_is_given_the_flask_object_says_what_to_start_once(
    start: str, tmp_path: Path
) -> None:
    with serving_the_flask_object(start, tmp_path) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
            for path in ("/", SOCKETS, "/"):
                assert (await http.get(path)).status_code == 500
        with pytest.raises(websockets.InvalidStatus):
            async with websockets.connect(address(server, "/socket.io/", EIO="4"), proxy=None):
                pass
        log = server.wait_for_log("which is no ASGI application")
    assert log.count("which is no ASGI application") == 1
    [line] = [line for line in log.splitlines() if "which is no ASGI application" in line]
    assert "`asgi = socketio.asgi_app`" in line
    assert "`uvicorn module:asgi`" in line


def test_another_type_error_that_uvicorn_logs_is_none_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    asyncsock.SocketIO(Flask("app"))
    try:
        raise TypeError("view() missing 1 required positional argument: 'start_response'")
    except TypeError:
        logging.getLogger("uvicorn.error").exception("Exception in ASGI application")
    assert "no ASGI application" not in caplog.text


# Old clients


@pytest.fixture(scope="module", params=["uvicorn", "hypercorn"], ids=["direct", "plain ASGI"])
def logging_server(request: pytest.FixtureRequest, running: Start) -> Server:
    return running("tests.apps.socket_echo:asgi", request.param)


async def test_a_client_of_an_older_protocol_is_refused_with_the_remedy_in_the_log(
    logging_server: Server,
) -> None:
    async def logged(start: int) -> list[str]:
        log = logging_server.wait_for_log("\n", start=start)
        return [line for line in log[start:].splitlines() if "Unsupported protocol version" in line]

    unsupported = {"code": 5, "message": "Unsupported protocol version"}
    start = len(logging_server.log())
    async with httpx.AsyncClient(base_url=logging_server.url, trust_env=False, timeout=WAIT) as http:
        answer = await http.get(f"/socket.io/?{query({'EIO': '3', 'transport': 'polling', 'b64': '1'})}")
    assert (answer.status_code, answer.json()) == (400, unsupported)
    [line] = await logged(start)
    assert "update the client to socket.io-client 3 or later" in line

    start = len(logging_server.log())
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with websockets.connect(address(logging_server, "/socket.io/", EIO="3"), **NO_PROXY):
            pass
    assert refusal.value.response.status_code == 400
    [line] = await logged(start)
    assert "update the client to socket.io-client 3 or later" in line


# Several SocketIO objects


@pytest.mark.parametrize("path", ["socket.io", "/socket.io/", None])
def test_a_second_socketio_on_a_path_is_refused_with_the_remedy(path: str | None) -> None:
    app = Flask("app")
    first = asyncsock.SocketIO(app)
    with pytest.raises(ValueError, match=r"another SocketIO object on the path 'socket.io'.*path="):
        asyncsock.SocketIO(app, path=path)
    assert app.extensions["socketio"] is first


def test_a_path_that_socketio_failed_to_take_is_free() -> None:
    app = Flask("app")
    with pytest.raises(TypeError):
        asyncsock.SocketIO(app, ping_intervall=1)
    asyncsock.SocketIO(app)


def test_one_socketio_may_serve_several_applications_one_after_another() -> None:
    socketio = asyncsock.SocketIO()
    for name in ("one", "two"):
        app = Flask(name)
        socketio.init_app(app)
        assert socketio.app is app
        assert app.test_client().get("/socket.io/").status_code == 501


async def test_init_app_twice_makes_a_server_with_the_options_and_handlers_of_both() -> None:
    app = Flask("app")
    socketio = asyncsock.SocketIO(app, ping_interval=7)
    socketio.on("echo")(lambda text: text)
    socketio.init_app(app, path="elsewhere", ping_timeout=3)
    transport = httpx.ASGITransport(app=socketio.asgi_app)
    async with httpx.AsyncClient(base_url="http://test", transport=transport) as http:
        handshake = (await http.get("/elsewhere/?EIO=4&transport=polling")).text
        assert '"pingInterval":7000,"pingTimeout":3000' in handshake
        assert (await http.get(SOCKETS)).status_code == 404
    async with socketio.async_test_client(app) as client:
        assert await client.emit("echo", "hello", callback=True) == "hello"


async def test_the_last_of_several_socketio_objects_serves_them_all(tmp_path: Path) -> None:
    (tmp_path / "two_paths.py").write_text(
        "from flask import Flask\n"
        "from asyncsock import SocketIO\n"
        "app = Flask(__name__)\n"
        "first, second = SocketIO(app), SocketIO(app, path='second')\n"
        "for name, socketio in (('first', first), ('second', second)):\n"
        "    socketio.on('who')(lambda name=name: name)\n"
        "app.get('/')(lambda: 'a view')\n"
        "asgi = second.asgi_app\n"
    )
    with serve("two_paths:asgi", args=["--app-dir", str(tmp_path)]) as server:
        for mode in ("polling", "websocket"):
            for path, name in (("socket.io", "first"), ("second", "second")):
                async with connected(server.url, mode=mode, socketio_path=path) as client:
                    assert await client.call("who") == name
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
            assert (await http.get("/")).text == "a view"
        async with connected(server.url) as one, connected(server.url, socketio_path="second") as other:
            gone = [client.arrivals("disconnect") for client in (one, other)]
            server.process.terminate()
            for leaving in gone:
                await arrived(leaving)


@pytest.mark.parametrize("manager", [socketio.Manager(), socketio.PubSubManager()])
def test_a_client_manager_that_blocks_is_refused(manager: object) -> None:
    with pytest.raises(TypeError, match="message_queue="):
        asyncsock.SocketIO(Flask(__name__), client_manager=manager)


@pytest.mark.parametrize("serializer", ["pickle", "cbor"])
def test_an_unknown_serializer_is_refused(serializer: str) -> None:
    with pytest.raises(ValueError, match="'default', 'msgpack' or a packet class"):
        asyncsock.SocketIO(Flask(__name__), serializer=serializer)


def test_the_functions_of_a_handler_act_on_its_own_object() -> None:
    app = Flask(__name__)
    first, second = asyncsock.SocketIO(app), asyncsock.SocketIO(app, path="other")
    for name, owner in (("first", first), ("second", second)):

        @owner.on("question")
        def answer(name: str = name) -> None:
            asyncsock.emit("answer", name)

    for name, owner in (("first", first), ("second", second)):
        client = owner.test_client(app)
        client.emit("question")
        (received,) = client.get_received()
        assert received["args"] == [name]
        client.disconnect()
