"""Socket.IO below a prefix that the program's WSGI middleware takes off the path."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import pytest
import socketio
import websockets

from tests.support import raw_clients
from tests.support.python_socketio_client import WAIT, Client, connected
from tests.support.server_log import trouble
from tests.support.server_process import Server, Start

FROM_PROXY = {
    "X-Script-Name": "/pgadmin4",
    "X-Scheme": "https",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Host": "example.org",
}
MODES = pytest.mark.parametrize("mode", ["polling", "websocket", "upgrade"])


@pytest.fixture(params=["uvicorn", "hypercorn"], ids=["beside the direct way", "plain ASGI"])
def server(request: pytest.FixtureRequest, running: Start) -> Server:
    return running("tests.apps.rewritten:asgi", request.param)


def visitor(server: Server) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT)


@asynccontextmanager
async def proxied(server: Server, mode: str, path: str, headers: dict[str, str]) -> AsyncIterator[Client]:
    """A client all of whose requests have these headers, as a proxy sees to."""
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        connected(
            server.url, mode=mode, socketio_path=path, client_options={"http_session": session}
        ) as client,
    ):
        yield client


async def where(client: Client) -> dict[str, Any]:
    assert await client.call("echo", {"binary": b"\x00" * 5000, "text": "ž"}) == {
        "binary": b"\x00" * 5000,
        "text": "ž",
    }
    found: dict[str, Any] = await client.call("where")
    return found


@MODES
async def test_a_script_name_of_the_proxys_is_honoured(server: Server, mode: str) -> None:
    """What pgAdmin's ReverseProxied and Werkzeug's ProxyFix find out, the handlers see."""
    async with proxied(server, mode, "/pgadmin4/socket.io", FROM_PROXY) as client:
        assert await where(client) == {
            "root": "/pgadmin4",
            "url": "/pgadmin4/",
            "address": "192.0.2.7",
            "secure": True,
            "host": "example.org",
        }
    assert not trouble(server)


@MODES
@pytest.mark.parametrize("prefix", ["/mounted", "/préfixe"], ids=["a dispatcher", "a generator"])
async def test_a_prefix_that_middleware_takes_off_is_honoured(server: Server, mode: str, prefix: str) -> None:
    async with connected(server.url, mode=mode, socketio_path=f"{quote(prefix)}/socket.io") as client:
        found = await where(client)
    assert (found["root"], found["url"]) == (prefix, f"{prefix}/")


@MODES
async def test_without_a_prefix_nothing_changes(server: Server, mode: str) -> None:
    async with connected(server.url, mode=mode) as client:
        assert (await where(client))["root"] == ""


async def test_the_views_below_a_prefix_are_the_applications(server: Server) -> None:
    async with visitor(server) as http:
        assert (await http.get("/mounted/")).text == "/mounted"
        assert (await http.get("/mounted/socket.ios/")).text == "a view at socket.ios/"
        assert (await http.get("/elsewhere/socket.io/?EIO=4")).text == "a view at elsewhere/socket.io/"


@MODES
async def test_middleware_that_lets_a_client_in_only_with_a_token(server: Server, mode: str) -> None:
    async with proxied(server, mode, "/guarded/socket.io", {"X-Token": "right"}) as client:
        assert (await where(client))["root"] == "/guarded"
    with pytest.raises(socketio.exceptions.ConnectionError):
        async with proxied(server, mode, "/guarded/socket.io", {"X-Token": "wrong"}):
            pass


async def test_the_answer_of_middleware_reaches_the_client(server: Server) -> None:
    path = "/guarded/socket.io/?EIO=4&transport="
    async with visitor(server) as http:
        for method in ("GET", "POST"):
            answer = await http.request(method, f"{path}polling")
            assert (answer.status_code, answer.text, answer.headers["x-guard"]) == (401, "no token", "here")
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with websockets.connect(f"{server.ws_url}{path}websocket", proxy=None):
            pass
    assert refusal.value.response.status_code == 401
    assert refusal.value.response.body == b"no token"


@pytest.mark.parametrize("path", ["/nowhere", "/elsewhere/socket.io/?EIO=4&transport=websocket"])
async def test_a_websocket_that_is_for_nobody_is_refused(server: Server, path: str) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        async with websockets.connect(f"{server.ws_url}{path}", proxy=None):
            pass
    assert refusal.value.response.status_code in (400, 403)


async def test_a_path_that_middleware_renames_is_served(server: Server) -> None:
    async with visitor(server) as http:
        assert (await http.get("/live/?EIO=4&transport=polling")).text.startswith('0{"sid":')
    async with websockets.connect(f"{server.ws_url}/live/?EIO=4&transport=websocket", proxy=None) as ws:
        await raw_clients.read_handshake(ws)


@MODES
async def test_an_application_that_is_mounted_has_its_own_socketio(server: Server, mode: str) -> None:
    async with connected(server.url, mode=mode, socketio_path="/second/socket.io") as client:
        assert await client.call("where") == {"root": "/second"}


async def test_middleware_that_has_read_the_body_is_named_in_the_log(server: Server) -> None:
    async with visitor(server) as http:
        answer = await http.post("/nosy/socket.io/?EIO=4&transport=polling&sid=x", content="40")
        assert answer.status_code == 500
    server.wait_for_log(
        "WSGI middleware has read the body of a request of Socket.IO's, POST /nosy/socket.io/"
    )
    assert "this is a WSGI server" not in server.log()
