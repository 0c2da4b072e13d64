"""ASGIApp: what it serves itself, what it hands on, and the lifespan."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import Lifespan, Refused, Socket, other, request
from tests.support.raw_clients import RawSocket, upgrade_request, within
from tests.support.uvicorn_in_process import running


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text("<h1>page</h1>")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "style.css").write_text("b {}")
    (tmp_path / "static" / "index.html").write_text("index")
    (tmp_path / "secret.txt").write_text("secret")
    return tmp_path


# Paths


@pytest.mark.parametrize("path", ["/socket.io/", "/socket.io", "/socket.io/more"])
async def test_the_server_gets_the_requests_on_its_path(server: AsyncServer, path: str) -> None:
    answer = await request(ASGIApp(server, other), path=path)
    assert answer.text[:8] == '0{"sid":'


@pytest.mark.parametrize("path", ["/", "/socket.iox", "/socket", "/a/socket.io/", "/Socket.IO/"])
async def test_the_other_application_gets_the_rest(server: AsyncServer, path: str) -> None:
    answer = await request(ASGIApp(server, other), path=path)
    assert answer.text == f"other {path}"


async def test_without_another_application_the_rest_is_not_found(server: AsyncServer) -> None:
    answer = await request(ASGIApp(server), path="/")
    assert answer.status == 404


@pytest.mark.parametrize("option", ["my/path", "/my/path", "my/path/", "/my/path/"])
@pytest.mark.parametrize("path", ["/my/path/", "/my/path"])
async def test_the_path_can_be_chosen(server: AsyncServer, option: str, path: str) -> None:
    app = ASGIApp(server, other, socketio_path=option)
    assert (await request(app, path=path)).text[0] == "0"
    assert (await request(app, path="/socket.io/")).text == "other /socket.io/"


async def test_with_no_path_the_server_gets_every_request(server: AsyncServer) -> None:
    app = ASGIApp(server, other, socketio_path=None)
    assert (await request(app, path="/any/where")).text[0] == "0"


@pytest.mark.parametrize("option", ["", "/"])
async def test_an_empty_path_gives_the_server_every_request(server: AsyncServer, option: str) -> None:
    app = ASGIApp(server, other, socketio_path=option)
    assert (await request(app, path="/")).text[0] == "0"
    assert (await request(app, path="/any/where")).text[0] == "0"


@pytest.mark.parametrize("root", ["/api", "/api/"])
async def test_a_root_path_that_is_left_in_the_path_does_not_count(server: AsyncServer, root: str) -> None:
    app = ASGIApp(server, other)
    answer = await request(app, path="/api/socket.io/", root_path=root)
    assert answer.text[0] == "0"


async def test_a_root_path_that_is_taken_out_of_the_path_does_not_count(server: AsyncServer) -> None:
    answer = await request(ASGIApp(server, other), path="/socket.io/", root_path="/api")
    assert answer.text[0] == "0"


async def test_a_path_that_only_begins_like_the_root_path_is_left_alone(server: AsyncServer) -> None:
    app = ASGIApp(server, other)
    answer = await request(app, path="/apisocket.io/", root_path="/api")
    assert answer.text == "other /apisocket.io/"


async def test_the_other_application_gets_the_scope_as_it_was(server: AsyncServer) -> None:
    answer = await request(ASGIApp(server, other), path="/api/page", root_path="/api")
    assert answer.text == "other /api/page"


async def test_an_engine_server_is_served_too() -> None:
    answer = await request(ASGIApp(EngineServer(), socketio_path="engine.io"), path="/engine.io/")
    assert answer.text[:8] == '0{"sid":'


# WebSockets


async def test_the_server_gets_the_websockets_on_its_path(server: AsyncServer) -> None:
    async with Socket(ASGIApp(server, other)) as socket:
        assert (await socket.receive())[0] == "0"


async def test_the_other_application_gets_the_websockets_of_other_paths(server: AsyncServer) -> None:
    async with Socket(ASGIApp(server, other), path="/chat") as socket:
        assert await socket.receive() == "other /chat"


async def test_without_another_application_websockets_of_other_paths_are_refused(server: AsyncServer) -> None:
    with pytest.raises(Refused, match="websocket.close"):
        async with Socket(ASGIApp(server), path="/chat"):
            pass


async def test_the_direct_way_hands_websockets_of_other_paths_to_the_other_application(
    server: AsyncServer,
) -> None:
    async def with_lifespan(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await other(scope, receive, send)

    async with running(ASGIApp(server, with_lifespan)) as local, await RawSocket.connect(local) as raw:
        await raw.send(upgrade_request("/chat"))
        status, _ = await raw.response_head()
        assert status == 101
        assert (await raw.read_frame())[1] == b"other /chat"


async def test_the_direct_way_refuses_websockets_of_other_paths_without_another_application(
    server: AsyncServer,
) -> None:
    async with running(ASGIApp(server)) as local, await RawSocket.connect(local) as raw:
        await raw.send(upgrade_request("/chat"))
        status, _ = await raw.response_head()
        assert status == 403


@pytest.mark.parametrize("ws", ["auto", "wsproto"])
async def test_a_root_path_of_uvicorn_does_not_count(server: AsyncServer, ws: str) -> None:
    app = ASGIApp(server)
    async with running(app, ws, root_path="/api") as local, await RawSocket.connect(local) as raw:
        await raw.send(upgrade_request("/socket.io/"))
        status, _ = await raw.response_head()
        assert status == 101


# Static files


async def test_a_static_file_is_served_with_its_type(server: AsyncServer, files: Path) -> None:
    app = ASGIApp(server, other, static_files={"/": str(files / "page.html")})
    answer = await request(app, path="/")
    assert (answer.status, answer.text) == (200, "<h1>page</h1>")
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["content-length"] == "13"


async def test_a_file_of_a_static_directory_is_served_with_its_type(server: AsyncServer, files: Path) -> None:
    app = ASGIApp(server, other, static_files={"/static": str(files / "static")})
    answer = await request(app, path="/static/style.css")
    assert (answer.text, answer.headers["content-type"]) == ("b {}", "text/css")


async def test_a_static_directory_has_an_index(server: AsyncServer, files: Path) -> None:
    app = ASGIApp(server, other, static_files={"/static": str(files / "static")})
    assert (await request(app, path="/static/")).text == "index"


async def test_the_type_of_a_static_file_can_be_given(server: AsyncServer, files: Path) -> None:
    page = {"filename": str(files / "page.html"), "content_type": "text/plain"}
    answer = await request(ASGIApp(server, static_files={"/page": page}), path="/page")
    assert answer.headers["content-type"] == "text/plain"


async def test_a_head_request_for_a_static_file_has_its_headers_only(
    server: AsyncServer, files: Path
) -> None:
    app = ASGIApp(server, static_files={"/": str(files / "page.html")})
    answer = await request(app, "HEAD", path="/")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", "13")


@pytest.mark.parametrize("path", ["/static/../secret.txt", "/static/..", "/static/sub/../../secret.txt"])
async def test_a_path_with_two_dots_leads_to_no_static_file(
    server: AsyncServer, files: Path, path: str
) -> None:
    app = ASGIApp(server, other, static_files={"/static": str(files / "static")})
    assert (await request(app, path=path)).text == f"other {path}"


async def test_a_static_file_that_is_missing_is_left_to_the_other_application(
    server: AsyncServer, files: Path
) -> None:
    app = ASGIApp(server, other, static_files={"/static": str(files / "static")})
    assert (await request(app, path="/static/none.css")).text == "other /static/none.css"


async def test_a_post_to_a_static_file_is_left_to_the_other_application(
    server: AsyncServer, files: Path
) -> None:
    app = ASGIApp(server, other, static_files={"/": str(files / "page.html")})
    assert (await request(app, "POST", path="/")).text == "other /"


async def test_a_static_file_is_found_below_a_root_path(server: AsyncServer, files: Path) -> None:
    app = ASGIApp(server, other, static_files={"/static": str(files / "static")})
    answer = await request(app, path="/api/static/style.css", root_path="/api")
    assert answer.text == "b {}"


async def test_a_static_file_may_lie_on_the_servers_path(server: AsyncServer, files: Path) -> None:
    app = ASGIApp(server, static_files={"/socket.io/client.js": str(files / "page.html")})
    assert (await request(app, path="/socket.io/client.js")).text == "<h1>page</h1>"


# Lifespan


class WithLifespan:
    """An application that notes the stages of its lifespan, and fails at those that it is told to."""

    def __init__(self, events: list[str], failing: str = "") -> None:
        self.events = events
        self.failing = failing

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        scope["state"]["from the application"] = True
        for stage in ("startup", "shutdown"):
            message = await receive()
            assert message["type"] == f"lifespan.{stage}"
            self.events.append(stage)
            if stage == self.failing:
                await send({"type": f"lifespan.{stage}.failed", "message": f"no {stage}"})
                return
            await send({"type": f"lifespan.{stage}.complete"})


async def test_the_lifespan_is_answered_without_another_application(server: AsyncServer) -> None:
    lifespan = Lifespan(ASGIApp(server))
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"


async def test_the_other_application_gets_the_lifespan(server: AsyncServer) -> None:
    events: list[str] = []
    lifespan = Lifespan(ASGIApp(server, WithLifespan(events)))
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert events == ["startup"]
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"
    assert events == ["startup", "shutdown"]


async def test_the_other_application_fills_the_servers_state(server: AsyncServer) -> None:
    lifespan = Lifespan(ASGIApp(server, WithLifespan([])))
    await lifespan.startup()
    assert lifespan.state == {"from the application": True}
    await lifespan.shutdown()


async def test_a_startup_that_the_other_application_fails_is_reported(server: AsyncServer) -> None:
    lifespan = Lifespan(ASGIApp(server, WithLifespan([], "startup")))
    answer = await lifespan.startup()
    assert (answer["type"], answer["message"]) == ("lifespan.startup.failed", "no startup")
    await within(lifespan.task)


async def test_a_shutdown_that_the_other_application_fails_is_reported(server: AsyncServer) -> None:
    lifespan = Lifespan(ASGIApp(server, WithLifespan([], "shutdown")))
    await lifespan.startup()
    answer = await lifespan.shutdown()
    assert (answer["type"], answer["message"]) == ("lifespan.shutdown.failed", "no shutdown")


async def test_an_error_that_follows_a_failed_startup_is_not_logged_again(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no startup"})
        raise ValueError("as Starlette does")

    lifespan = Lifespan(ASGIApp(server, app))
    assert (await lifespan.startup())["type"] == "lifespan.startup.failed"
    await within(lifespan.task)
    del lifespan
    caplog.clear()  # its records hold the frames, and those the application's task
    gc.collect()
    assert caplog.messages == []


@pytest.mark.parametrize("how", ["raises", "returns"])
async def test_the_lifespan_is_answered_for_an_application_that_has_none(
    server: AsyncServer, how: str
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if how == "raises":
            raise KeyError(scope["type"])

    lifespan = Lifespan(ASGIApp(server, app))
    assert (await lifespan.startup())["type"] == "lifespan.startup.complete"
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.complete"


async def test_the_hooks_run_around_the_lifespan_of_the_other_application(server: AsyncServer) -> None:
    events: list[str] = []
    app = ASGIApp(
        server,
        WithLifespan(events),
        on_startup=lambda: events.append("on_startup"),
        on_shutdown=lambda: events.append("on_shutdown"),
    )
    lifespan = Lifespan(app)
    await lifespan.startup()
    assert events == ["on_startup", "startup"]
    await lifespan.shutdown()
    assert events == ["on_startup", "startup", "shutdown", "on_shutdown"]


async def test_the_hooks_may_be_coroutine_functions(server: AsyncServer) -> None:
    events: list[str] = []

    async def start() -> None:
        await asyncio.sleep(0)
        events.append("start")

    async def stop() -> None:
        await asyncio.sleep(0)
        events.append("stop")

    lifespan = Lifespan(ASGIApp(server, on_startup=start, on_shutdown=stop))
    await lifespan.startup()
    assert events == ["start"]
    await lifespan.shutdown()
    assert events == ["start", "stop"]


async def test_on_startup_may_start_background_tasks(server: AsyncServer) -> None:
    ran = asyncio.Event()

    async def task() -> None:
        ran.set()

    lifespan = Lifespan(ASGIApp(server, on_startup=lambda: server.start_background_task(task)))
    await lifespan.startup()
    await within(ran.wait())
    await lifespan.shutdown()


async def test_on_shutdown_runs_when_the_clients_are_gone(server: AsyncServer) -> None:
    sessions: list[int] = []
    app = ASGIApp(server, on_shutdown=lambda: sessions.append(len(server.eio.sessions)))
    lifespan = Lifespan(app)
    await lifespan.startup()
    async with Socket(app) as socket:
        await socket.receive()
        assert len(server.eio.sessions) == 1
        await lifespan.shutdown()
    assert sessions == [0]


@pytest.mark.parametrize("asynchronous", [False, True])
async def test_an_on_startup_that_raises_fails_the_startup(server: AsyncServer, asynchronous: bool) -> None:
    def start() -> None:
        raise ValueError("no database")

    async def start_later() -> None:
        start()

    lifespan = Lifespan(ASGIApp(server, on_startup=start_later if asynchronous else start))
    answer = await lifespan.startup()
    assert (answer["type"], answer["message"]) == ("lifespan.startup.failed", "no database")
    await within(lifespan.task)


async def test_an_on_startup_that_raises_is_logged_with_its_traceback(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    lifespan = Lifespan(ASGIApp(server, on_startup=lambda: 1 / 0))
    await lifespan.startup()
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    await within(lifespan.task)


async def test_an_on_shutdown_that_raises_fails_the_shutdown(server: AsyncServer) -> None:
    lifespan = Lifespan(ASGIApp(server, on_shutdown=lambda: 1 / 0))
    await lifespan.startup()
    assert (await lifespan.shutdown())["type"] == "lifespan.shutdown.failed"


# The ways of a WebSocket


@pytest.fixture
def engine_log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.DEBUG, "asyncsock.engine"):
        yield caplog


async def test_uvicorn_is_served_the_direct_way(
    server: AsyncServer, engine_log: pytest.LogCaptureFixture
) -> None:
    async with running(ASGIApp(server)):
        assert f"websocket door: direct (uvicorn {uvicorn.__version__})" in engine_log.messages


async def test_middleware_is_not_passed_by(server: AsyncServer, engine_log: pytest.LogCaptureFixture) -> None:
    app = ASGIApp(server)
    seen: list[str] = []

    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        await app(scope, receive, send)

    async with running(middleware) as local:
        assert "websocket door: plain ASGI (the application is wrapped)" in engine_log.messages
        async with await RawSocket.websocket(local, "/socket.io/"):
            assert seen == ["lifespan", "websocket"]
