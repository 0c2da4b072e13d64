"""nginx, configured as docs/nginx.conf says, in front of two servers that share a Redis."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest
from socketio.exceptions import ConnectionError as NotConnected

from tests.support.broker_process import HOST, low_port
from tests.support.brokers import Redis
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.required_parts import require
from tests.support.server_process import ROOT, START_TIMEOUT, Server, serve, stop, wait_for_port

DOCUMENT = ROOT / "docs" / "deployment.md"
DOCUMENTED = ROOT / "docs" / "nginx.conf"
UNIT = ROOT / "docs" / "asyncsock@.service"
ADDRESSES = [f"127.0.{number}.1" for number in range(1, 9)]  # ip_hash looks at the first three numbers

# What an nginx needs that is not the system's. It leads and serves in one process, which we can end.
MAIN = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Deployed(NamedTuple):
    """Two servers and the nginx before them."""

    nginx: Server
    servers: list[Server]

    @property
    def url(self) -> str:
        return self.nginx.url


def nginx_program() -> str:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    require(program, "nginx")
    return str(program)


def configure(folder: Path, port: int, servers: list[Server]) -> Path:
    """The documented configuration with our ports."""
    site = DOCUMENTED.read_text()
    assert re.findall(r"127\.0\.0\.1:\d+", site) == ["127.0.0.1:5001", "127.0.0.1:5002"]
    for number, server in enumerate(servers, 5001):
        site = site.replace(f"127.0.0.1:{number};", f"127.0.0.1:{server.port};")
    site, listens = re.subn("listen 80;", f"listen {HOST}:{port};", site)
    assert listens == 1
    (folder / "site.conf").write_text(site)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    return folder / "nginx.conf"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nginx")


@pytest.fixture(scope="module")
def deployed(folder: Path) -> Iterator[Deployed]:
    program = nginx_program()
    with ExitStack() as stack:
        redis = stack.enter_context(Redis())
        environment = {"QUEUE": redis.url, "CHANNEL": "behind nginx"}
        servers = [stack.enter_context(serve("tests.apps.deployed:asgi", env=environment)) for _ in range(2)]
        port = low_port()
        line = [program, "-e", "stderr", "-p", str(folder), "-c", str(configure(folder, port, servers))]
        checked = subprocess.run([*line, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        log_path = folder / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(line, stdout=log, stderr=log, start_new_session=True)
        stack.callback(stop, process)
        nginx = Server(process, port, log_path)
        wait_for_port(nginx, START_TIMEOUT)
        yield Deployed(nginx, servers)


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


async def address_at(deployed: Deployed, server: Server) -> str:
    """A client address that nginx brings to a server."""
    for address in ADDRESSES:
        async with client_from(address, deployed, "websocket") as client:
            if (await client.call("where"))["process"] == server.process.pid:
                return address
    raise AssertionError(f"nginx sends none of {ADDRESSES} to port {server.port}")


@pytest.mark.parametrize("mode", ["websocket", "polling", "upgrade"])
async def test_clients_come_in_through_nginx(deployed: Deployed, mode: str) -> None:
    async with client_from("127.0.0.1", deployed, mode) as client:
        heard = client.arrivals("said")
        for text in ("one", "x" * 200_000):
            await client.emit("say", text)
            assert await arrived(heard) == (text,)
        assert await client.call("transport") == ("polling" if mode == "polling" else "websocket")


async def test_polling_clients_stay_with_their_process_and_hear_those_of_the_other(
    deployed: Deployed,
) -> None:
    async with (
        client_from(await address_at(deployed, deployed.servers[0]), deployed, "polling") as first,
        client_from(await address_at(deployed, deployed.servers[1]), deployed, "polling") as second,
    ):
        heard = [first.arrivals("said"), second.arrivals("said")]
        for text in range(5):
            await first.emit("say", text)
            assert [await arrived(queue) for queue in heard] == [(text,)] * 2
        processes = [(await client.call("where"))["process"] for client in (first, second)]
        assert processes == [server.process.pid for server in deployed.servers]


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


async def test_clients_of_a_process_that_is_stopped_find_the_other(deployed: Deployed) -> None:
    """The last test here: it ends a server."""
    stopped, left = deployed.servers
    address = await address_at(deployed, stopped)
    options = {"reconnection": True, "reconnection_delay": 0.05, "randomization_factor": 0}
    connector = aiohttp.TCPConnector(local_addr=(address, 0))
    async with aiohttp.ClientSession(connector=connector) as session:
        client = Client(deployed.url, mode="websocket", http_session=session, **options)
        joined = client.arrivals("connect")
        await client.connect()
        try:
            await arrived(joined)
            await asyncio.to_thread(stop, stopped.process)
            await arrived(joined)
            assert (await client.call("where"))["process"] == left.process.pid
        finally:
            await client.close()
    async with client_from(address, deployed, "polling") as client:
        assert (await client.call("where"))["process"] == left.process.pid
