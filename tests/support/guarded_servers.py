"""Servers of this process that refuse requests early, what they got, and what they answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from tests.support.raw_clients import RawSocket, within
from tests.support.simulated_transports import AsyncioTransport
from tests.support.uvicorn_in_process import Local, running

OPEN = "/socket.io/?EIO=4&transport=polling"
HEAD, URL = 2000, 1000  # the limits in most tests
QUICK = {"header_timeout": 0.3, "body_timeout": 0.3}  # for clients that are late
CHUNKED = "Transfer-Encoding: chunked\r\n"

Serve = Callable[..., Awaitable["Serving"]]


@dataclass
class Serving:
    """A server of this process, and the requests that its other application has got."""

    engine: EngineServer
    local: Local
    requests: list[Request]
    may_answer: asyncio.Event

    @property
    def hits(self) -> dict[str, int]:
        return dict(self.engine.core.limits.hits)

    async def connect(self) -> RawSocket:
        return await RawSocket.connect(self.local)  # type: ignore[arg-type]

    async def is_left(self) -> None:
        """Wait until no connection is open."""
        await within(until_idle(lambda: not self.local.connections))


@dataclass
class Request:
    """A request that the other application gets."""

    path: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    left: bool = False  # whether its client went away

    async def answer(self, receive: Any, send: Any, may_answer: asyncio.Event) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": []}
        if self.path == "/started":
            await send(start)
            await send({"type": "http.response.body", "body": b"begun ", "more_body": True})
        if self.path not in ("/at-once", "/started", "/unread"):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    self.left = True
                    return
                self.body += message["body"]
                more = message["more_body"]
        if self.path in ("/waits", "/started", "/unread"):
            await wait_or_leave(self, receive, may_answer)
        if self.path != "/started":
            await send(start)
        await send({"type": "http.response.body", "body": b"other " + self.path.encode()})


async def wait_or_leave(request: Request, receive: Any, may_answer: asyncio.Event) -> None:
    if request.path == "/unread":
        await may_answer.wait()
        return
    message: dict[str, Any] = {}
    while not may_answer.is_set() and message.get("type") != "http.disconnect":
        message = await receive()
    request.left = message.get("type") == "http.disconnect"


async def until_idle(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.002)


@asynccontextmanager
async def serving(http: str, **options: Any) -> AsyncIterator[Serving]:
    engine = EngineServer(**{"max_header_size": HEAD, "max_url_size": URL, **options})
    requests: list[Request] = []
    may_answer = asyncio.Event()

    async def other(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope["path"], scope["headers"])
        requests.append(request)
        await request.answer(receive, send, may_answer)

    async with running(ASGIApp(engine, other), http=http) as local:
        yield Serving(engine, local, requests, may_answer)
        may_answer.set()


def head(path: str = "/page", lines: str = "", method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()


def head_of(size: int) -> bytes:
    """A head of so many bytes."""
    padding = "x" * (size - len(head(lines="X-Long: \r\n")))
    return head(lines=f"X-Long: {padding}\r\n")


async def answers(raw: RawSocket) -> list[tuple[int, str]]:
    """The status and body of all responses, until the server closes."""
    return list(parsed(await within(raw.reader.read(), 60)))


def parsed(stream: bytes) -> Iterator[tuple[int, str]]:
    while stream:
        lines, separator, stream = stream.partition(b"\r\n\r\n")
        assert separator, f"no response: {lines!r}"
        length = re.search(rb"content-length: (\d+)", lines.lower())
        body = b""
        if lines.startswith(b"HTTP/1.1 1"):
            pass
        elif length:
            body, stream = stream[: int(length[1])], stream[int(length[1]) :]
        else:
            while not stream.startswith(b"0\r\n\r\n"):
                size, separator, stream = stream.partition(b"\r\n")
                assert separator, f"no chunk: {size!r}"
                body, stream = body + stream[: int(size, 16)], stream[int(size, 16) + 2 :]
            stream = stream[5:]
        yield int(lines.split()[1]), body.decode()


async def statuses(raw: RawSocket) -> list[int]:
    return [status for status, _ in await answers(raw)]


def connected(server: Serving) -> AsyncioTransport:
    """A new connection whose client reads all."""
    transport = AsyncioTransport()
    transport.take(10**9)
    transport.set_protocol = lambda protocol: setattr(transport, "protocol", protocol)  # type: ignore[method-assign]
    transport.connect(server.local.connection())
    return transport


async def opened(server: Serving) -> str:
    async with await server.connect() as raw:
        await raw.send(head(OPEN))
        status, body = await raw.response()
        assert status == 200, body
        return body.split('"')[3]
