"""Clients that ping while they receive much over a slow link, and clients that stop in the middle of it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
from collections.abc import Iterator

import pytest
from websockets.asyncio.client import connect

from tests.support import raw_clients
from tests.support.required_parts import require
from tests.support.server_log import trouble
from tests.support.server_process import ROOT, Server, serve
from tests.support.tcp_proxy import Proxy

APP = "tests.apps.stopping:asgi"
PATH = "/socket.io/"
SPEED = 6_000_000  # bytes per second
LARGE = 12_000_000
COUNT, SIZE = 600, 20_000
SCRIPT = ROOT / "tests" / "js" / "slow_link.mjs"
DIRECT = "websocket door: direct"
WAYS = [
    ("uvicorn", "uvloop"),
    ("uvicorn", "asyncio"),
    ("uvicorn-wsproto", "uvloop"),
    ("uvicorn-wsproto", "asyncio"),
]


@pytest.fixture(scope="module", params=WAYS, ids="-".join)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    name, loop = request.param
    with serve(APP, server=name, args=["--loop", loop]) as running:
        yield running
        assert not trouble(running)


@pytest.fixture
def link(server: Server) -> Iterator[str]:
    """The address of the server behind a slow link."""
    with Proxy(server.port, speed=SPEED) as proxy:
        yield f"ws://127.0.0.1:{proxy.port}{PATH}?EIO=4&transport=websocket"


async def test_a_client_with_keepalive_behind_a_slow_link_gets_everything_intact(link: str) -> None:
    async with connect(link, ping_interval=0.1, max_size=None, proxy=None) as ws:
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        for size in [LARGE] + [SIZE] * COUNT:
            await ws.send(f'42["broadcast",{size}]')
        received: list[bytes] = []
        while len(received) < 1 + COUNT:
            message = await raw_clients.within(ws.recv(), 20)
            if isinstance(message, bytes):
                received.append(message)
    assert received == [b"x" * LARGE] + [b"x" * SIZE] * COUNT
    assert ws.close_code == 1000


@pytest.mark.javascript
async def test_a_ws_client_that_pings_by_itself_behind_a_slow_link_gets_everything_intact(link: str) -> None:
    require(shutil.which("node"), "node")
    require((SCRIPT.parent / "node_modules" / "ws").is_dir(), "npm package ws in tests/js")
    process = await asyncio.create_subprocess_exec(
        "node", str(SCRIPT), link, str(LARGE), str(COUNT), str(SIZE), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await raw_clients.within(process.communicate(), 40)
    report = json.loads(output)
    assert report["error"] is None
    assert report["sizes"] == [LARGE] + [SIZE] * COUNT
    assert report["intact"]
    assert report["code"] == 1000
    assert report["pongs"]
    assert report["pongs"] == sorted(set(report["pongs"]))


async def reading_little(server: Server, *later: bytes) -> raw_clients.RawSocket:
    """A client that is in the middle of a large message, of which it has read the beginning.

    What it sends later on may not be read before it reads: events to come in the middle are sent in advance.
    """
    ws = await raw_clients.RawSocket.websocket(server, PATH)
    ws.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    await ws.send(raw_clients.frame(raw_clients.TEXT, b"40"))
    await ws.read_frame()
    events = [b'42["broadcast",%d]' % LARGE, *later]
    await ws.send(b"".join(raw_clients.frame(raw_clients.TEXT, event) for event in events))
    await ws.read_frame()  # the text before the binary message
    head = await raw_clients.within(ws.reader.readexactly(10))
    assert head == b"\x82\x7f" + LARGE.to_bytes(8, "big")
    await asyncio.sleep(0.1)  # nothing tells how far the server has come; the rule holds wherever it is
    return ws


async def rest_of_the_large_message(ws: raw_clients.RawSocket) -> None:
    assert await raw_clients.within(ws.reader.readexactly(LARGE), 20) == b"x" * LARGE


async def test_pings_in_the_middle_of_a_large_message_are_answered_after_it(server: Server) -> None:
    async with await reading_little(server) as ws:
        for number in range(3):
            await ws.send(raw_clients.frame(raw_clients.PING, b"%d" % number))
            await asyncio.sleep(0.02)
        await rest_of_the_large_message(ws)
        while (answer := await ws.read_frame()) != (raw_clients.PONG, b"2"):
            assert answer[0] == raw_clients.PONG


async def test_a_client_that_closes_in_the_middle_of_a_large_message_gets_its_end_and_the_close_frame(
    server: Server,
) -> None:
    async with await reading_little(server) as ws:
        await ws.send(raw_clients.frame(raw_clients.CLOSE, (1000).to_bytes(2, "big")))
        await rest_of_the_large_message(ws)
        assert await ws.read_frame() == (raw_clients.CLOSE, (1000).to_bytes(2, "big"))
        assert await raw_clients.within(ws.reader.read()) == b""


async def test_a_client_that_hangs_up_in_the_middle_of_a_large_message_and_reads_on_gets_its_end(
    server: Server,
) -> None:
    async with await reading_little(server) as ws:
        ws.writer.write_eof()
        await rest_of_the_large_message(ws)
        assert await raw_clients.within(ws.reader.read()) == b""


async def test_what_is_wrong_in_the_middle_of_a_large_message_is_answered_after_it_and_nothing_follows(
    server: Server,
) -> None:
    async with await reading_little(server) as ws:
        echoed = b"\x81\x06431[1]"
        await ws.send(
            raw_clients.frame(raw_clients.TEXT, b'421["echo",1]') * 3
            + raw_clients.frame(raw_clients.TEXT, b"x", rsv=4)
        )
        await rest_of_the_large_message(ws)
        rest = await raw_clients.within(ws.reader.read())
        while rest.startswith(echoed):
            rest = rest.removeprefix(echoed)
        if DIRECT in server.log():
            assert rest[:1] + rest[2:4] == b"\x88" + (1002).to_bytes(2, "big")
            assert len(rest) == 2 + rest[1]
        else:
            assert not rest  # uvicorn's other class ends the connection without a close frame


async def test_a_session_that_the_server_ends_in_the_middle_of_a_large_message_gets_all_and_the_close_frame(
    server: Server,
) -> None:
    start = len(server.log())
    async with await reading_little(server, b'42["dismiss",0.1,3]') as ws:
        await asyncio.to_thread(server.wait_for_log, "numbers emitted", start=start)
        await rest_of_the_large_message(ws)
        for number in range(3):
            assert await ws.read_frame() == (raw_clients.TEXT, b'42["number",%d]' % number)
        assert await ws.read_frame() == (raw_clients.CLOSE, (1000).to_bytes(2, "big"))


async def test_a_message_larger_than_allowed_is_refused_with_1009_and_nothing_follows(server: Server) -> None:
    async with await raw_clients.RawSocket.websocket(server, PATH) as ws:
        await ws.send(raw_clients.frame(raw_clients.TEXT, b"40"))
        await ws.read_frame()
        start = len(server.log())
        events = raw_clients.frame(raw_clients.TEXT, b'42["numbers",100]')
        await ws.send(events + raw_clients.frame(raw_clients.TEXT, b"x" * 1_000_001))
        frames = []
        while not frames or frames[-1][0] != raw_clients.CLOSE:
            frames.append(await ws.read_frame())
        assert frames[-1][1][:2] == (1009).to_bytes(2, "big")
        ws.writer.write(raw_clients.frame(raw_clients.CLOSE, (1009).to_bytes(2, "big")))
        assert await raw_clients.within(ws.reader.read()) == b""
        assert not re.search("Traceback", server.log()[start:])
