"""Packets: random and mutated ones, in JSON and msgpack, over WebSockets and polling."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import msgpack

from fuzz.mutations import Finding, mutated
from fuzz.servers import Target
from soak.link import Gone, Link, request
from tests.support.raw_clients import BINARY, TEXT, frame

Sent = list[tuple[int, bytes]]  # opcodes and payloads of frames
NAMESPACES = ("/", "/", "/other", "/unknown", "/other?token=1", "")
EVENTS = (
    "echo",
    "echo_def",
    "back",
    "ask",
    "connect",
    "disconnect",
    "*",
    "message",
    "__proto__",
    "",
    "\n",
    "x" * 200,
)
ENGINE_PACKETS = (b"2", b"2probe", b"3", b"5", b"6", b"0{}", b"4", b"bAA")


def value(random: Random, depth: int = 0) -> Any:
    """Data as clients send them, or as they do not."""
    kind = random.randrange(12 if depth < 4 else 8)
    if kind < 6:
        return random.choice(
            (None, True, 0, -1, 2**53, 2**64, 1.5, 1e300, "", "text", "ü\u2028\x00", "\U0001f600", "x" * 500)
        )
    if kind < 8:
        return {
            "_placeholder": random.choice((True, 1, None)),
            "num": random.choice((0, 0, 1, -1, 2**70, "0", None)),
        }
    if kind < 10:
        return [value(random, depth + 1) for _ in range(random.randrange(4))]
    return {random.choice(("a", "b", "_placeholder", "num", "")): value(random, depth + 1) for _ in range(2)}


def json_packets(random: Random) -> list[bytes]:
    """Packets of one message in JSON: the second and further ones are attachments."""
    kind = random.choice("000122222222222333334445555566679")
    namespace = random.choice(NAMESPACES)
    number = random.choice(("", "", "1", "7", str(2**63), "9" * 40))
    data = [random.choice(EVENTS), *(value(random) for _ in range(random.randrange(4)))]
    payload = json.dumps(random.choice((data, data, data, value(random))))
    count = random.choice((0, 1, 1, 2, 5))
    attachments = [random.randbytes(random.choice((0, 1, 100))) for _ in range(count)] if kind in "56" else []
    if attachments and random.random() < 0.6:
        places = ",".join(f'{{"_placeholder":true,"num":{at}}}' for at in range(len(attachments)))
        payload = f'["echo",{places}]'
    head = f"4{kind}{f'{count}-' if attachments else ''}{namespace + ',' if namespace != '/' else ''}{number}"
    text = mutated(random, (head + payload).encode())
    return [text, *attachments[: random.choice((count, count, count, 1))]]


def msgpack_packets(random: Random) -> list[bytes]:
    packet = {
        "type": random.choice((*range(7), 2, 2, 2, 2, -1, None, "2", 99)),
        "nsp": random.choice((*NAMESPACES, None, 1, ["/"])),
        "data": random.choice(
            (["echo", random.randbytes(9)], [random.choice(EVENTS), value(random)], value(random))
        ),
        "id": random.choice((None, 1, 7, 2**63, -1, "1", 1.0, [])),
    }
    for name in list(packet):
        if random.random() < 0.05:
            del packet[name]
    try:
        packed: bytes = msgpack.packb(packet)
    except OverflowError:
        return msgpack_packets(random)
    return [mutated(random, packed)]


def packets(random: Random, is_msgpack: bool) -> Sent:
    """What a client sends after it has connected."""
    found: Sent = []
    for _ in range(random.randrange(1, 4)):
        if random.random() < 0.1:  # packets of Engine.IO
            found.append((TEXT, mutated(random, random.choice(ENGINE_PACKETS))))
        elif is_msgpack and random.random() < 0.9:
            found += [(BINARY, packet) for packet in msgpack_packets(random)]
        else:
            text, *attachments = json_packets(random)
            found += [(TEXT, text), *((BINARY, attachment) for attachment in attachments)]
    return found


CONNECT = {False: (TEXT, b"40"), True: (BINARY, msgpack.packb({"type": 0, "nsp": "/", "data": None}))}
END = (TEXT, b"1")


async def over_websocket(target: Target, sent: Sent) -> None:
    """Connect, send packets and the packet that closes the session, and wait until the server hangs up."""
    link = await Link.open(target.port)
    frames = [frame(opcode, payload) for opcode, payload in (CONNECT[target.is_msgpack], *sent, END)]
    await link.upgrade()
    await link.write(b"".join(frames))
    await link.until_closed()


async def over_polling(target: Target, sent: Sent) -> None:
    """Connect, send packets in one POST, and close the session unless the server has done so."""
    link = await Link.open(target.port)
    opened = (await link.request("GET", "/socket.io/?EIO=4&transport=polling"))[1]
    path = f"/socket.io/?EIO=4&transport=polling&sid={json.loads(opened[1:])['sid']}"
    for body in ([CONNECT[target.is_msgpack]], sent):
        encoded = [data if opcode == TEXT else b"b" + base64.b64encode(data) for opcode, data in body]
        await link.write(request("POST", path, b"\x1e".join(encoded)))
        status, _ = await link.answer()
        if status not in (200, 400, 413):
            raise Finding(f"a POST was answered with {status}")
    await link.write(request("POST", path, b"1"))
    if (await link.answer())[0] not in (200, 400):
        raise Finding("a session could not be closed")
    link.close()


WAYS: tuple[Callable[[Target, Sent], Awaitable[None]], ...] = (
    over_websocket,
    over_websocket,
    over_polling,
)


async def one(target: Target, seed: str) -> bytes:
    """One case: a client that sends what its seed says; the frames that it has sent.

    Raises:
        Finding: the server did not end it.
    """
    random = Random(seed)
    way, sent = random.choice(WAYS), packets(random, target.is_msgpack)
    written = b"".join(frame(opcode, payload) for opcode, payload in sent)
    try:
        await way(target, sent)
    except Gone:
        pass  # it was refused
    except asyncio.TimeoutError:
        raise Finding(f"{way.__name__}: the client waits for ever", written) from None
    except Finding as finding:
        raise Finding(f"{way.__name__}: {finding.what}", written) from None
    return written
