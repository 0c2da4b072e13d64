"""The ways in which a WebSocket reaches the engine, under each ASGI server and its options.

The log tells which way it is; a short exchange with python-socketio's client shows that it works.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.python_socketio_client import connected, use_two_clients
from tests.support.required_parts import require
from tests.support.server_log import trouble
from tests.support.server_process import Server, serve

TARGET = "tests.apps.two_applications:asgi"
DIRECT = "websocket door: direct"
PLAIN = "websocket door: plain ASGI"
OLDEST_UVICORN = "0.52.1"


@pytest.mark.parametrize(
    "args",
    [
        ("--loop", "uvloop"),
        ("--loop", "asyncio"),
        ("--http", "h11"),
        ("--ws", "websockets-sansio"),
    ],
    ids=" ".join,
)
async def test_uvicorn_takes_websockets_the_direct_way(args: tuple[str, ...]) -> None:
    with serve(TARGET, args=args) as server:
        await use_two_clients(server.url)
        assert DIRECT in server.log()
        assert not trouble(server)


@pytest.mark.parametrize("name", ["hypercorn", "granian", "uvicorn-websockets", "uvicorn-wsproto"])
async def test_other_servers_and_protocols_take_websockets_over_plain_asgi(name: str) -> None:
    with serve(TARGET, server=name) as server:
        await use_two_clients(server.url)
        assert PLAIN in server.log()
        assert not trouble(server)


async def test_uvicorn_takes_websockets_over_plain_asgi_while_it_traces_messages() -> None:
    with serve(TARGET, args=("--log-level", "trace")) as server:
        await use_two_clients(server.url)
        assert PLAIN in server.log()


async def test_uvicorn_serves_clients_without_a_lifespan() -> None:
    with serve(TARGET, args=("--lifespan", "off")) as server:
        await use_two_clients(server.url)
        assert DIRECT not in server.log()
        assert not trouble(server)


@pytest.mark.parametrize(("name", "way"), [("uvicorn", DIRECT), ("hypercorn", PLAIN)])
async def test_clients_come_in_over_tls(name: str, way: str) -> None:
    with serve(TARGET, server=name, tls=True) as server:
        await use_two_clients(server.url, server.authority)
        assert way in server.log()
        assert not trouble(server)


PROXIES = {
    "trusted proxy": (("--proxy-headers",), ("203.0.113.7", "https")),
    "unknown proxy": (("--proxy-headers", "--forwarded-allow-ips", "10.9.8.7"), ("127.0.0.1", "http")),
    "no proxy": (("--no-proxy-headers",), ("127.0.0.1", "http")),
}


@pytest.fixture(scope="module", params=list(PROXIES))
def proxied(request: pytest.FixtureRequest) -> Iterator[tuple[Server, tuple[str, str]]]:
    """A server with a choice of proxy options, and the address and scheme that it should believe."""
    args, seen = PROXIES[request.param]
    with serve(TARGET, args=args) as server:
        assert DIRECT in server.log()
        yield server, seen


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_uvicorns_proxy_options_decide_which_address_a_connect_handler_sees(
    proxied: tuple[Server, tuple[str, str]], mode: str
) -> None:
    server, seen = proxied
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    async with connected(server.url, mode=mode, headers=headers) as client:
        environ = await client.call("environ", "REMOTE_ADDR", "wsgi.url_scheme")
    assert (environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]) == seen


@pytest.fixture(scope="module")
def below_a_root_path() -> Iterator[Server]:
    """A server behind a proxy that strips /app from the path."""
    with serve(TARGET, args=("--root-path", "/app")) as server:
        assert DIRECT in server.log()
        yield server


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_a_root_path_becomes_the_script_name(below_a_root_path: Server, mode: str) -> None:
    async with connected(below_a_root_path.url, mode=mode) as client:
        environ = await client.call("environ", "SCRIPT_NAME", "PATH_INFO")
    assert environ == {"SCRIPT_NAME": "/app", "PATH_INFO": "/socket.io/"}


async def test_clients_come_in_below_a_root_path(below_a_root_path: Server) -> None:
    await use_two_clients(below_a_root_path.url)
    assert not trouble(below_a_root_path)


async def test_a_middleware_around_the_application_sees_its_websockets() -> None:
    with serve("tests.apps.two_applications:wrapped") as server:
        await use_two_clients(server.url)
        assert DIRECT not in server.log()
        assert "the middleware saw a websocket to /socket.io/" in server.log()
        assert not trouble(server)


@pytest.fixture(scope="module")
def direct() -> Iterator[Server]:
    with serve(TARGET) as server:
        assert DIRECT in server.log()
        yield server


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def test_a_websocket_to_another_path_reaches_the_other_application(
    direct: Server, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(f"{direct.ws_url}/raw", protocols=["parrot"]) as websocket:
        assert websocket.protocol == "parrot"
        await websocket.send_str("text ž")
        assert await websocket.receive_str() == "text ž"
        await websocket.send_bytes(b"x" * 100_000)
        assert await websocket.receive_bytes() == b"x" * 100_000
        await websocket.send_str("bye")
        await websocket.receive()
        assert websocket.close_code == 4321


async def test_the_other_application_may_refuse_a_websocket(
    direct: Server, http: aiohttp.ClientSession
) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refusal:
        await http.ws_connect(f"{direct.ws_url}/elsewhere")
    assert refusal.value.status == 403


async def test_the_other_application_gets_the_other_http_requests(
    direct: Server, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{direct.url}/page") as response:
        assert await response.text() == "other: /page"


async def test_clients_of_both_applications_are_served_at_once(
    direct: Server, http: aiohttp.ClientSession
) -> None:
    async with http.ws_connect(f"{direct.ws_url}/raw") as websocket:
        await use_two_clients(direct.url)
        await websocket.send_str("still here")
        assert await websocket.receive_str() == "still here"


@pytest.fixture
def oldest_uvicorn(request: pytest.FixtureRequest) -> Path:
    """A folder with the oldest uvicorn that is supported, for PYTHONPATH; it is kept between runs."""
    folder = Path(request.config.cache.mkdir(f"uvicorn-{OLDEST_UVICORN}"))
    if not (folder / "uvicorn" / "__init__.py").exists():
        line = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
        installed = subprocess.run([*line, f"uvicorn=={OLDEST_UVICORN}"], capture_output=True, text=True)
        require(installed.returncode == 0, f"uvicorn {OLDEST_UVICORN} ({installed.stderr.strip()[-300:]})")
    return folder


async def test_the_oldest_supported_uvicorn_takes_websockets_the_direct_way(oldest_uvicorn: Path) -> None:
    with serve(TARGET, env={"PYTHONPATH": str(oldest_uvicorn)}) as server:
        await use_two_clients(server.url)
        assert f"{DIRECT} (uvicorn {OLDEST_UVICORN})" in server.log()
        assert not trouble(server)
