"""Servers mounted below a path of another application, or served below a server's root path."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from asyncsock import ASGIApp, AsyncServer
from tests.support.asgi_in_process import Socket, other, request
from tests.support.python_socketio_client import connected
from tests.support.raw_clients import RawSocket, upgrade_request
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve
from tests.support.uvicorn_in_process import running

TARGET = "tests.apps.mounted:asgi"
SERVERS = ("uvicorn", "uvicorn-wsproto", "hypercorn", "granian")
MOUNTS = ("long", "short", "whole", "named")


# Under real ASGI servers, mounted by Starlette


@pytest.fixture(scope="module", params=SERVERS)
def mounted(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(TARGET, server=request.param) as server:
        yield server
        assert not trouble(server)


@pytest.fixture(scope="module", params=["uvicorn", "uvicorn-wsproto", "hypercorn"])
def below_a_root(request: pytest.FixtureRequest) -> Iterator[tuple[Server, str]]:
    """The same with the option --root-path, and the path that clients ask for."""
    with ExitStack() as stack:
        server = stack.enter_context(
            serve(TARGET, server=request.param, args=["--root-path", "/api"], env={"ROOT": "/api"})
        )
        # uvicorn puts the root path before what a proxy has left of the path; hypercorn expects it there.
        yield server, "" if request.param.startswith("uvicorn") else "/api"
        assert not trouble(server)


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("mode", ["polling", "websocket", "upgrade"])
async def test_a_mounted_server_serves_whichever_way_its_path_is_written(
    mounted: Server, mount: str, mode: str
) -> None:
    async with connected(mounted.url, mode=mode, socketio_path=f"{mount}/socket.io") as client:
        assert await client.call("echo", "here") == "here"


@pytest.mark.parametrize("mount", MOUNTS)
@pytest.mark.parametrize("mode", ["polling", "websocket"])
async def test_a_mounted_server_serves_below_a_servers_root_path(
    below_a_root: tuple[Server, str], mount: str, mode: str
) -> None:
    server, root = below_a_root
    async with connected(server.url, mode=mode, socketio_path=f"{root}/{mount}/socket.io") as client:
        assert await client.call("echo", "here") == "here"


# What a request's path may look like

PATHS = {
    "as Starlette mounts": ("/ws", "/ws/socket.io/"),
    "as Starlette before 0.33 mounts": ("/ws", "/socket.io/"),
    "below a root path": ("/api/ws", "/api/ws/socket.io/"),
    "below a root path that a proxy has taken out": ("/api/ws", "/ws/socket.io/"),
    "below a root path, all of it taken out": ("/api/ws", "/socket.io/"),
    "a mount with a slash": ("/ws/", "/ws/socket.io/"),
}


@pytest.mark.parametrize("option", ["socket.io", "/ws/socket.io", "ws/socket.io/", "", None])
@pytest.mark.parametrize("place", PATHS)
async def test_a_path_is_the_servers_with_and_without_its_mount(place: str, option: str | None) -> None:
    root, path = PATHS[place]
    app = ASGIApp(AsyncServer(), other, socketio_path=option)
    assert (await request(app, path=path, root_path=root)).text[0] == "0"
    async with Socket(app, path=path, root_path=root) as socket:
        assert (await socket.receive())[0] == "0"


@pytest.mark.parametrize("option", ["s/socket.io", "/wss/socket.io", "/api/socket.io", "/io"])
@pytest.mark.parametrize("place", PATHS)
async def test_a_path_that_only_resembles_the_servers_is_the_other_applications(
    place: str, option: str
) -> None:
    root, path = PATHS[place]
    app = ASGIApp(AsyncServer(), other, socketio_path=option)
    assert (await request(app, path=path, root_path=root)).text == f"other {path}"


@pytest.mark.parametrize("ws", ["auto", "wsproto"])
@pytest.mark.parametrize("option", ["/api/socket.io", "/socket.io"])
async def test_a_path_may_be_written_with_uvicorns_root_path(ws: str, option: str) -> None:
    app = ASGIApp(AsyncServer(), socketio_path=option)
    async with running(app, ws, root_path="/api") as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(upgrade_request("/socket.io/"))
            assert (await raw.response_head())[0] == 101
        async with await RawSocket.connect(local) as raw:
            await raw.send(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n")
            status, body = await raw.response()
            assert (status, body[0]) == (200, "0")


@pytest.mark.parametrize("url", ["/static", "/ws/static"])
@pytest.mark.parametrize("place", [("/ws", "/ws/static/page"), ("/ws", "/static/page")])
async def test_a_static_files_path_may_be_written_with_its_mount(
    tmp_path: Any, url: str, place: tuple[str, str]
) -> None:
    (tmp_path / "page").write_text("page")
    root, path = place
    app = ASGIApp(AsyncServer(), other, static_files={url: str(tmp_path)})
    assert (await request(app, path=path, root_path=root)).text == "page"
