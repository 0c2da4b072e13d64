"""Clients that know nothing but bytes, frames and packets."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import struct
from collections.abc import Awaitable, Mapping
from inspect import signature
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlencode

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as websocket_connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.server_process import Server

TIMEOUT = 20.0  # seconds, of which a busy machine may need some
SEPARATOR = "\x1e"
UNDER_WAY = "/under-way"  # of servers with tests/apps/polls_under_way.py
TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

# websockets before 15 knows no proxies, and no such option.
NO_PROXY: dict[str, Any] = {"proxy": None} if "proxy" in signature(websocket_connect).parameters else {}

T = TypeVar("T")


async def within(awaitable: Awaitable[T], timeout: float = TIMEOUT) -> T:
    """Await, but not for ever."""
    return await asyncio.wait_for(awaitable, timeout)


def query(values: Mapping[str, str | None]) -> str:
    """A query string; values of None are left out."""
    return urlencode({key: value for key, value in values.items() if value is not None})


class Polling:
    """A client of the HTTP long-polling transport."""

    def __init__(self, server: Server, path: str = "/engine.io/") -> None:
        self.path = path
        self.sid: str | None = None
        self.http = httpx.AsyncClient(base_url=server.url, timeout=TIMEOUT, trust_env=False)

    async def __aenter__(self) -> Polling:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.aclose()

    async def request(
        self,
        method: str,
        content: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
        **values: str | None,
    ) -> httpx.Response:
        """A request with the usual query parameters, changed or (with None) removed by `values`."""
        parameters = query({"EIO": "4", "transport": "polling", "sid": self.sid, **values})
        return await self.http.request(
            method, f"{self.path}?{parameters}", content=content, headers=dict(headers or {})
        )

    async def open(self) -> dict[str, Any]:
        """Open a session and return the handshake."""
        response = await self.get()
        assert response.status_code == 200, response.text
        assert response.text[0] == "0"
        handshake: dict[str, Any] = json.loads(response.text[1:])
        self.sid = handshake["sid"]
        return handshake

    async def get(self) -> httpx.Response:
        return await self.request("GET")

    async def post(self, *packets: str) -> httpx.Response:
        return await self.request("POST", SEPARATOR.join(packets))

    async def send(self, *packets: str) -> None:
        response = await self.post(*packets)
        assert (response.status_code, response.text) == (200, "ok")

    async def receive(self) -> list[str]:
        """The packets of one poll."""
        response = await self.get()
        assert response.status_code == 200, response.text
        return response.text.split(SEPARATOR)

    async def receive_all(self, count: int) -> list[str]:
        """`count` packets of as many polls as it takes."""
        packets: list[str] = []
        while len(packets) < count:
            packets += await self.receive()
        return packets

    async def pending(self) -> asyncio.Task[httpx.Response]:
        """A poll that is under way at the server."""
        task = asyncio.ensure_future(self.get())
        await self.until_under_way("GET")
        assert not task.done(), task.result().text
        return task

    async def until_under_way(self, method: str) -> None:
        """Wait until the server has a request of this session that it cannot answer yet."""
        async with httpx.AsyncClient(base_url=self.http.base_url, timeout=TIMEOUT, trust_env=False) as asking:

            async def ask() -> None:
                while not (await asking.get(f"{UNDER_WAY}?sid={self.sid}")).json()[method]:
                    pass

            await within(ask())

    async def is_closed(self) -> bool:
        """Whether the server forgets the session; what it still has to say is read first."""
        for _ in range(3):
            response = await self.get()
            if response.status_code != 200:
                return response.status_code == 400
            if not set(response.text.split(SEPARATOR)) <= {"1", "6"}:
                return False
        return False


def address(server: Server, path: str = "/engine.io/", **values: str | None) -> str:
    """The address of a WebSocket with the usual query parameters, changed by `values`."""
    return f"{server.ws_url}{path}?{query({'EIO': '4', 'transport': 'websocket', **values})}"


def websocket(server: Server, path: str = "/engine.io/", **values: str | None) -> websocket_connect:
    """A context manager for a WebSocket connection; nothing is read from it yet."""
    return websocket_connect(
        address(server, path, **values), ping_interval=None, max_size=None, close_timeout=1, **NO_PROXY
    )


async def receive(ws: ClientConnection) -> str | bytes:
    return await within(ws.recv())


async def read_handshake(ws: ClientConnection) -> dict[str, Any]:
    packet = await receive(ws)
    assert isinstance(packet, str)
    assert packet[0] == "0", packet
    handshake: dict[str, Any] = json.loads(packet[1:])
    return handshake


async def close_code(ws: ClientConnection) -> int | None:
    """Read until the server has closed; the code of its close frame, 1006 where there is none."""
    try:
        while True:
            await receive(ws)
    except ConnectionClosed:
        return ws.protocol.close_code


async def is_refused(server: Server, path: str = "/engine.io/", **values: str | None) -> bool:
    """Whether a WebSocket is refused at the handshake, or closed before any packet comes."""
    try:
        async with websocket(server, path, **values) as ws:
            packet = await receive(ws)
    except InvalidStatus as error:
        return 400 <= error.response.status_code < 500
    except ConnectionClosed:
        return True
    raise AssertionError(f"the server sent {packet!r}")


async def upgrade(polling: Polling, ws: ClientConnection) -> None:
    """Take the session of `polling` over to `ws`, as a client that has no poll under way."""
    await ws.send("2probe")
    assert await receive(ws) == "3probe"
    await ws.send("5")
    await ws.send("4upgraded")
    assert await receive(ws) == "4upgraded"


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    masked: bool = True,
    length: int | None = None,
) -> bytes:
    """The bytes of one frame; `length` is what its header claims, if not the truth."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([mask_bit | size])
    elif size < 1 << 16:
        head += bytes([mask_bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = int.from_bytes((mask * (len(payload) // 4 + 1))[: len(payload)], "big")
    return head + mask + (int.from_bytes(payload, "big") ^ repeated).to_bytes(len(payload), "big")


class RawSocket:
    """A TCP connection on which a test writes whatever it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, server: Server) -> RawSocket:
        return cls(*await within(asyncio.open_connection("127.0.0.1", server.port)))

    @classmethod
    async def websocket(cls, server: Server, path: str = "/engine.io/", **values: str | None) -> RawSocket:
        """A connection past its WebSocket and Engine.IO handshakes (the latter without a sid)."""
        raw = await cls.connect(server)
        await raw.send(upgrade_request(path, values))
        status, _headers = await raw.response_head()
        assert status == 101
        if "sid" not in values:
            opcode, payload = await raw.read_frame()
            assert opcode == TEXT
            assert payload[:1] == b"0"
        return raw

    async def __aenter__(self) -> RawSocket:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await within(self.writer.drain())

    async def send_slowly(self, data: bytes) -> None:
        """One byte per segment."""
        for byte in data:
            await self.send(bytes([byte]))
            await asyncio.sleep(0.0005)

    async def response_head(self) -> tuple[int, dict[str, str]]:
        head = (await within(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        return int(status.split()[1]), {name.lower(): value for name, value in headers.items()}

    async def response(self) -> tuple[int, str]:
        """The status and body of a response that has a length."""
        status, headers = await self.response_head()
        if "content-length" in headers:
            body = await within(self.reader.readexactly(int(headers["content-length"])))
        else:
            body = await within(self.reader.read())
        return status, body.decode()

    async def read_frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload; asserts that it is whole and not masked."""
        first, second = await within(self.reader.readexactly(2))
        assert first & 0xF0 == 0x80, "fragmented or with a reserved bit"
        assert not second & 0x80, "masked"
        size = second
        if size == 126:
            (size,) = struct.unpack("!H", await within(self.reader.readexactly(2)))
        elif size == 127:
            (size,) = struct.unpack("!Q", await within(self.reader.readexactly(8)))
        return first & 0x0F, await within(self.reader.readexactly(size))

    async def close_code(self) -> int | None:
        """Read until the server ends the connection; the code of its close frame, if it sent one."""
        code = None
        try:
            while True:
                opcode, payload = await self.read_frame()
                if opcode == CLOSE:
                    code = int.from_bytes(payload[:2], "big") if payload else 1005
                    # a server may wait for our half of the closing handshake
                    self.writer.write(frame(CLOSE, payload[:2]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return code


def upgrade_request(
    path: str = "/engine.io/",
    values: Mapping[str, str | None] | None = None,
    headers: Mapping[str, str | None] | None = None,
) -> bytes:
    """The request that opens a WebSocket; `values` of the query string and `headers` change or (with
    None) remove the usual ones."""
    fields: dict[str, str | None] = {
        "Host": "127.0.0.1",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
        "Sec-WebSocket-Version": "13",
        **(headers or {}),
    }
    lines = [f"GET {path}?{query({'EIO': '4', 'transport': 'websocket', **(values or {})})} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items() if value is not None]
    return "\r\n".join([*lines, "", ""]).encode()


def warnings(log: str) -> list[str]:
    """The log lines of level WARNING and above."""
    return re.findall(r"^(?:WARNING|ERROR|CRITICAL)\b.*$", log, flags=re.MULTILINE)
