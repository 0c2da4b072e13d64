"""Clients that do not behave. Each is a function: it does its worst, and is gone when it returns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from random import Random

from soak.link import Gone, Link, request
from tests.support.raw_clients import PING, TEXT, frame, upgrade_request

BAD_PACKETS = (
    *(
        "",
        "9",
        "4",
        "48",
        "42",
        "42[",
        "42{}",
        '42["',
        "42[1]",
        "42[[]]",
        "42/other,[",
        "45-[1]",
        "451-",
        "451-[]",
    ),
    *(
        '45999999999-["echo"]',
        '42999999999999999999999["echo"]',
        "43",
        "43[]",
        "430[",
        "46[1]",
        "44",
        "40/",
        "40[",
    ),
    *(
        "40/x?a=b,",
        "5",
        "0",
        "6",
        "2probe",
        "bAAA",
        "b=",
        '42["echo"' + "[" * 100_000,
        "\ud800".encode("utf-8", "surrogatepass").decode("utf-8", "replace"),
    ),
)
BAD_REQUESTS = (
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100_000,
    b"GET /socket.io/?EIO=3&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /socket.io/?EIO=4&transport=polling&sid=nobody HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n4",
    b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nz",
    b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHo",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"GET / HTTP/9.9\r\n\r\n",
)


async def _socket(port: int, greets: bool = True) -> Link:
    link = await Link.open(port)
    await link.upgrade()
    await link.receive()
    if greets:
        await link.send("40")
        await link.receive()
    return link


async def _pour(link: Link, data: bytes) -> None:
    """Write without reading, for a second at most, and drop the connection."""
    link.writer.write(data)
    try:
        await asyncio.wait_for(link.writer.drain(), 1)
    except (asyncio.TimeoutError, ConnectionError):
        pass
    link.reset()


async def bad_packet(port: int, random: Random) -> None:
    link = await _socket(port)
    await link.send(random.choice(BAD_PACKETS))
    await asyncio.sleep(0.05)
    link.close()


async def bad_frames(port: int, random: Random) -> None:
    link = await _socket(port)
    await link.write(random.randbytes(random.randrange(1, 3000)))
    await link.until_gone()


async def large_frame(port: int, random: Random) -> None:
    link = await _socket(port)
    await link.write(frame(TEXT, b"4" * 1000, length=10_000_000))
    await link.until_gone()


async def fragments(port: int, random: Random) -> None:
    link = await _socket(port)
    await link.write(frame(TEXT, b"4", fin=False))
    await _pour(link, frame(0, b"", fin=False) * random.randrange(5000))


async def flood(port: int, random: Random) -> None:
    packet = random.choice(
        [b"430[]", b'42["slow"]', b"40/x,", b'421["echo",1]', b'42["fail"]', b'42["echo_def"]']
    )
    await _pour(await _socket(port), frame(TEXT, packet) * random.randrange(300))


async def unread(port: int, random: Random) -> None:
    await _pour(await _socket(port), frame(TEXT, b'421["echo","%s"]' % (b"x" * 5000)) * 300)


async def pings(port: int, random: Random) -> None:
    await _pour(await _socket(port), frame(PING, b"x" * 125) * random.randrange(3000))


async def no_attachments(port: int, random: Random) -> None:
    link = await _socket(port)
    await link.send('453-["echo",{"_placeholder":true,"num":0}]')
    await link.send(random.randbytes(2000))
    link.reset()


async def no_namespace(port: int, random: Random) -> None:
    link = await _socket(port, greets=False)
    await link.until_gone()


async def bad_request(port: int, random: Random) -> None:
    link = await Link.open(port)
    await link.write(random.choice(BAD_REQUESTS))
    if random.random() < 0.5:
        await link.until_gone() if random.random() < 0.2 else await asyncio.sleep(0.1)
    link.reset()


async def bad_post(port: int, random: Random) -> None:
    link = await Link.open(port)
    _, opened = await link.request("GET", "/socket.io/?EIO=4&transport=polling")
    target = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
    packets = "\x1e".join(random.choices(BAD_PACKETS, k=random.randrange(1, 4)))
    await link.request("POST", target, packets)
    link.close()


async def two_polls(port: int, random: Random) -> None:
    link, other = await Link.open(port), await Link.open(port)
    _, opened = await link.request("GET", "/socket.io/?EIO=4&transport=polling")
    poll = request("GET", f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}")
    await link.write(poll)
    await other.write(poll)
    await other.head()
    link.reset()
    other.close()


async def half_upgrade(port: int, random: Random) -> None:
    link, websocket = await Link.open(port), await Link.open(port)
    _, opened = await link.request("GET", "/socket.io/?EIO=4&transport=polling")
    await websocket.upgrade(sid=json.loads(opened[1:])["sid"])
    if random.random() < 0.7:
        await websocket.send("2probe")
        await websocket.receive()
    random.choice([websocket.reset, websocket.close])()
    link.close()


async def half_handshake(port: int, random: Random) -> None:
    link = await Link.open(port)
    asked = upgrade_request("/socket.io/")
    await link.write(asked[: random.randrange(len(asked))])
    link.reset()


HOSTILE: tuple[Callable[[int, Random], Awaitable[None]], ...] = (
    *(bad_packet, bad_frames, large_frame, fragments, flood, unread, pings, no_attachments, no_namespace),
    *(bad_request, bad_post, two_polls, half_upgrade, half_handshake),
)


async def harass(port: int, random: Random) -> None:
    """One hostile client. That the server cuts it off is no fault."""
    try:
        await random.choice(HOSTILE)(port, random)
    except Gone:
        pass
