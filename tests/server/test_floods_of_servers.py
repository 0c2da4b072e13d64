"""However much one client sends, one turn of the event loop handles little of it, under each ASGI server."""

from __future__ import annotations

import json

import pytest

from asyncsock.engine.turns import SLICE, TURN_SLICES
from tests.support.raw_clients import BINARY, SEPARATOR, TEXT, RawSocket, frame, within
from tests.support.server_process import Server

PATH = "/socket.io/"
COUNT = 1000
EACH = 300  # of each of fifty clients
# The first slice of what has arrived, the slices of a turn, and the messages of the one who asks.
BOUND = SLICE * (TURN_SLICES + 2)
OF_FIFTY = 50 * SLICE + BOUND  # at once each is read one slice; after that they share the turns

pytestmark = pytest.mark.parametrize(
    "asgi_server",
    ["uvicorn", "uvicorn-wsproto", "uvicorn-websockets", "hypercorn", "granian"],
    indirect=True,
)


@pytest.fixture
def flooded(running, asgi_server: str) -> Server:  # type: ignore[no-untyped-def]
    server: Server = running("tests.apps.flooded:asgi", asgi_server)
    return server


def message(text: str) -> bytes:
    return frame(TEXT, text.encode())


async def ask(raw: RawSocket, event: str) -> object:
    """What an event is acknowledged with; what comes before is passed over."""
    await raw.send(message(f'429["{event}"]'))
    while not (payload := (await within(raw.read_frame(), 30))[1]).startswith(b"439["):
        pass
    return json.loads(payload[3:])


FLOODS = {
    "events": message('42["echo"]'),
    "acknowledgements": message("430[]"),
    "binary events": message('451-["echo",{"_placeholder":true,"num":0}]') + frame(BINARY, b"x"),
}


@pytest.mark.parametrize("flood", FLOODS)
async def test_of_a_websocket(flooded: Server, flood: str) -> None:
    async with (
        await RawSocket.websocket(flooded, PATH) as flooder,
        await RawSocket.websocket(flooded, PATH) as other,
    ):
        await flooder.send(message("40"))
        await other.send(message("40"))
        await ask(other, "watch")
        flooder.writer.write(FLOODS[flood] * COUNT)
        await ask(flooder, "echo")
        most = await ask(other, "most")
        assert most != [0]
        assert most <= [BOUND]  # type: ignore[operator]


async def test_of_fifty_websockets(flooded: Server) -> None:
    async with await RawSocket.websocket(flooded, PATH) as other:
        await other.send(message("40"))
        flooders = [await RawSocket.websocket(flooded, PATH) for _ in range(50)]
        for flooder in flooders:
            await flooder.send(message("40"))
            await ask(flooder, "echo")
        await ask(other, "watch")
        for flooder in flooders:
            flooder.writer.write(FLOODS["events"] * EACH)
        for flooder in flooders:
            await ask(flooder, "echo")
            flooder.writer.close()
        assert await ask(other, "most") <= [OF_FIFTY]  # type: ignore[operator]


async def test_of_a_post(flooded: Server) -> None:
    async with (
        await RawSocket.websocket(flooded, PATH) as other,
        await RawSocket.connect(flooded) as raw,
    ):
        await other.send(message("40"))
        flood = await post(raw, COUNT)
        await ask(other, "watch")
        await raw.send(flood)
        assert await within(response(raw), 30) == "ok"
        most = await ask(other, "most")
        assert most != [0]
        assert most <= [BOUND]  # type: ignore[operator]


async def test_of_fifty_posts(flooded: Server) -> None:
    async with await RawSocket.websocket(flooded, PATH) as other:
        await other.send(message("40"))
        flooders = [await RawSocket.connect(flooded) for _ in range(50)]
        floods = [await post(flooder, EACH) for flooder in flooders]
        await ask(other, "watch")
        for flooder, flood in zip(flooders, floods, strict=True):
            flooder.writer.write(flood)
        for flooder in flooders:
            assert await within(response(flooder), 30) == "ok"
            flooder.writer.close()
        assert await ask(other, "most") <= [OF_FIFTY]  # type: ignore[operator]


async def post(raw: RawSocket, count: int) -> bytes:
    """Open a session on a connection; the request that sends so many events in it."""
    path = f"{PATH}?EIO=4&transport=polling"
    await raw.send(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    path += "&sid=" + json.loads((await response(raw))[1:])["sid"]
    body = SEPARATOR.join(["40", *['42["echo"]'] * count]).encode()
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def response(raw: RawSocket) -> str:
    """The body of a response, which has a length or comes in chunks."""
    head = await raw.reader.readuntil(b"\r\n\r\n")
    if b"content-length" in head.lower():
        size = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        return (await raw.reader.readexactly(size)).decode()
    size = int(await raw.reader.readuntil(b"\r\n"), 16)
    body = await raw.reader.readexactly(size + 2)
    await raw.reader.readexactly(5)
    return body[:-2].decode()
