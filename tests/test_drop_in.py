"""Programs for python-socketio: classes replaced before import, subclassed, and changed while they serve."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import socketio

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import Lifespan, Refused, Socket, other, request
from tests.support.raw_clients import Polling, RawSocket, upgrade_request
from tests.support.server_process import ROOT, serve
from tests.support.uvicorn_in_process import running

# Classes of python-socketio replaced by ours

REPLACED = """
import asyncio
import socketio
import asyncsock
socketio.AsyncServer = socketio.async_server.AsyncServer = asyncsock.AsyncServer
socketio.ASGIApp = socketio.asgi.ASGIApp = asyncsock.ASGIApp
"""
PROGRAM = """
class Server(socketio.AsyncServer):
    def on(self, event, handler=None, namespace=None):
        return super().on(event, handler, namespace)

class App(socketio.ASGIApp):
    async def __call__(self, scope, receive, send):
        return await super().__call__(scope, receive, send)

async def main():
    for make_server in (socketio.AsyncServer, Server):
        sio = make_server(async_mode="asgi", cors_allowed_origins="*")

        @sio.event
        def connect(sid, environ):
            pass

        @sio.on("chat", namespace="/rooms")
        async def chat(sid, data):
            pass

        class Game(socketio.AsyncNamespace):
            async def on_connect(self, sid, environ):
                pass

        sio.register_namespace(Game("/game"))
        for make_app in (socketio.ASGIApp, App):
            app = make_app(socketio_server=sio, socketio_path="/ws/socket.io")
            answers = []

            async def send(message):
                answers.append(message)

            async def receive():
                return {"type": "http.request", "body": b""}

            scope = {"type": "http", "method": "GET", "path": "/ws/socket.io/", "headers": [],
                     "query_string": b"EIO=4&transport=polling"}
            await app(scope, receive, send)
            assert answers[0]["status"] == 200, answers
        assert isinstance(sio, socketio.AsyncServer)
        assert isinstance(app, socketio.ASGIApp)
    print("served")

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "managers", ["", "from asyncsock.rooms import Rooms\nsocketio.AsyncManager = Rooms\n"]
)
def test_a_program_serves_with_the_classes_replaced_before_it_imports_them(managers: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", REPLACED + managers + PROGRAM], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "served\n", done.stderr


def test_the_classes_are_python_socketios() -> None:
    server = AsyncServer()
    assert isinstance(server, socketio.AsyncServer)
    assert isinstance(server.manager, socketio.AsyncManager)
    assert isinstance(ASGIApp(server), socketio.ASGIApp)


# ASGIApp


async def test_every_argument_of_the_application_is_taken_by_keyword() -> None:
    async def start() -> None:
        pass

    server = AsyncServer()
    app = ASGIApp(
        socketio_server=server,
        other_asgi_app=other,
        static_files={"/page": "page.html"},
        socketio_path="ws/io",
        on_startup=start,
        on_shutdown=start,
    )
    theirs = socketio.ASGIApp(
        socketio_server=server,
        other_asgi_app=other,
        static_files={"/page": "page.html"},
        socketio_path="ws/io",
        on_startup=start,
        on_shutdown=start,
    )
    assert vars(app) == vars(theirs)
    assert (await request(app, path="/ws/io/")).text[0] == "0"


async def test_an_engine_server_is_given_by_the_same_keyword() -> None:
    app = ASGIApp(socketio_server=EngineServer(), socketio_path="engine.io")
    assert (await request(app, path="/engine.io/")).text[0] == "0"


async def test_the_other_application_can_be_given_later() -> None:
    app = ASGIApp(AsyncServer())
    assert (await request(app, path="/page")).status == 404
    app.other_asgi_app = other
    assert (await request(app, path="/page")).text == "other /page"


@pytest.mark.parametrize("ws", ["auto", "wsproto"])
async def test_the_path_can_be_changed_while_the_application_serves(ws: str) -> None:
    app = ASGIApp(AsyncServer())
    async with running(app, ws) as local:
        app.engineio_path = "/moved/"
        async with Polling(local, "/moved/") as client:  # type: ignore[arg-type]
            await client.open()
        async with Polling(local, "/socket.io/") as client:  # type: ignore[arg-type]
            assert (await client.get()).status_code == 404
        async with await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
            await raw.send(upgrade_request("/moved/"))
            assert (await raw.response_head())[0] == 101


async def test_the_server_can_be_changed() -> None:
    first, second = AsyncServer(), AsyncServer()
    app = ASGIApp(first)
    app.engineio_server = second
    await request(app)
    assert (len(first.eio.sessions), len(second.eio.sessions)) == (0, 1)


async def test_static_files_can_be_added_later(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("page")
    app = ASGIApp(AsyncServer(), other)
    app.static_files["/page"] = str(tmp_path / "page.html")
    assert (await request(app, path="/page")).text == "page"


async def test_with_no_path_static_files_are_ignored(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text("page")
    app = ASGIApp(AsyncServer(), static_files={"/page": str(tmp_path / "page.html")}, socketio_path=None)
    assert (await request(app, path="/page")).text[0] == "0"


class Overriding(ASGIApp):
    """Overrides what programs override, and notes it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.called: list[Any] = []

    async def lifespan(self, scope: Any, receive: Any, send: Any) -> None:
        self.called.append("lifespan")
        await super().lifespan(scope, receive, send)

    async def not_found(self, receive: Any, send: Any) -> None:
        self.called.append("not_found")
        await super().not_found(receive, send)

    async def serve_static_file(self, static_file: Any, receive: Any, send: Any) -> None:
        self.called.append(("serve_static_file", static_file["filename"], static_file["content_type"]))
        await super().serve_static_file(static_file, receive, send)

    def _ensure_trailing_slash(self, path: str) -> str:
        self.called.append("_ensure_trailing_slash")
        ensured: str = super()._ensure_trailing_slash(path)
        return ensured


async def test_an_overridden_lifespan_is_called() -> None:
    app = Overriding(AsyncServer())
    lifespan = Lifespan(app)
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"
    assert app.called == ["lifespan"]


async def test_an_overridden_lifespan_may_leave_ours_out() -> None:
    class Application(ASGIApp):
        async def lifespan(self, scope: Any, receive: Any, send: Any) -> None:
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})

    async with running(Application(AsyncServer())) as local:
        async with await RawSocket.websocket(local, "/socket.io/"):  # type: ignore[arg-type]
            pass


async def test_an_overridden_not_found_is_called() -> None:
    app = Overriding(AsyncServer())
    assert (await request(app, path="/page")).status == 404
    assert app.called[-1] == "not_found"


async def test_not_found_is_for_http_only() -> None:
    app = Overriding(AsyncServer())
    with pytest.raises(Refused):
        async with Socket(app, path="/page"):
            pass
    assert "not_found" not in app.called


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_overridden_serve_static_file_is_called(tmp_path: Path, method: str) -> None:
    file = tmp_path / "page.html"
    file.write_text("page")
    app = Overriding(AsyncServer(), static_files={"/page": str(file)})
    answer = await request(app, method, path="/page")
    assert answer.text == ("page" if method == "GET" else "")
    assert app.called == [("serve_static_file", str(file), "text/html")]


async def test_an_overridden_ensure_trailing_slash_is_called() -> None:
    app = Overriding(AsyncServer())
    await request(app)
    assert app.called == ["_ensure_trailing_slash"]


@pytest.mark.parametrize("ws", ["auto", "wsproto"])
async def test_an_overridden_call_gets_every_request(ws: str) -> None:
    class Application(ASGIApp):
        """As NiceGUI's: takes the root path out itself."""

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            kinds.append(scope["type"])
            if scope["type"] != "lifespan":
                scope["path"] = scope["path"].removeprefix("/app")
            await super().__call__(scope, receive, send)

    kinds: list[str] = []
    async with running(Application(AsyncServer()), ws) as local:
        async with Polling(local, "/app/socket.io/") as client:  # type: ignore[arg-type]
            await client.open()
        async with await RawSocket.websocket(local, "/app/socket.io/"):  # type: ignore[arg-type]
            pass
    assert set(kinds) == {"lifespan", "http", "websocket"}


@pytest.mark.parametrize("how", ["a subclass", "on the object", "on the engine"])
async def test_an_overridden_handle_request_gets_every_request(how: str) -> None:
    class Server(AsyncServer):
        async def handle_request(self, scope: Any, receive: Any, send: Any) -> Any:
            kinds.append(scope["type"])
            return await super().handle_request(scope, receive, send)

    async def watch(scope: Any, receive: Any, send: Any) -> None:
        kinds.append(scope["type"])
        await original(scope, receive, send)

    kinds: list[str] = []
    server = Server() if how == "a subclass" else AsyncServer()
    owner: Any = server.eio if how == "on the engine" else server
    original = owner.handle_request
    if how != "a subclass":
        owner.handle_request = watch
    async with running(ASGIApp(server)) as local:
        async with await RawSocket.websocket(local, "/socket.io/"):  # type: ignore[arg-type]
            assert kinds == ["websocket"]


async def test_a_server_of_python_socketios_own_engine_is_served() -> None:
    app = ASGIApp(socketio.AsyncServer(async_mode="asgi"), other)
    lifespan = Lifespan(app)
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert (await request(app)).text[0] == "0"
    assert (await request(app, path="/page")).text == "other /page"
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"


async def test_a_server_of_python_socketios_own_engine_stops_at_a_signal() -> None:
    with serve("tests.apps.python_socketios_server:asgi") as server:
        async with Polling(server, "/socket.io/") as polling:
            await polling.open()
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 10) == -signal.SIGTERM
        assert "Traceback" not in server.log()
