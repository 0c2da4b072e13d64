"""Who must not come in, served both ways and with real clients, against tests/apps/access.py."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.python_socketio_client import TRANSPORTS, Client, arrived, connected, tags
from tests.support.raw_clients import Polling, read_handshake, receive, websocket
from tests.support.required_parts import require
from tests.support.server_process import ROOT, Server, serve

FOLDER = ROOT / "tests" / "js"
WAYS = {"direct": "uvicorn", "plain ASGI": "hypercorn"}
NAMESPACES = ["/members", "/coroutine-members"]
PATH = "/socket.io/"


@pytest.fixture(scope="module", params=list(WAYS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve("tests.apps.access:asgi", server=WAYS[request.param]) as running:
        yield running


@pytest.mark.javascript
@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("mode", list(TRANSPORTS))
@pytest.mark.parametrize("version", ["v4", "v3"])
def test_the_javascript_client_of_a_stranger_learns_that_the_server_disconnected_it(
    server: Server, version: str, mode: str, namespace: str
) -> None:
    require(shutil.which("node"), "node")
    for package in ("socket.io-client", "socket.io-client-3"):
        require((FOLDER / "node_modules" / package).is_dir(), f"npm package {package} in tests/js")
    line = ["node", "access.mjs", server.url, version, mode, namespace, next(tags)]
    run = subprocess.run(line, cwd=FOLDER, capture_output=True, text=True, timeout=45)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "stranger": ["connect", "disconnect: io server disconnect"],
        "member": ["connect", "welcome", "secret"],
        "reasons": ["server disconnect"],
    }


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("mode", list(TRANSPORTS))
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_the_python_client_of_a_stranger_learns_that_the_server_disconnected_it(
    server: Server, kind: str, mode: str, namespace: str
) -> None:
    tag = next(tags)
    stranger = Client(f"{server.url}?tag={tag}", kind, mode)
    arrivals = {event: stranger.arrivals(event, namespace) for event in ("connect", "disconnect", "secret")}
    try:
        await stranger.connect([namespace], wait=False)  # it takes no notice of a DISCONNECT while it waits
        assert await arrived(arrivals["connect"]) == ()
        assert await arrived(arrivals["disconnect"]) == ("server disconnect",)
        async with connected(server.url, mode="websocket") as witness:
            await witness.call("tell")
            assert await until_left(witness, tag) == ["server disconnect"]
        assert arrivals["secret"].empty()
    finally:
        await stranger.close()


async def until_left(witness: Client, tag: str) -> list[str]:
    """Why a client left, once it has."""
    for _ in range(500):
        reasons: list[str] = await witness.call("reasons", tag)
        if reasons:
            return reasons
        await asyncio.sleep(0.01)
    raise AssertionError("no disconnect handler ran")


@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_stranger_that_ignores_its_disconnection_neither_hears_nor_is_heard(
    server: Server, transport: str, namespace: str
) -> None:
    packets = [f"40{namespace},", f'42{namespace},1["secret"]', "40"]
    later = [f'42{namespace},2["secret"]', '42["tell"]']
    query = {"tag": next(tags)}
    if transport == "websocket":
        async with websocket(server, PATH, **query) as ws:
            await read_handshake(ws)
            for packet in packets:
                await ws.send(packet)
            seen = [await receive(ws) for _ in range(3)]
            for packet in later:
                await ws.send(packet)
            last = await receive(ws)
    else:
        async with Polling(server, PATH) as polling:
            handshake = await polling.request("GET", **query)
            polling.sid = json.loads(handshake.text[1:])["sid"]
            await polling.send(*packets)
            seen = list(await polling.receive_all(3))
            await polling.send(*later)
            (last,) = await polling.receive()
    kinds = sorted(str(packet).partition("{")[0] for packet in seen)
    assert kinds == sorted([f"40{namespace},", f"41{namespace},", "40"])
    assert last == '42["told"]'


@pytest.mark.parametrize("mode", list(TRANSPORTS))
async def test_an_event_named_like_the_wildcard_is_handled_as_its_sender(server: Server, mode: str) -> None:
    async with connected(server.url, mode=mode) as attacker, connected(server.url, mode=mode) as victim:
        sids = [client.socket.get_sid("/") for client in (attacker, victim)]
        answer = await attacker.call("*", sids[1], "pay", 1000)
        assert answer == [sids[0], "*", [sids[1], "pay", 1000]]
