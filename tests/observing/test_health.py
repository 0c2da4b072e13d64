"""What a server says of its health, and to whom."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import flask
import httpx
import pytest

from asyncsock import ASGIApp, AsyncServer, SocketIO
from asyncsock.observing.health import LATE
from asyncsock.observing.loop_delay import INTERVAL
from asyncsock.queues.manager import QueueManager
from tests.support.asgi_in_process import Lifespan, Socket, other, request
from tests.support.queue_drivers import Silent
from tests.support.socketio_in_process import until
from tests.support.uvicorn_in_process import running

PATH = "/healthz"
WELL = {"accepting": True, "loop": True, "queue": True, "workers": True}


async def ask(app: Any, path: str = PATH, query: str = "", method: str = "GET", **more: Any) -> Any:
    return await request(app, method, path=path, query=query, **more)


@asynccontextmanager
async def server_without_queue() -> AsyncIterator[AsyncServer]:
    """A server that has lost its message queue."""
    manager = QueueManager("test://host", lambda: Silent("test://host", "channel"))
    server = AsyncServer(client_manager=manager, health=PATH)
    await server.startup()
    manager._health.set_down("listening", ConnectionError("secret"))
    yield server
    await server.shutdown()


# health()


async def test_a_server_is_live_and_ready_from_its_start_to_its_end() -> None:
    server = AsyncServer()
    before = server.health()
    assert not before["live"]
    assert not before["ready"]
    assert not before["checks"]["accepting"]
    await server.startup()
    report = server.health()
    assert report["live"]
    assert report["ready"]
    assert report["checks"] == WELL
    assert report["queue"] is None
    assert report["workers"] == server.workers()
    await server.shutdown()
    after = server.health()
    assert after["live"]
    assert not after["ready"]
    assert after["stopping"]


async def test_a_flask_application_asks_for_it_in_a_view() -> None:
    app = flask.Flask(__name__)
    socketio = SocketIO(app)

    @app.get("/health")
    def health() -> Any:
        return dict(socketio.health())

    lifespan = Lifespan(socketio.asgi_app)
    await lifespan.startup()
    answer = json.loads((await ask(socketio.asgi_app, "/health")).body)
    assert answer["ready"]
    assert answer["checks"] == WELL
    await lifespan.shutdown()


async def test_a_server_is_not_ready_while_its_queue_is_away() -> None:
    async with server_without_queue() as server:
        report = server.health()
        assert report["live"]
        assert not report["ready"]
        assert report["checks"] == {**WELL, "queue": False}
        assert report["queue"] is not None
        assert report["queue"]["last_error"] == "ConnectionError: secret"


async def test_a_server_is_not_ready_while_its_loop_is_late() -> None:
    server = AsyncServer()
    await server.startup()
    seen: list[Any] = []

    def look() -> None:
        while not seen or seen[-1]["ready"]:
            seen.append(server.health())

    thread = threading.Thread(target=look)
    thread.start()
    while thread.is_alive():  # as a handler that blocks does
        time.sleep(0.01)
    assert seen[-1]["loop_delay"] >= LATE
    assert not seen[-1]["checks"]["loop"]
    assert seen[-1]["live"]
    await until(lambda: server.health()["ready"])
    assert server.health()["loop_delay"] < LATE
    await server.shutdown()


async def test_the_delay_of_the_loop_is_measured_by_two_calls_a_second() -> None:
    server = AsyncServer()
    await server.startup()
    timers = [
        handle
        for handle in asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        if "LoopDelay" in repr(handle)
    ]
    assert len(timers) == 1
    assert INTERVAL == 0.5
    await server.shutdown()
    assert timers[0].cancelled()


# The page


@pytest.fixture
def app() -> ASGIApp:
    return ASGIApp(AsyncServer(health=PATH), other)


async def test_the_page_answers_200_when_the_server_is_ready_and_503_when_it_is_not(app: ASGIApp) -> None:
    lifespan = Lifespan(ASGIApp(app.engineio_server))
    await lifespan.startup()
    for path in (PATH, f"{PATH}/ready"):
        answer = await ask(app, path)
        assert answer.status == 200
        assert json.loads(answer.body) == {"live": True, "ready": True, "checks": WELL}
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
    await lifespan.shutdown()
    for path in (PATH, f"{PATH}/ready"):
        answer = await ask(app, path)
        assert answer.status == 503
        assert json.loads(answer.body) == {
            "live": True,
            "ready": False,
            "checks": {**WELL, "accepting": False},
        }


async def test_the_page_about_life_answers_200_while_the_server_stops(app: ASGIApp) -> None:
    lifespan = Lifespan(ASGIApp(app.engineio_server))
    await lifespan.startup()
    await lifespan.shutdown()
    answer = await ask(app, f"{PATH}/live")
    assert answer.status == 200
    assert json.loads(answer.body) == {"live": True}


async def test_checks_can_be_left_out() -> None:
    async with server_without_queue() as server:
        app = ASGIApp(server)
        assert (await ask(app)).status == 503
        answer = await ask(app, query="exclude=queue&exclude=workers&exclude=queue")
        assert answer.status == 200
        assert json.loads(answer.body)["checks"] == {"accepting": True, "loop": True}
        answer = await ask(app, query="exclude=queues")
        assert answer.status == 400
        assert "queue" in answer.text


async def test_a_head_request_gets_the_same_answer_without_its_body(app: ASGIApp) -> None:
    app.engineio_server.attach_loop()
    get, head = await ask(app), await ask(app, method="HEAD")
    assert (head.status, head.headers, head.body) == (get.status, get.headers, b"")


async def test_other_methods_are_refused(app: ASGIApp) -> None:
    answer = await ask(app, method="POST", body=b"x")
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


async def test_the_page_names_no_broker_and_no_error() -> None:
    async with server_without_queue() as server:
        body = (await ask(ASGIApp(server))).text
    assert "queue" in body
    assert "host" not in body
    assert "secret" not in body


@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}/x", f"{PATH}x", "/"])
async def test_other_paths_are_the_applications(app: ASGIApp, path: str) -> None:
    assert (await ask(app, path)).text == f"other {path}"


async def test_a_websocket_at_the_path_is_the_applications(app: ASGIApp) -> None:
    async with Socket(app, PATH) as socket:
        assert await socket.receive() == f"other {PATH}"


async def test_a_server_without_the_option_has_no_page() -> None:
    assert (await ask(ASGIApp(AsyncServer(), other))).text == f"other {PATH}"


async def test_the_page_is_found_below_a_mount(app: ASGIApp) -> None:
    answer = await ask(app, f"/app{PATH}", root_path="/app")
    assert answer.status in (200, 503)
    assert "checks" in answer.text


async def test_the_page_comes_before_a_view_of_flasks() -> None:
    flask_app = flask.Flask(__name__)
    flask_app.add_url_rule(PATH, view_func=lambda: "view")
    socketio = SocketIO(flask_app, health=PATH)
    assert "checks" in (await ask(socketio.asgi_app)).text


@pytest.mark.parametrize(("path", "socketio_path"), [(PATH, None), ("/socket.io/healthz", "socket.io")])
@pytest.mark.parametrize("ws", ["auto", "wsproto"])
async def test_a_real_server_answers_where_every_request_is_socket_ios(
    path: str, socketio_path: str | None, ws: str
) -> None:
    app = ASGIApp(AsyncServer(health=path), socketio_path=socketio_path)
    async with running(app, ws) as local, httpx.AsyncClient(base_url=local.url, trust_env=False) as http:
        assert (await http.get(path)).json()["ready"] is True
        assert (await http.head(path)).status_code == 200
        assert (await http.get("/socket.io/?EIO=4&transport=polling")).text[:8] == '0{"sid":'


# The option


@pytest.mark.parametrize(
    "value", ["healthz", "/healthz/", {"path": 1}, {"drain": -1}, {"drain": float("nan")}, {"drain": True}]
)
def test_a_value_that_cannot_be_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="health: "):
        AsyncServer(health=value)


@pytest.mark.parametrize("value", [1, True, ["/healthz"], {"route": "/healthz"}])
def test_a_value_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="health="):
        AsyncServer(health=value)
