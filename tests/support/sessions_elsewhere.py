"""Sessions at workers of tests/apps/workers.py, and requests for them, byte by byte."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from tests.support.raw_clients import RawSocket, within
from tests.support.server_process import Server

TRIES = 200
LIMIT = 1_000_000  # bytes of a payload


def request(
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    *,
    sends_length: bool = True,
) -> bytes:
    """A whole HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    if body is not None and sends_length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def chunked(*parts: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (*parts, b""))


@dataclass
class Session:
    """A session of Socket.IO over polling.

    Attributes:
        sid: Its id at the engine.
        worker: The process that has it.
    """

    sid: str
    worker: int = 0

    @property
    def path(self) -> str:
        return f"/socket.io/?EIO=4&transport=polling&sid={self.sid}"

    def get(self, headers: dict[str, str] | None = None) -> bytes:
        return request("GET", self.path, headers=headers)

    def post(self, body: str | bytes, headers: dict[str, str] | None = None) -> bytes:
        return request("POST", self.path, body.encode() if isinstance(body, str) else body, headers)


async def answer(raw: RawSocket) -> tuple[int, str]:
    """The status and body of the next answer, whole or in chunks."""
    status, headers = await raw.response_head()
    if headers.get("transfer-encoding") != "chunked":
        return status, (await within(raw.reader.readexactly(int(headers["content-length"])))).decode()
    body = b""
    while size := int(await within(raw.reader.readline()), 16):
        body += (await within(raw.reader.readexactly(size + 2)))[:-2]
    await within(raw.reader.readline())
    return status, body.decode()


async def exchange(raw: RawSocket, data: bytes) -> tuple[int, str]:
    """Send a request and read its answer."""
    await raw.send(data)
    return await answer(raw)


async def acknowledged(raw: RawSocket, session: Session, event: str, *args: Any) -> Any:
    """Emit an event and return its acknowledgement, of which nothing else may be under way."""
    assert await exchange(raw, session.post(f"421{json.dumps([event, *args])}")) == (200, "ok")
    status, body = await exchange(raw, session.get())
    assert (status, body[:3]) == (200, "431"), body
    return json.loads(body[3:])[0]


async def opened(raw: RawSocket, headers: dict[str, str] | None = None) -> Session:
    """Open a session on a connection."""
    status, body = await exchange(raw, request("GET", "/socket.io/?EIO=4&transport=polling", headers=headers))
    assert (status, body[:1]) == (200, "0")
    session = Session(json.loads(body[1:])["sid"])
    assert await exchange(raw, session.post("40")) == (200, "ok")
    assert (await exchange(raw, session.get()))[1][:2] == "40"
    session.worker = (await acknowledged(raw, session, "who"))["worker"]
    return session


async def worker_of(raw: RawSocket) -> int:
    """The process at the other end of a connection."""
    status, body = await exchange(raw, request("GET", "/worker"))
    assert status == 200, body
    worker: int = json.loads(body)["worker"]
    return worker


async def session_at(
    server: Server, raw: RawSocket, where: str, headers: dict[str, str] | None = None
) -> Session:
    """A session of the worker at the end of a connection ("here"), or of another one ("elsewhere").

    It is opened on connections of its own.
    """
    worker = await worker_of(raw)
    for _ in range(TRIES):
        async with await RawSocket.connect(server) as other:
            session = await opened(other, headers)
        if (session.worker == worker) == (where == "here"):
            return session
    raise AssertionError(f"no session is {where}")


@asynccontextmanager
async def connection_and_sessions(
    server: Server, *places: str, headers: dict[str, str] | None = None
) -> AsyncIterator[tuple[Any, ...]]:
    """A connection with a session at each of some places, as `session_at` calls them."""
    async with AsyncExitStack() as stack:
        raw = await stack.enter_async_context(await RawSocket.connect(server))
        yield raw, *[await session_at(server, raw, place, headers) for place in places]
