"""nginx, configured as docs/files/nginx.conf says, in front of two servers of one group."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from socketio.exceptions import ConnectionError as NotConnected

from tests.support.broker_process import HOST
from tests.support.brokers import Redis
from tests.support.nginx import nginx
from tests.support.ports import free_port
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.raw_clients import upgrade_request
from tests.support.server_process import ROOT, Server, serve, stop
from tests.support.worker_processes import clients_of_both

DOCUMENT = ROOT / "docs" / "howto" / "deploy.md"
DOCUMENTED = ROOT / "docs" / "files" / "nginx.conf"
UNIT = ROOT / "docs" / "files" / "asyncsock@.service"


class Deployed(NamedTuple):
    """Two servers and the nginx before them."""

    nginx: Server
    servers: list[Server]

    @property
    def url(self) -> str:
        return self.nginx.url


def documented_site(port: int, servers: list[Server]) -> str:
    """The documented configuration with our ports."""
    site = DOCUMENTED.read_text()
    assert re.findall(r"127\.0\.0\.1:\d+", site) == ["127.0.0.1:5001", "127.0.0.1:5002"]
    for number, server in enumerate(servers, 5001):
        site = site.replace(f"127.0.0.1:{number};", f"127.0.0.1:{server.port};")
    site, listens = re.subn("listen 80;", f"listen {HOST}:{port};", site)
    assert listens == 1
    return site


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def deployed(folder: Path) -> Iterator[Deployed]:
    with ExitStack() as stack:
        environment = {"QUEUE": f"local://{folder}/group", "CHANNEL": "behind nginx"}
        servers = [stack.enter_context(serve("tests.apps.deployed:asgi", env=environment)) for _ in range(2)]
        port = free_port()
        yield Deployed(stack.enter_context(nginx(folder, port, documented_site(port, servers))), servers)


@pytest.mark.parametrize("file", [DOCUMENTED, UNIT], ids=lambda file: file.name)
def test_the_document_quotes_the_file(file: Path) -> None:
    assert f"\n{file.read_text()}```" in DOCUMENT.read_text()


@asynccontextmanager
async def client_from(
    address: str, deployed: Deployed, mode: str = "upgrade", **options: Any
) -> AsyncIterator[Client]:
    """A client whose connections come from a loopback address."""
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        connected(deployed.url, mode=mode, client_options={"http_session": session}, **options) as client,
    ):
        yield client


@pytest.mark.parametrize("mode", ["websocket", "polling", "upgrade"])
async def test_clients_come_in_through_nginx(deployed: Deployed, mode: str) -> None:
    async with client_from("127.0.0.1", deployed, mode) as client:
        heard = client.arrivals("said")
        for text in ("one", "x" * 200_000):
            await client.emit("say", text)
            assert await arrived(heard) == (text,)
        assert await client.call("transport") == ("polling" if mode == "polling" else "websocket")


async def test_polling_clients_hear_each_other_through_nginx_that_knows_no_sessions(
    deployed: Deployed,
) -> None:
    async with AsyncExitStack() as stack:
        clients = await clients_of_both(deployed.nginx, stack, "polling")
        heard = [client.arrivals("said") for client in clients]
        for number in range(10):
            await clients[number % 2].emit("say", number)
            assert [await arrived(queue) for queue in heard] == [(number,)] * 2


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_flask_sees_the_address_of_the_client_and_not_that_of_nginx(
    deployed: Deployed, mode: str
) -> None:
    pretended = {"X-Forwarded-For": "192.0.2.1"}
    async with client_from("127.0.9.1", deployed, mode, headers=pretended) as client:
        seen = await client.call("where")
        assert (seen["address"], seen["scheme"]) == ("127.0.9.1", "http")
        async with client.socket.eio.http.get(f"{deployed.url}/where") as response:
            assert (await response.json())["address"] == "127.0.9.1"


@pytest.mark.parametrize("mode", ["websocket", "polling"])
async def test_a_page_of_the_same_site_may_connect_and_one_of_another_may_not(
    deployed: Deployed, mode: str
) -> None:
    async with client_from("127.0.0.1", deployed, mode, headers={"Origin": deployed.url}) as client:
        assert client.socket.connected
    with pytest.raises(NotConnected):
        async with client_from("127.0.0.1", deployed, mode, headers={"Origin": "http://elsewhere.example"}):
            pass


def limit(directive: str) -> int:
    """The number in a directive of the documented configuration."""
    found = re.search(rf"^ *{directive}\D*(\d+)", DOCUMENTED.read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1])


def connection_from(address: str, deployed: Deployed, stack: ExitStack) -> socket.socket:
    """A connection to nginx that comes from a loopback address."""
    made = socket.create_connection((HOST, deployed.nginx.port), timeout=10, source_address=(address, 0))
    return stack.enter_context(made)


def status_of(connection: socket.socket, request: bytes) -> int:
    connection.sendall(request)
    return int(connection.recv(65536).split(b" ", 2)[1])


def test_an_address_with_too_many_websockets_gets_429_and_another_is_served(deployed: Deployed) -> None:
    asked = upgrade_request("/socket.io/")
    with ExitStack() as stack:
        for _ in range(limit("limit_conn connections")):
            assert status_of(connection_from("127.0.10.1", deployed, stack), asked) == 101
        assert status_of(connection_from("127.0.10.1", deployed, stack), asked) == 429
        assert status_of(connection_from("127.0.11.1", deployed, stack), asked) == 101


def test_an_address_with_too_many_requests_gets_429_and_another_is_served(deployed: Deployed) -> None:
    asked = b"HEAD /where HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with ExitStack() as stack:
        flooding = connection_from("127.0.12.1", deployed, stack)
        flooding.sendall(asked * 10 * limit("limit_req zone=requests burst"))
        answers = b""
        while b" 429 " not in answers:
            answers += flooding.recv(65536)
        assert answers.startswith(b"HTTP/1.1 200 ")
        assert status_of(connection_from("127.0.13.1", deployed, stack), asked) == 200


async def test_the_health_view_tells_that_the_queue_is_away(deployed: Deployed) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"{deployed.url}/health") as response:
            assert response.status == 200
            assert (await response.json())["queue"]["last_error"] is None
        with (
            Redis() as redis,
            serve("tests.apps.deployed:asgi", env={"QUEUE": redis.url, "CHANNEL": "x"}) as server,
        ):
            redis.kill()
            await asyncio.to_thread(server.wait_for_log, "is not reachable")
            async with session.get(f"{server.url}/health") as response:
                assert response.status == 503
                assert (await response.json())["queue"]["last_error"]


async def process_of(client: Client) -> int:
    process: int = (await client.call("where"))["process"]
    return process


async def test_clients_of_a_server_that_is_stopped_find_the_other(deployed: Deployed) -> None:
    """The last test here: it ends a server."""
    stopped, left = deployed.servers
    options = {"reconnection": True, "reconnection_delay": 0.05, "randomization_factor": 0}
    async with AsyncExitStack() as stack:
        clients = await clients_of_both(deployed.nginx, stack, "websocket", client_options=options)
        (moving,) = [client for client in clients if await process_of(client) == stopped.process.pid]
        joined = moving.arrivals("connect")
        await asyncio.to_thread(stop, stopped.process)
        await arrived(joined)
        assert await process_of(moving) == left.process.pid
    async with client_from("127.0.0.1", deployed, "polling") as client:
        assert await process_of(client) == left.process.pid
