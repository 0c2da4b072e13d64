"""A message that takes longer to arrive than its client has to answer a ping: the pong waits behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from asyncsock.engine import EngineServer, heartbeat
from tests.support.engineio_in_process import websocket as local_websocket
from tests.support.raw_clients import CLOSE, TEXT, Polling, RawSocket, frame
from tests.support.server_process import Server, Start

# A ping after 0.3 s and this time for its answer, in which a busy machine, too, sends a piece.
PATIENT = {"PING_INTERVAL": "0.3", "PING_TIMEOUT": "1.5"}
LONG = 3.0  # seconds that the message takes
PIECES = 30


async def slowly(data: bytes) -> AsyncIterator[bytes]:
    """The pieces of a long upload."""
    size = len(data) // PIECES + 1
    for start in range(0, len(data), size):
        yield data[start : start + size]
        await asyncio.sleep(LONG / PIECES)


async def test_a_slow_post_is_taken(running: Start, asgi_server: str) -> None:
    server = running("tests.apps.engine_echo:asgi", asgi_server, **PATIENT)
    data = b"4" + b"x" * 3000
    async with Polling(server) as polling:
        await polling.open()
        path = f"/engine.io/?EIO=4&transport=polling&sid={polling.sid}"
        post = asyncio.ensure_future(polling.http.post(path, content=slowly(data)))
        pings = 0
        while (packets := await polling.receive()) == ["2"]:
            pings += 1
        assert packets == [data.decode()]
        assert (await post).text == "ok"
        assert pings >= 2  # the client, too, gives up a server that it does not hear from
        await polling.send("3", "4hello")
        assert await polling.receive() == ["4hello"]


@pytest.mark.parametrize("fragments", [1, 4])
async def test_a_slow_websocket_message_is_taken(running: Start, fragments: int) -> None:
    """Served the direct way only: another server says nothing of a message that is not whole."""
    server = running("tests.apps.engine_echo:asgi", "uvicorn", **PATIENT)
    size = 3000 // fragments
    parts = [b"4" + b"x" * (size - 1), *[b"y" * size] * (fragments - 1)]
    last = fragments - 1
    frames = [frame(0 if n else TEXT, part, fin=n == last) for n, part in enumerate(parts)]
    async with await RawSocket.websocket(server) as raw:
        async for piece in slowly(b"".join(frames)):
            await raw.send(piece)
        await raw.send(frame(TEXT, b"3") * 3)
        pings = 0
        while (received := await raw.read_frame()) == (TEXT, b"2"):
            pings += 1
        assert received == (TEXT, b"".join(parts))
        assert pings >= 2
        assert await raw.read_frame() == (TEXT, b"2")  # the heartbeat goes on


async def test_a_post_that_stops_arriving_does_not_keep_its_session(strict_engine: Server) -> None:
    async with Polling(strict_engine) as polling, await RawSocket.connect(strict_engine) as raw:
        await polling.open()
        head = f"POST /engine.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: a\r\n"
        await raw.send(f"{head}Content-Length: 100\r\n\r\n4hello".encode())
        packets: list[str] = []
        while "1" not in packets:
            packets += await polling.receive()
        assert set(packets) == {"2", "1"}


async def test_a_websocket_message_that_stops_arriving_does_not_keep_its_session(
    strict_engine: Server,
) -> None:
    async with await RawSocket.websocket(strict_engine) as raw:
        await raw.send(frame(TEXT, b"4" + b"x" * 1000)[:500])
        while (received := await raw.read_frame()) == (TEXT, b"2"):
            pass
        assert received == (CLOSE, (1000).to_bytes(2, "big"))


async def test_a_message_that_trickles_does_not_keep_its_session_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has a while, and more the larger it is: here 0.5 s and 1 s for each 100 bytes."""
    monkeypatch.setattr(heartbeat, "UPLOAD_TIME", 0.5)
    monkeypatch.setattr(heartbeat, "UPLOAD_RATE", 100.0)
    server = EngineServer(ping_interval=0.1, ping_timeout=0.1)
    reasons: list[str] = []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    async with local_websocket(server, "auto") as raw:
        begun = asyncio.get_running_loop().time()
        data = frame(TEXT, b"4" + b"x" * 10_000)
        for byte in data:
            await raw.send(bytes([byte]))
            await asyncio.sleep(0.02)  # half of the rate
            if reasons:
                break
        assert reasons == ["ping timeout"]
        assert asyncio.get_running_loop().time() - begun > 0.5
